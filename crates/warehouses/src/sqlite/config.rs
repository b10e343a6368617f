//! Settings of a connection.

use schemars::JsonSchema;
use serde::Deserialize;

/// A SQLite database file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "sqlite")]
pub(crate) struct Config {
    /// Path of the database file; relative to the project's folder.
    pub(crate) path: String,
    /// Milliseconds to wait for a lock that another program holds.
    #[serde(default = "busy_timeout_ms")]
    #[schemars(range(min = 0, max = 40_000))]
    pub(crate) busy_timeout_ms: u32,
}

/// Long enough for another program's transaction, far below the longest call.
fn busy_timeout_ms() -> u32 {
    5_000
}

/// The longest wait that may be asked for: a call ends before the lease does.
pub(crate) const BUSY_TIMEOUT_MS_MAX: u32 = 40_000;
