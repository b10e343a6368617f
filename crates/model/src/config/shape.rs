//! What the keys of project files look like, as data: one table serves the parser, the did-you-mean and the JSON Schema.

/// A mapping with known keys.
#[derive(Debug)]
pub(crate) struct Block {
    /// What it is, in words: "a sync".
    pub what: &'static str,
    pub keys: &'static [Key],
    /// Groups of keys of which exactly one must be there.
    pub one_of: &'static [&'static [&'static str]],
}

/// One key of a block.
#[derive(Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// One line for editors.
    pub doc: &'static str,
}

/// What stands behind a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// The file format's version: 1.
    Version,
    /// Text, never empty.
    Text,
    /// Text that may hold references such as `${NAME}`.
    Reference,
    Bool,
    /// A whole number between these.
    Count(i64, i64),
    /// A number between these.
    Number(f64, f64),
    /// A number from 0 to 100, or `off`.
    Percent,
    /// `15m`
    Duration,
    /// A duration, or a number of ids.
    Lookback,
    /// `5m` that divides a day.
    Every,
    /// `02:30`
    DailyAt,
    Cron,
    Zone,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text, number, true or false.
    Scalar,
    /// One transform such as `round:2`.
    Transform,
    /// Text to text.
    Table,
    Block(&'static Block),
    List(&'static Shape),
    /// The word, or else the shape.
    Or(&'static str, &'static Shape),
}

impl Block {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, required: false, doc }
}

const fn must(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, required: true, doc }
}

const VERSION: Key = must("version", Shape::Version, "The format of this file: 1.");
const TEXTS: Shape = Shape::List(&Shape::Text);
const TRANSFORMS: Shape = Shape::List(&Shape::Transform);

pub(crate) const DIRECTIONS: &[&str] = &["to_platform", "to_warehouse", "both"];
pub(crate) const CHANGES: &[&str] = &["auto", "full", "tracking", "stream", "cursor"];
pub(crate) const WRITES: &[&str] = &["upsert", "update", "insert", "append", "replace", "mirror"];
pub(crate) const CONFLICTS: &[&str] = &["warehouse", "platform", "newest", "hold"];
pub(crate) const OPERATORS: &[&str] = &["=", "!=", "<", "<=", ">", ">="];

/// `tidegate.yaml`
pub(crate) static PROJECT: Block = Block {
    what: "tidegate.yaml",
    keys: &[
        VERSION,
        must("name", Shape::Text, "The project's name."),
        key("state", Shape::Reference, "Where runs, ledgers and cursors are kept; TIDEGATE_STATE overrides it."),
        key("timezone", Shape::Zone, "IANA zone of schedules and of times without zone; UTC if left out."),
        key("retention", Shape::Block(&RETENTION), "For how long history is kept."),
        key("alerts", Shape::Block(&ALERTS), "Who is told when a sync changes its state."),
        key("serve", Shape::Block(&SERVE), "Settings of `tidegate serve`."),
    ],
    one_of: &[],
};

static RETENTION: Block = Block {
    what: "retention",
    keys: &[
        key("runs", Shape::Duration, "Runs and their counts; 90d if left out."),
        key("logs", Shape::Duration, "Logs of runs; 30d if left out."),
        key("rejects", Shape::Duration, "Closed rejects; 90d if left out."),
        key("before_images", Shape::Duration, "Values from before a write, for undo; 30d if left out."),
    ],
    one_of: &[],
};

static ALERTS: Block = Block {
    what: "alerts",
    keys: &[key("webhook", Shape::Reference, "Address that gets one POST per change of a sync's state.")],
    one_of: &[],
};

static SERVE: Block = Block {
    what: "serve",
    keys: &[
        key("listen", Shape::Reference, "Address and port; loopback if left out."),
        key("public_url", Shape::Reference, "The address that browsers use."),
        key("tls", Shape::Block(&TLS), "Certificate and key, if tidegate itself speaks TLS."),
        key("behind_proxy", Shape::Bool, "Whether a proxy in front sets the forwarding headers."),
        key("env_allow", TEXTS, "Environment variables that connections made in the UI may name."),
        key(
            "private_targets",
            TEXTS,
            "Hosts inside your network that alerts, sign-in and connections made in the UI may call.",
        ),
        key("egress_ips", TEXTS, "Addresses that calls leave from, shown in set-up steps."),
        key("oidc", Shape::Block(&OIDC), "Sign-in through an identity provider."),
    ],
    one_of: &[],
};

static TLS: Block = Block {
    what: "tls",
    keys: &[
        must("cert", Shape::Reference, "Certificate chain, PEM."),
        must("key", Shape::Reference, "Private key, PEM."),
    ],
    one_of: &[],
};

static OIDC: Block = Block {
    what: "oidc",
    keys: &[
        must("issuer", Shape::Reference, "Address of the identity provider."),
        must("client_id", Shape::Reference, "Client id."),
        must("client_secret", Shape::Reference, "Client secret, by reference."),
        key("role_claim", Shape::Reference, "Claim that holds a person's role."),
    ],
    one_of: &[],
};

/// The keys that every connection has, whatever its type.
pub(crate) static CONNECTION: Block = Block {
    what: "a connection",
    keys: &[
        VERSION,
        must("type", Shape::Text, "What kind of system it is."),
        key("access", Shape::Choice(&["read", "write"]), "Warehouses: read (if left out) or write."),
        key("work_schema", Shape::Text, "Where outbox, fence and staging tables go, with `access: write`."),
        key("enabled", Shape::Bool, "Off: no run of any kind touches it."),
        key("automation", Shape::Bool, "Off: no sync of it runs by itself."),
        key("quota", Shape::Block(&QUOTA), "The budget of the remote account."),
    ],
    one_of: &[],
};

static QUOTA: Block = Block {
    what: "quota",
    keys: &[
        key("requests_per_second", Shape::Number(0.001, 1e9), "Most requests in a second."),
        key("requests_per_minute", Shape::Number(0.001, 1e9), "Most requests in a minute."),
        key("requests_per_day", Shape::Number(0.001, 1e12), "Most requests in a day."),
        key("records_per_second", Shape::Number(0.001, 1e9), "Most records in a second."),
        key("records_per_minute", Shape::Number(0.001, 1e9), "Most records in a minute."),
        key("records_per_day", Shape::Number(0.001, 1e12), "Most records in a day."),
        key("share", Shape::Number(0.001, 1.0), "The share of the account's limits that tidegate may use, 0 to 1."),
    ],
    one_of: &[],
};

/// `syncs/NAME.yaml`
pub(crate) static SYNC: Block = Block {
    what: "a sync",
    keys: &[
        VERSION,
        must("warehouse", Shape::Block(&WAREHOUSE_END), "The warehouse's side."),
        must("platform", Shape::Block(&PLATFORM_END), "The platform's side."),
        key("direction", Shape::Choice(DIRECTIONS), "The default of the fields; to_platform if left out."),
        must("key", Shape::Block(&KEY), "What names a record on both sides."),
        key("changes", Shape::Choice(CHANGES), "How changes are found in the warehouse; auto if left out."),
        key("cursor", Shape::Block(&CURSOR), "For `changes: cursor`."),
        key("write", Shape::Choice(WRITES), "How changes are written; upsert if left out."),
        key("append", Shape::Choice(&["versions"]), "With `write: append`: changed records are appended again."),
        key("conflict", Shape::Choice(CONFLICTS), "Who wins when both sides changed a field; warehouse if left out."),
        key("updated_at", Shape::Block(&UPDATED_AT), "Record times, for `conflict: newest`."),
        key("deletes", Shape::Choice(&["ignore", "propagate"]), "When a record is gone; ignore if left out."),
        key("delete_conflict", Shape::Choice(&["edit", "delete"]), "Deleted here, edited there; edit if left out."),
        must("fields", Shape::Or("all", &Shape::List(&Shape::Block(&FIELD))), "The mappings, or all columns."),
        key("link", Shape::Block(&LINK), "For datasets: columns that tie rows to records."),
        key("schedule", Shape::Block(&SCHEDULE), "When it runs by itself."),
        key("automation", Shape::Bool, "Whether it runs by itself; true if left out."),
        key("guards", Shape::Block(&GUARDS), "Limits that stop a run before it writes."),
        key("after", TEXTS, "Syncs that run before this one, besides the order of references."),
        key("batch_size", Shape::Count(1, 1_000_000), "Records in a batch; the connector's choice if left out."),
        key("timezone", Shape::Zone, "Zone of times without zone; the project's if left out."),
        key("ledger", Shape::Choice(&["values", "fingerprints"]), "What is kept of each field."),
        key("settle_lag", Shape::Duration, "For how long a stale read of our write is waited out; 15m if left out."),
        key("on_uncertain", Shape::Choice(&["hold", "resend"]), "After a lost answer nobody can clear up."),
        key("undo_days", Shape::Count(0, 3_650), "For how many days a run can be undone; 30 if left out."),
        key("redact", TEXTS, "Fields whose values are never shown."),
        key("shared", Shape::Bool, "Other syncs may write the same fields."),
    ],
    one_of: &[],
};

static WAREHOUSE_END: Block = Block {
    what: "warehouse",
    keys: &[
        must("connection", Shape::Text, "Name of the connection."),
        key("relation", Shape::Text, "Table, view or stream, its parts joined by dots."),
        key("query", Shape::Text, "A SELECT, run read-only."),
    ],
    one_of: &[&["relation", "query"]],
};

static PLATFORM_END: Block = Block {
    what: "platform",
    keys: &[
        must("connection", Shape::Text, "Name of the connection."),
        must("model", Shape::Text, "Object type, time series, or `dataset:NAME`."),
        key("where", Shape::List(&Shape::Block(&CONDITION)), "Narrows what is read; all must hold."),
    ],
    one_of: &[],
};

static CONDITION: Block = Block {
    what: "a condition",
    keys: &[
        must("field", Shape::Text, "The platform's field."),
        must("op", Shape::Choice(OPERATORS), "How it is compared."),
        must("value", Shape::Scalar, "With what."),
    ],
    one_of: &[],
};

static KEY: Block = Block {
    what: "key",
    keys: &[
        must("warehouse", Shape::Text, "The warehouse's column."),
        key("platform", Shape::Text, "The platform's field; left out for series and datasets."),
        key("transform", TRANSFORMS, "Applied to the column before it is a key, such as [to_text]."),
    ],
    one_of: &[],
};

static CURSOR: Block = Block {
    what: "cursor",
    keys: &[
        must("column", Shape::Text, "The column that grows."),
        key("lookback", Shape::Lookback, "The margin read again: 10m for times, 10000 for ids."),
    ],
    one_of: &[],
};

static UPDATED_AT: Block = Block {
    what: "updated_at",
    keys: &[
        key("warehouse", Shape::Text, "The warehouse's column."),
        key("platform", Shape::Text, "The platform's field."),
    ],
    one_of: &[],
};

static LINK: Block = Block {
    what: "link",
    keys: &[
        key("company", Shape::Text, "Column with the externalId of a company."),
        key("enduser", Shape::Text, "Column with the email or externalId of an end user."),
    ],
    one_of: &[],
};

static SCHEDULE: Block = Block {
    what: "schedule",
    keys: &[
        key("every", Shape::Every, "An interval that divides a day: 5m, 1h, 1d."),
        key("daily_at", Shape::DailyAt, "A local time: \"02:30\"."),
        key("cron", Shape::Cron, "Five fields: \"0 6 * * *\"."),
        key("timezone", Shape::Zone, "Zone of the rule; the sync's if left out."),
    ],
    one_of: &[&["every", "daily_at", "cron"]],
};

static GUARDS: Block = Block {
    what: "guards",
    keys: &[
        key("max_delete_pct", Shape::Percent, "Share of the linked records that a run may delete; 10."),
        key("max_clear_pct", Shape::Percent, "Share of the linked records of which a run may clear fields; 10."),
        key("max_shrink_pct", Shape::Percent, "Share by which a replace may shrink its target; 50."),
        key("max_reject_pct", Shape::Percent, "Share of the records read that may be rejected; 20."),
        key("max_change_pct", Shape::Percent, "Share of the linked records that a run may change; off."),
    ],
    one_of: &[],
};

static FIELD: Block = Block {
    what: "a field",
    keys: &[
        key("warehouse", Shape::Text, "The warehouse's column."),
        key("value", Shape::Scalar, "The same value for every record."),
        must("platform", Shape::Text, "The platform's field."),
        key("direction", Shape::Choice(DIRECTIONS), "Which way it flows; the sync's direction if left out."),
        key("transform", TRANSFORMS, "Applied in order; see docs/transforms.md."),
        key("map", Shape::Table, "Replaces values, after transform."),
        key("nulls", Shape::Choice(&["clear", "skip"]), "What NULL means; clear if left out."),
        key("on_misfit", Shape::Choice(&["reject_record", "drop_field"]), "For values that do not fit."),
        key("as", Shape::Choice(&["text", "number", "boolean", "date", "url", "tags"]), "Hint at the type."),
        key("format", Shape::Text, "Format of dates and numbers in text (strftime)."),
        key("empty", Shape::Choice(&["keep", "null", "reject"]), "What empty text becomes; keep if left out."),
        key("conflict", Shape::Choice(CONFLICTS), "Who wins on this field; the sync's rule if left out."),
    ],
    one_of: &[&["warehouse", "value"]],
};
