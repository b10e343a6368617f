-- Large deliveries in parts.
-- Instants are microseconds since 1970-01-01T00:00:00Z.

-- Parts of spans that several workers deliver, each by one at a time. They go with their span.
CREATE TABLE shards (
    span TEXT NOT NULL,
    number INTEGER NOT NULL,            -- which part, from 0
    parts INTEGER NOT NULL,             -- of how many
    sync TEXT NOT NULL,
    run TEXT NOT NULL,
    epoch INTEGER NOT NULL,             -- of the lease that it is delivered under
    config_hash TEXT NOT NULL,
    records INTEGER NOT NULL,           -- of the whole run
    holder TEXT,                        -- NULL: waits; else the worker that delivers it
    process TEXT,                       -- that worker's process (JSON), where its system tells
    beat_at INTEGER,                    -- its last sign of life
    taken INTEGER NOT NULL DEFAULT 0,   -- how often it was taken
    ended INTEGER NOT NULL DEFAULT 0,   -- 1: nothing of it is left to do
    stop TEXT,                          -- why its delivery stopped early (JSON)
    apart TEXT NOT NULL DEFAULT '{}',   -- counts that no settlement holds (JSON)
    PRIMARY KEY (span, number)
) STRICT, WITHOUT ROWID;

-- Batches of shards that nobody has sent yet: whoever takes one makes it an intent first.
CREATE TABLE planned (
    span TEXT NOT NULL,
    number INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (span, shard, number)
) STRICT;
