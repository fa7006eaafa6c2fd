-- Format 9: what is kept for how long, and up to where rows are wrapped.

-- What of a run is there: 2 its plan, its events and what puts its addresses back; 1 its plan and
-- its events; 0 what history shows.
ALTER TABLE runs ADD COLUMN kept INTEGER NOT NULL DEFAULT 2;
UPDATE runs SET kept = 0 WHERE NOT EXISTS (SELECT 1 FROM plans WHERE plans.run = runs.key);
CREATE INDEX runs_with_checkpoints ON runs (key) WHERE kept = 2 AND open = 0;
CREATE INDEX runs_with_journal ON runs (environment, key) WHERE kept > 0;

-- Up to which row a table is wrapped, and under which key; 2^63 - 1: all of it, and so is what is
-- added under that key. Whoever writes a row that is not wrapped under it puts the mark down to the
-- row before, in the same transaction.
CREATE TABLE wrapped (
  part  TEXT PRIMARY KEY,
  key   TEXT NOT NULL,
  up_to INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The time that the state has lived through, when upkeep was last done, and what was the newest run.
CREATE TABLE upkeep (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  lived INTEGER,
  at    INTEGER NOT NULL DEFAULT 0,
  run   INTEGER NOT NULL DEFAULT 0
) STRICT;
-- A state that is there begins with the newest time that stands in it.
INSERT INTO upkeep (id, lived) VALUES (1, (SELECT at FROM events ORDER BY id DESC LIMIT 1));

-- The key that a plan is wrapped under, so that it need not be unpacked to be asked.
ALTER TABLE plans ADD COLUMN wrapped_by TEXT;

-- A copy of the state as it was before it was brought to a newer format; it goes when a run that
-- came after this one ended well.
CREATE TABLE copies (
  path   TEXT PRIMARY KEY,
  format INTEGER NOT NULL,
  run    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
