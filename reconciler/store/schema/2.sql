-- Format 2: sealed values, and the keys that wrap what the state holds.

-- Sealed values as they lie in the repository, so that an older one can be opened again.
CREATE TABLE secrets (
  id          INTEGER PRIMARY KEY,
  environment TEXT NOT NULL,
  path        TEXT NOT NULL,
  key         TEXT NOT NULL,
  version     INTEGER NOT NULL,
  digest      TEXT NOT NULL,          -- SHA-256 of the age file
  age         BLOB NOT NULL,          -- the complete age file
  UNIQUE (environment, path, key, digest)
) STRICT;

-- The highest version of each value that was ever in force; never goes down.
CREATE TABLE secret_versions (
  environment TEXT NOT NULL,
  path        TEXT NOT NULL,
  key         TEXT NOT NULL,
  highest     INTEGER NOT NULL,
  PRIMARY KEY (environment, path, key)
) STRICT, WITHOUT ROWID;

-- The keys that wrap, each sealed to the identity of the reconciler.
CREATE TABLE keys (
  id      TEXT PRIMARY KEY,
  made_at INTEGER NOT NULL,
  in_use  INTEGER NOT NULL,           -- 1: new rows are wrapped under it
  sealed  BLOB NOT NULL
) STRICT;
