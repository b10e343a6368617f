-- The state of a project, first version.
-- Instants are microseconds since 1970-01-01T00:00:00Z. Structs are JSON; fields and values are postcard blobs.
-- Keys and remote ids are bytes: their order is the order of bytes whatever the collation, and text may hold a NUL.
-- A text or blob of length 0 stands for "none" where a column is part of a key.

-- Small facts about the store itself: id (marks targets), print_key (key of the fingerprints).
CREATE TABLE store_meta (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

-- One row per sync that was ever claimed: its lease and its state as a whole.
CREATE TABLE syncs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    epoch BIGINT NOT NULL,             -- grows by one with each claim; writes under an older one are refused
    holder TEXT COLLATE "C",                        -- who holds the lease; NULL: released
    process TEXT COLLATE "C",                       -- the holder's process (JSON), where its system tells
    seen_at BIGINT NOT NULL,           -- last claim or heartbeat, the runner's clock
    expires_at BIGINT NOT NULL,        -- when the lease ends without a heartbeat
    shape_hash TEXT COLLATE "C" NOT NULL DEFAULT '',
    mapping BYTEA NOT NULL DEFAULT '',  -- the engine's own encoding
    warehouse TEXT COLLATE "C",                     -- how far the warehouse has been read (JSON)
    platform TEXT COLLATE "C",                      -- how far the platform has been read (JSON)
    full_settled BIGINT NOT NULL DEFAULT 0,
    linked BIGINT NOT NULL DEFAULT 0,  -- ledger entries with bit 256 of flags, counted as they change
    delivered_rev BIGINT NOT NULL DEFAULT 0,   -- number of the newest chunk of delivered keys
    delivered_base BIGINT NOT NULL DEFAULT 0,  -- chunks up to this one were dropped by a reset
    delivered_floor BIGINT NOT NULL DEFAULT -9223372036854775808  -- delivered keys of a lower order are forgotten
);

-- The slim part of the ledger, merged with by every full read: narrow, and in key order after a first run. Pages keep
-- some room, so that a changed print stays on its page and touches no index.
CREATE TABLE ledger (
    sync BIGINT NOT NULL,
    key BYTEA NOT NULL,
    remote BYTEA,                        -- the platform's id
    flags BIGINT NOT NULL,             -- bits 0-7: the engine's; 256: linked and not gone; 512: has a row in details
    warehouse BYTEA,                     -- print of what the warehouse last showed; NULL: nothing
    platform BYTEA,                      -- print of what the platform last showed; NULL: nothing
    PRIMARY KEY (sync, key)
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX ledger_remote ON ledger (sync, remote) WHERE remote IS NOT NULL;

-- The engine's own detail of ledger entries (images), apart so that scans of the ledger stay narrow.
CREATE TABLE details (
    sync BIGINT NOT NULL,
    key BYTEA NOT NULL,
    detail BYTEA NOT NULL,
    PRIMARY KEY (sync, key)
);

-- Keys delivered inside the lookback margin, one chunk per settlement.
CREATE TABLE delivered (
    sync BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    high BIGINT NOT NULL,              -- the highest order in the chunk: below the floor the chunk goes
    keys BYTEA NOT NULL,                 -- pairs of 16 bytes: order (i64), print (u64), little-endian
    PRIMARY KEY (sync, rev)
);

-- Spans that were opened and not closed.
CREATE TABLE open_spans (
    nr BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of opening
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    sync BIGINT NOT NULL,
    span TEXT COLLATE "C" NOT NULL,                 -- the span (JSON)
    next_batch BIGINT NOT NULL         -- the first batch that is not settled
);
CREATE INDEX open_spans_sync ON open_spans (sync);

-- Batches of open spans: intents with their answers, and markers of batches settled before an earlier one.
CREATE TABLE intents (
    span TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    side TEXT COLLATE "C" NOT NULL,                 -- platform or warehouse: which is written
    payload BYTEA NOT NULL,
    answer BYTEA,
    settled BIGINT NOT NULL,           -- 1: only a marker, without payload
    PRIMARY KEY (span, number)
);

CREATE TABLE rejects (
    sync BIGINT NOT NULL,
    key BYTEA NOT NULL,                  -- '': rows without a usable key
    side TEXT COLLATE "C" NOT NULL,
    field TEXT COLLATE "C" NOT NULL,                -- '': the record as a whole
    rule TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    value BYTEA,                         -- the value, where values are kept
    run TEXT COLLATE "C" NOT NULL,                  -- the run that saw it last
    at BIGINT NOT NULL,
    PRIMARY KEY (sync, key, side, field)
);

CREATE TABLE conflicts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sync BIGINT NOT NULL,
    key BYTEA NOT NULL,
    field TEXT COLLATE "C" NOT NULL,                -- '': the record as a whole
    state TEXT COLLATE "C" NOT NULL,                -- decided, open, chosen
    warehouse BYTEA,
    platform BYTEA,
    winner TEXT COLLATE "C",
    note TEXT COLLATE "C",
    choice TEXT COLLATE "C",                        -- a person's choice (JSON), when chosen
    run TEXT COLLATE "C" NOT NULL,                  -- the run that saw it last
    at BIGINT NOT NULL
);
CREATE UNIQUE INDEX conflicts_open ON conflicts (sync, key, field) WHERE state <> 'decided';
CREATE INDEX conflicts_key ON conflicts (sync, key);

CREATE TABLE runs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run TEXT COLLATE "C" NOT NULL UNIQUE,
    sync TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    record TEXT COLLATE "C" NOT NULL,               -- the run (JSON), without its books
    books TEXT COLLATE "C" NOT NULL,                -- the counts (JSON); each settlement adds to them
    writes BIGINT NOT NULL,            -- rows of history so far
    cancel BIGINT NOT NULL             -- 1: somebody asked it to stop
);
CREATE INDEX runs_sync ON runs (sync, started_at);
CREATE INDEX runs_started ON runs (started_at);

CREATE TABLE logs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    line TEXT COLLATE "C" NOT NULL
);
CREATE INDEX logs_run ON logs (run, id);
CREATE INDEX logs_at ON logs (at);

-- Writes carried out, with what stood there before.
CREATE TABLE history (
    run BIGINT NOT NULL,               -- runs.id
    seq BIGINT NOT NULL,
    sync BIGINT NOT NULL,
    key BYTEA NOT NULL,
    at BIGINT NOT NULL,
    side TEXT COLLATE "C" NOT NULL,
    effect TEXT COLLATE "C" NOT NULL,
    remote BYTEA,
    before BYTEA NOT NULL,
    after BYTEA NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE INDEX history_key ON history (sync, key);

-- Switches and small settings, such as paused:companies.
CREATE TABLE switches (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

-- Secrets, each encrypted with XChaCha20-Poly1305 and bound to its name.
CREATE TABLE secrets (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL,               -- which key encrypted it (a hash of the key)
    sealed BYTEA NOT NULL,               -- nonce (24 bytes), then ciphertext with its tag
    updated_at BIGINT NOT NULL
);

-- Work that waits or is being done. Finished jobs go; what they did is in runs.
CREATE TABLE jobs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sync TEXT COLLATE "C" NOT NULL,
    started_by TEXT COLLATE "C" NOT NULL,           -- manual, schedule, retry
    mode TEXT COLLATE "C" NOT NULL,
    due_at BIGINT NOT NULL,
    holder TEXT COLLATE "C",                        -- NULL: waits; else the worker that has it
    beat_at BIGINT                     -- that worker's last sign of life
);
CREATE UNIQUE INDEX jobs_waiting ON jobs (sync) WHERE holder IS NULL;
CREATE INDEX jobs_due ON jobs (due_at);

-- Units drawn from a remote account's budget in one-second blocks.
CREATE TABLE draws (
    account TEXT COLLATE "C" NOT NULL,
    unit TEXT COLLATE "C" NOT NULL,
    block BIGINT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (account, unit, block)
);
