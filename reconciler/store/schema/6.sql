-- Format 6: secrets that stratum made itself, wrapped under a key of the table `keys`. There is at
-- most one of a place and version: that is what makes a secret once.

CREATE TABLE made_secrets (
  id          INTEGER PRIMARY KEY,
  environment TEXT NOT NULL,
  path        TEXT NOT NULL,
  key         TEXT NOT NULL,
  version     INTEGER NOT NULL,
  digest      TEXT NOT NULL,          -- what it is known by; not of the secret itself
  wrapped_by  TEXT NOT NULL,          -- the key
  wrapped     BLOB NOT NULL,
  UNIQUE (environment, path, key, version)
) STRICT;
