-- Format 3: the audit log.

-- Entries that are not yet in the tree, one row for each transaction that wrote some.
CREATE TABLE audit_waiting (
  id      INTEGER PRIMARY KEY,        -- grows
  entries BLOB NOT NULL               -- a C2SP entry bundle, packed as plans are
) STRICT;

-- How far the tree was when rows were last taken out of the table above.
CREATE TABLE audit_head (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  part TEXT NOT NULL,
  size INTEGER NOT NULL,
  root BLOB NOT NULL
) STRICT;
