-- Runs by how they ended; tries to sign in, counted for all processes together.
-- Instants are microseconds since 1970-01-01T00:00:00Z.

-- The status stands in the record too; here it can be looked up.
ALTER TABLE runs ADD COLUMN status TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE runs SET status = record::json ->> 'status';
CREATE INDEX runs_status ON runs (status, started_at, id);

-- Failed tries to sign in. What they are counted by (a name, an address) is kept as a hash: people type passwords there.
CREATE TABLE tries (
    hash BYTEA NOT NULL PRIMARY KEY,
    failed BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);
CREATE INDEX tries_last ON tries (last_at);
