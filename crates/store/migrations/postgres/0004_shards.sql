-- Large deliveries in parts.
-- Instants are microseconds since 1970-01-01T00:00:00Z.

-- Parts of spans that several workers deliver, each by one at a time. They go with their span.
CREATE TABLE shards (
    span TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,            -- which part, from 0
    parts BIGINT NOT NULL,             -- of how many
    sync TEXT COLLATE "C" NOT NULL,
    run TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,             -- of the lease that it is delivered under
    config_hash TEXT COLLATE "C" NOT NULL,
    records BIGINT NOT NULL,           -- of the whole run
    holder TEXT COLLATE "C",                        -- NULL: waits; else the worker that delivers it
    process TEXT COLLATE "C",                       -- that worker's process (JSON), where its system tells
    beat_at BIGINT,                    -- its last sign of life
    taken BIGINT NOT NULL DEFAULT 0,   -- how often it was taken
    ended BIGINT NOT NULL DEFAULT 0,   -- 1: nothing of it is left to do
    stop TEXT COLLATE "C",            -- why its delivery stopped early (JSON)
    apart TEXT COLLATE "C" NOT NULL DEFAULT '{}',   -- counts that no settlement holds (JSON)
    PRIMARY KEY (span, number)
);

-- Batches of shards that nobody has sent yet: whoever takes one makes it an intent first.
CREATE TABLE planned (
    span TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    shard BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (span, shard, number)
);
