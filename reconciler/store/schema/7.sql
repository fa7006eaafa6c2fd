-- Format 7: small facts that belong to no environment: where the records stand, what waits to be
-- written to git, the commit that untouched environments have come to.

CREATE TABLE facts (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
