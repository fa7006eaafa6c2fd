-- Format 5: what keeps the forge from being told, for `status`. Losing it loses a line on a screen.

CREATE TABLE forge_trouble (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  trouble TEXT NOT NULL               -- JSON
) STRICT;
