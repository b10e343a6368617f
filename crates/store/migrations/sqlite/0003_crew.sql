-- Runs by how they ended; tries to sign in, counted for all processes together.
-- Instants are microseconds since 1970-01-01T00:00:00Z.

-- The status stands in the record too; here it can be looked up.
ALTER TABLE runs ADD COLUMN status TEXT NOT NULL DEFAULT '';
UPDATE runs SET status = json_extract(record, '$.status');
CREATE INDEX runs_status ON runs (status, started_at, id);

-- Failed tries to sign in. What they are counted by (a name, an address) is kept as a hash: people type passwords there.
CREATE TABLE tries (
    hash BLOB NOT NULL PRIMARY KEY,
    failed INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tries_last ON tries (last_at);
