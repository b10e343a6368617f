-- Who may sign in, with what, and who did what; what a job was asked for.
-- Instants are microseconds since 1970-01-01T00:00:00Z.

-- People who sign in to `serve` with a password.
CREATE TABLE users (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    role TEXT COLLATE "C" NOT NULL,                 -- viewer, operator, admin
    password TEXT COLLATE "C" NOT NULL,             -- argon2id, in its own text form
    created_at BIGINT NOT NULL
);

-- Tokens of the API. What a token says is never kept, only its hash.
CREATE TABLE tokens (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,           -- SHA-256 of the token: 256 random bits need no salt
    scope TEXT COLLATE "C" NOT NULL,                -- read, run, edit
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,                 -- NULL: never
    used_at BIGINT                     -- to the minute
);

-- Browsers that are signed in.
CREATE TABLE sessions (
    hash BYTEA NOT NULL PRIMARY KEY,      -- SHA-256 of the cookie
    who TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    csrf TEXT COLLATE "C" NOT NULL,                 -- what a form of this session has to carry
    local BIGINT NOT NULL,             -- 1: a user of the table above, and gone with them; 0: an identity provider's
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_who ON sessions (who);

-- What was changed, by whom.
CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    who TEXT COLLATE "C" NOT NULL,                  -- a user, token:NAME, or local
    action TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,               -- JSON; no secret and no value of a record
    outcome TEXT COLLATE "C" NOT NULL               -- done, or the code of the error
);

-- What a job was asked for besides its mode (JSON), the configuration it was asked with, the process that has it.
ALTER TABLE jobs ADD COLUMN ask TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN config_hash TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN process TEXT COLLATE "C";
CREATE INDEX rejects_run ON rejects (run);
CREATE INDEX conflicts_state ON conflicts (state, at);
