-- Format 8: environments that follow the front of a branch (a fact `front/<branch>`) are at the
-- commit that the front is at.

CREATE INDEX environments_follow ON environments (json_extract(row, '$.follows'))
  WHERE json_extract(row, '$.follows') IS NOT NULL;
