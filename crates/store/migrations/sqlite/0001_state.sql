-- The state of a project, first version.
-- Instants are microseconds since 1970-01-01T00:00:00Z. Structs are JSON; fields and values are postcard blobs.
-- A text or blob of length 0 stands for "none" where a column is part of a key.

-- Small facts about the store itself: id (marks targets), print_key (key of the fingerprints).
CREATE TABLE store_meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per sync that was ever claimed: its lease and its state as a whole.
CREATE TABLE syncs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,             -- grows by one with each claim; writes under an older one are refused
    holder TEXT,                        -- who holds the lease; NULL: released
    process TEXT,                       -- the holder's process (JSON), where its system tells
    seen_at INTEGER NOT NULL,           -- last claim or heartbeat, the runner's clock
    expires_at INTEGER NOT NULL,        -- when the lease ends without a heartbeat
    shape_hash TEXT NOT NULL DEFAULT '',
    mapping BLOB NOT NULL DEFAULT x'',  -- the engine's own encoding
    warehouse TEXT,                     -- how far the warehouse has been read (JSON)
    platform TEXT,                      -- how far the platform has been read (JSON)
    full_settled INTEGER NOT NULL DEFAULT 0,
    linked INTEGER NOT NULL DEFAULT 0,  -- ledger entries with bit 256 of flags, counted as they change
    delivered_rev INTEGER NOT NULL DEFAULT 0,   -- number of the newest chunk of delivered keys
    delivered_base INTEGER NOT NULL DEFAULT 0,  -- chunks up to this one were dropped by a reset
    delivered_floor INTEGER NOT NULL DEFAULT -9223372036854775808  -- delivered keys of a lower order are forgotten
) STRICT;

-- The slim part of the ledger, merged with by every full read: narrow and clustered by key.
CREATE TABLE ledger (
    sync INTEGER NOT NULL,
    key TEXT NOT NULL,
    remote TEXT,                        -- the platform's id
    flags INTEGER NOT NULL,             -- bits 0-7: the engine's; 256: linked and not gone; 512: has a row in details
    warehouse BLOB,                     -- print of what the warehouse last showed; NULL: nothing
    platform BLOB,                      -- print of what the platform last showed; NULL: nothing
    PRIMARY KEY (sync, key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ledger_remote ON ledger (sync, remote) WHERE remote IS NOT NULL;

-- The engine's own detail of ledger entries (images), apart so that scans of the ledger stay narrow.
CREATE TABLE details (
    sync INTEGER NOT NULL,
    key TEXT NOT NULL,
    detail BLOB NOT NULL,
    PRIMARY KEY (sync, key)
) STRICT, WITHOUT ROWID;

-- Keys delivered inside the lookback margin, one chunk per settlement.
CREATE TABLE delivered (
    sync INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    high INTEGER NOT NULL,              -- the highest order in the chunk: below the floor the chunk goes
    keys BLOB NOT NULL,                 -- pairs of 16 bytes: order (i64), print (u64), little-endian
    PRIMARY KEY (sync, rev)
) STRICT, WITHOUT ROWID;

-- Spans that were opened and not closed.
CREATE TABLE open_spans (
    nr INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of opening
    id TEXT NOT NULL UNIQUE,
    sync INTEGER NOT NULL,
    span TEXT NOT NULL,                 -- the span (JSON)
    next_batch INTEGER NOT NULL         -- the first batch that is not settled
) STRICT;
CREATE INDEX open_spans_sync ON open_spans (sync);

-- Batches of open spans: intents with their answers, and markers of batches settled before an earlier one.
CREATE TABLE intents (
    span TEXT NOT NULL,
    number INTEGER NOT NULL,
    side TEXT NOT NULL,                 -- platform or warehouse: which is written
    payload BLOB NOT NULL,
    answer BLOB,
    settled INTEGER NOT NULL,           -- 1: only a marker, without payload
    PRIMARY KEY (span, number)
) STRICT;

CREATE TABLE rejects (
    sync INTEGER NOT NULL,
    key TEXT NOT NULL,                  -- '': rows without a usable key
    side TEXT NOT NULL,
    field TEXT NOT NULL,                -- '': the record as a whole
    rule TEXT NOT NULL,
    reason TEXT NOT NULL,
    value BLOB,                         -- the value, where values are kept
    run TEXT NOT NULL,                  -- the run that saw it last
    at INTEGER NOT NULL,
    PRIMARY KEY (sync, key, side, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE conflicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sync INTEGER NOT NULL,
    key TEXT NOT NULL,
    field TEXT NOT NULL,                -- '': the record as a whole
    state TEXT NOT NULL,                -- decided, open, chosen
    warehouse BLOB,
    platform BLOB,
    winner TEXT,
    note TEXT,
    choice TEXT,                        -- a person's choice (JSON), when chosen
    run TEXT NOT NULL,                  -- the run that saw it last
    at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX conflicts_open ON conflicts (sync, key, field) WHERE state <> 'decided';
CREATE INDEX conflicts_key ON conflicts (sync, key);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL UNIQUE,
    sync TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    record TEXT NOT NULL,               -- the run (JSON), without its books
    books TEXT NOT NULL,                -- the counts (JSON); each settlement adds to them
    writes INTEGER NOT NULL,            -- rows of history so far
    cancel INTEGER NOT NULL             -- 1: somebody asked it to stop
) STRICT;
CREATE INDEX runs_sync ON runs (sync, started_at);
CREATE INDEX runs_started ON runs (started_at);

CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    at INTEGER NOT NULL,
    line TEXT NOT NULL
) STRICT;
CREATE INDEX logs_run ON logs (run, id);
CREATE INDEX logs_at ON logs (at);

-- Writes carried out, with what stood there before.
CREATE TABLE history (
    run INTEGER NOT NULL,               -- runs.id
    seq INTEGER NOT NULL,
    sync INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    side TEXT NOT NULL,
    effect TEXT NOT NULL,
    remote TEXT,
    before BLOB NOT NULL,
    after BLOB NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_key ON history (sync, key);

-- Switches and small settings, such as paused:companies.
CREATE TABLE switches (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Secrets, each encrypted with XChaCha20-Poly1305 and bound to its name.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,               -- which key encrypted it (a hash of the key)
    sealed BLOB NOT NULL,               -- nonce (24 bytes), then ciphertext with its tag
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Work that waits or is being done. Finished jobs go; what they did is in runs.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sync TEXT NOT NULL,
    started_by TEXT NOT NULL,           -- manual, schedule, retry
    mode TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    holder TEXT,                        -- NULL: waits; else the worker that has it
    beat_at INTEGER                     -- that worker's last sign of life
) STRICT;
CREATE UNIQUE INDEX jobs_waiting ON jobs (sync) WHERE holder IS NULL;
CREATE INDEX jobs_due ON jobs (due_at);

-- Units drawn from a remote account's budget in one-second blocks.
CREATE TABLE draws (
    account TEXT NOT NULL,
    unit TEXT NOT NULL,
    block INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (account, unit, block)
) STRICT, WITHOUT ROWID;
