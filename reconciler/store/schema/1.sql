-- Format 1 of the state.
--
-- Times are nanoseconds since 1970 (UTC). Addresses are written once and numbered in the order of
-- the plan that first named them, so that the rows of one apply lie side by side and an append
-- touches few pages.

CREATE TABLE environments (
  name   TEXT PRIMARY KEY,
  serial INTEGER NOT NULL DEFAULT 0,  -- grows with every apply that is started
  count  INTEGER NOT NULL DEFAULT 0,  -- how many resources it has; the triggers below keep it
  row    TEXT                         -- EnvironmentRow as JSON; NULL until it is first put
) STRICT;

CREATE TABLE leases (
  environment TEXT PRIMARY KEY,
  number      INTEGER NOT NULL,       -- the fencing number; stays when the lease is given back
  holder      TEXT,                   -- NULL: given back
  renewed_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE addresses (
  id      INTEGER PRIMARY KEY,
  address TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE resources (
  address INTEGER PRIMARY KEY REFERENCES addresses (id),
  state   TEXT NOT NULL               -- ResourceState as JSON
) STRICT;

CREATE INDEX resources_unknown ON resources (address)
  WHERE json_extract(state, '$.unknown') IS NOT NULL;

CREATE TRIGGER resource_comes AFTER INSERT ON resources BEGIN
  UPDATE environments SET count = count + 1 WHERE name =
    (SELECT substr(address, 1, instr(address, '/') - 1) FROM addresses WHERE id = NEW.address);
END;
CREATE TRIGGER resource_goes AFTER DELETE ON resources BEGIN
  UPDATE environments SET count = count - 1 WHERE name =
    (SELECT substr(address, 1, instr(address, '/') - 1) FROM addresses WHERE id = OLD.address);
END;

-- What history shows; kept apart from the plans, because every append writes its row again.
CREATE TABLE runs (
  key         INTEGER PRIMARY KEY,
  id          TEXT NOT NULL UNIQUE,
  environment TEXT NOT NULL,
  summary     TEXT NOT NULL,          -- RunSummary as JSON
  events      INTEGER NOT NULL,       -- how many events the run has
  open        INTEGER NOT NULL        -- 1: it has a journal whose record is not yet in git
) STRICT;
CREATE INDEX runs_by_environment ON runs (environment);
CREATE INDEX runs_open ON runs (key) WHERE open = 1;

CREATE TABLE plans (
  run  INTEGER PRIMARY KEY REFERENCES runs (key),
  body BLOB NOT NULL                  -- Run as JSON, packed: its length (4 bytes, little end
                                      -- first), then an LZ4 block
) STRICT;

CREATE TABLE events (
  id    INTEGER PRIMARY KEY,          -- key of the run * 2^32 + number of the event, from 0
  at    INTEGER NOT NULL,
  event TEXT NOT NULL                 -- Event as JSON
) STRICT;

-- Every observation that differs from the one before it.
CREATE TABLE observations (
  id      INTEGER PRIMARY KEY,
  address INTEGER NOT NULL REFERENCES addresses (id),
  at      INTEGER NOT NULL,
  seen    TEXT NOT NULL               -- drifted attributes and report, as JSON
) STRICT;
CREATE INDEX observations_by_address ON observations (address);
CREATE INDEX observations_drifted ON observations (id)
  WHERE json_array_length(seen, '$.drifted') > 0;

-- The newest observation of each address: which of the rows above it equals, and when it was made.
CREATE TABLE sightings (
  address     INTEGER PRIMARY KEY REFERENCES addresses (id),
  observation INTEGER NOT NULL,
  at          INTEGER NOT NULL
) STRICT;

CREATE TABLE queue (
  environment TEXT PRIMARY KEY,
  inputs      TEXT NOT NULL,
  not_before  INTEGER NOT NULL,
  entry       TEXT NOT NULL           -- QueueEntry as JSON; the columns beside it count
) STRICT;

CREATE TABLE evaluations (
  id    INTEGER PRIMARY KEY,          -- grows: the oldest are forgotten first
  key   TEXT NOT NULL UNIQUE,
  bytes INTEGER NOT NULL,
  value BLOB NOT NULL
) STRICT;
CREATE INDEX evaluations_by_size ON evaluations (id, bytes);
