//! How a platform of the simulation behaves, and what it noticed.

use tidegate_model::ports::Limits;
use tidegate_model::schema::Abilities;

/// How a platform behaves.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// What it can do.
    pub abilities: Abilities,
    /// Rows of a page.
    pub page_rows: usize,
    /// Answers say what was stored where it is not what was sent.
    pub tells_stored: bool,
    /// A repeated operation is answered as the first time.
    pub replays_ops: bool,
    /// Clearing a field does nothing, and nothing is said of it.
    pub ignores_clears: bool,
    /// Two blanks become one in every text, although no normal form says so.
    pub collapses: bool,
    /// For how long a read may show what stood there before our write.
    pub stale_ms: i64,
    /// What it permits.
    pub limits: Limits,
    /// How long a write takes, milliseconds.
    pub write_ms: u64,
}

/// A platform that can do everything.
pub fn all_abilities() -> Abilities {
    Abilities {
        read: true,
        ordered: true,
        changes: true,
        fetch: true,
        delete: true,
        clear: true,
        conditional: true,
        keyed: true,
        exactly_once: true,
        update_time: true,
        whole: false,
        max_batch: 100,
    }
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            abilities: all_abilities(),
            page_rows: 2,
            tells_stored: true,
            replays_ops: true,
            ignores_clears: false,
            collapses: false,
            stale_ms: 120_000,
            limits: Limits::default(),
            write_ms: 0,
        }
    }
}

/// A write that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimCall {
    /// When, in microseconds.
    pub at: i64,
    /// Records of the call.
    pub records: u64,
    /// Calls in flight, this one included.
    pub in_flight: u64,
}
