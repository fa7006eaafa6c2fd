-- Format 4: which runs the forge was told about. Losing a row repeats what was said, no more.

CREATE TABLE announced (
  run TEXT PRIMARY KEY,
  at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
