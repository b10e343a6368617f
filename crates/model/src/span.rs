//! Progress: how far a sync has read, and the part of the source that is in hand.

use serde::{Deserialize, Serialize};

use crate::record::Key;
use crate::value::Value;

/// A place in a source ordered by `(column, key)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CursorPoint {
    /// Value of the cursor column.
    pub value: Value,
    /// Key of the row, to tell rows of the same value apart; `None`: after all rows of the value.
    pub key: Option<Key>,
}

/// How far a side has been read. `None` in its place means: nothing yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Position {
    /// After this row.
    Cursor(CursorPoint),
    /// Up to this instant of the side's own clock or change counter, in the connector's own text.
    Mark(String),
    /// Up to and including this row of an outbox, which was filled from this very stream
    /// ([`crate::ports::Drained::stream`]). No mark: a sync that is changed from a stream to a history, or back, must
    /// not take the one for the other.
    Outbox {
        /// The row's `seq`.
        seq: u64,
        /// The stream.
        stream: String,
    },
}

/// The id of one operation: unique per span or batch, the same across retries. It names span rows in targets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub String);

/// The part of the source that one unit of delivery covers: `(from, to]`. Opened in the store before its first
/// effect, settled after its last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Unique id; operation ids of its batches derive from it.
    pub id: String,
    /// The sync.
    pub sync: String,
    /// The run that opened it.
    pub run: String,
    /// Where the side stood; the store refuses to settle if this is not where it stands.
    pub from: Option<Position>,
    /// Where it stands after settling; `None` for reads that move no position (full reads).
    pub to: Option<Position>,
    /// Rows per batch, fixed when the span opened, so that a resumed span cuts the same batches.
    pub batch_rows: u32,
}

impl Span {
    /// The operation id of one of its batches.
    pub fn op(&self, batch: u32) -> OpId {
        OpId(format!("{}/{batch}", self.id))
    }
}

/// What a database target checks in the transaction of each write: who writes, and that nobody took over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The sync.
    pub sync: String,
    /// The id of the store that drives it.
    pub store: String,
    /// The epoch of the lease; grows with each takeover.
    pub epoch: i64,
}
