-- The demo's warehouse. The first two tables are written by tidegate too, so they have their keys declared;
-- the others are as a data team's tables often are.
CREATE TABLE companies (
    company_id TEXT NOT NULL PRIMARY KEY,
    name       TEXT,
    phase      TEXT,
    status     TEXT,
    country    TEXT,
    website    TEXT,
    arr        DECIMAL(14,2),
    health     INTEGER,               -- comes from the CRM
    updated_at TIMESTAMPTZ
);
CREATE TABLE end_users (
    user_id    TEXT NOT NULL PRIMARY KEY,
    email      TEXT,
    first_name TEXT,
    last_name  TEXT,
    position   TEXT,
    company_id TEXT,
    last_seen  TIMESTAMPTZ,
    updated_at TIMESTAMPTZ
);
CREATE TABLE licenses (
    license_id TEXT,
    company_id TEXT,
    product    TEXT,
    currency   TEXT,
    mrr        DECIMAL(12,2),
    from_date  TEXT,
    to_date    DATE
);
CREATE TABLE opportunities (
    opportunity_id TEXT,
    company_id     TEXT,
    title          TEXT,
    stage          TEXT,
    arr            DECIMAL(14,2),
    close_date     DATE,
    is_won         BOOLEAN
);
CREATE TABLE usage_events (
    event_id    INTEGER NOT NULL PRIMARY KEY,
    company_id  TEXT,
    email       TEXT,
    action      TEXT,
    weight      INTEGER,
    happened_at TIMESTAMPTZ
);
CREATE TABLE seats (
    metric_id  INTEGER NOT NULL PRIMARY KEY,
    company_id TEXT,
    seats      INTEGER,
    day        DATE
);
CREATE TABLE revenue (
    invoice_id TEXT NOT NULL PRIMARY KEY,
    company_id TEXT,
    email      TEXT,
    amount     DECIMAL(14,2),
    currency   TEXT,
    paid       BOOLEAN,
    updated_at TIMESTAMPTZ
);
CREATE INDEX revenue_by_change ON revenue (updated_at, invoice_id);

-- Filled by tidegate from the CRM.
CREATE TABLE crm_scores (
    company_id TEXT NOT NULL PRIMARY KEY,
    name       TEXT,
    score      INTEGER
);
CREATE TABLE crm_customer_log (
    company_id TEXT NOT NULL,
    name       TEXT,
    country    TEXT
);
