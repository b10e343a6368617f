-- Who may sign in, with what, and who did what; what a job was asked for.
-- Instants are microseconds since 1970-01-01T00:00:00Z.

-- People who sign in to `serve` with a password.
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,                 -- viewer, operator, admin
    password TEXT NOT NULL,             -- argon2id, in its own text form
    created_at INTEGER NOT NULL
) STRICT;

-- Tokens of the API. What a token says is never kept, only its hash.
CREATE TABLE tokens (
    name TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,           -- SHA-256 of the token: 256 random bits need no salt
    scope TEXT NOT NULL,                -- read, run, edit
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,                 -- NULL: never
    used_at INTEGER                     -- to the minute
) STRICT;

-- Browsers that are signed in.
CREATE TABLE sessions (
    hash BLOB NOT NULL PRIMARY KEY,      -- SHA-256 of the cookie
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    csrf TEXT NOT NULL,                 -- what a form of this session has to carry
    local INTEGER NOT NULL,             -- 1: a user of the table above, and gone with them; 0: an identity provider's
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_who ON sessions (who);

-- What was changed, by whom.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,                  -- a user, token:NAME, or local
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,               -- JSON; no secret and no value of a record
    outcome TEXT NOT NULL               -- done, or the code of the error
) STRICT;

-- What a job was asked for besides its mode (JSON), the configuration it was asked with, the process that has it.
ALTER TABLE jobs ADD COLUMN ask TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN config_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN process TEXT;
CREATE INDEX rejects_run ON rejects (run);
CREATE INDEX conflicts_state ON conflicts (state, at);
