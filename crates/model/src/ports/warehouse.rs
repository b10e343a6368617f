//! The port to a warehouse: a SQL system that the customer's data team owns.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Load, Loaded, Need};
use crate::change::{Change, Outcome};
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::page::{Page, Pages};
use crate::record::Key;
use crate::schema::{Relation, RelationSchema, Source};
use crate::span::{CursorPoint, Fence, OpId};
use crate::time::Instant;

/// A place in the catalogue: the parts of a name above the entries asked for; empty is the top. Beside the catalogue
/// stand `@warehouses` and `@roles`, where a warehouse has such settings: they are listed nowhere, only asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(pub Vec<String>);

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its own name (one part).
    pub name: String,
    /// `database`, `schema`, `table`, `view`, `stream`.
    pub kind: String,
    /// Whether there are entries below it.
    pub container: bool,
    /// A note for a person, such as a row estimate.
    pub note: Option<String>,
}

/// What a warehouse can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarehouseAbilities {
    /// Opened with `access: write`.
    pub write: bool,
    /// Writes of single records can be made conditional on what stands there.
    pub conditional: bool,
    /// Change history (`tracking`): [`Warehouse::mark`] and [`ReadMode::Changes`].
    pub tracking: bool,
    /// Streams: [`Warehouse::drain`], [`ReadMode::Outbox`] and [`Warehouse::trim`].
    pub stream: bool,
    /// A full read can be pinned to a mark ([`ReadMode::Full`]'s `at`).
    pub time_travel: bool,
}

/// Where a stream's changes wait until they are delivered: a table in the work schema, filled by [`Warehouse::drain`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// The stream; the outbox has its columns.
    pub stream: Relation,
    /// The sync that it serves: one stream serves one sync, so this names the table.
    pub sync: String,
}

/// What an outbox holds after a move.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Rows that this call moved.
    pub moved: u64,
    /// The highest `seq` in the outbox; 0 if it is empty. `seq` grows with each row ever moved, and never repeats.
    pub through: u64,
    /// Tells this stream from another of the same name, such as the time at which it was made. A stream that was made
    /// anew begins there, and lacks what happened before: the engine answers a new one with a full read.
    pub stream: String,
}

/// How rows are chosen and ordered.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadMode {
    /// Every row, in byte order of the key's canonical text (integers as decimal text); rows whose key is NULL come
    /// first. Duplicates are handed out as they are.
    Full {
        /// The key column.
        key: String,
        /// Only keys after this one (rows with a NULL key are then left out).
        after: Option<Key>,
        /// As the rows stood at this mark ([`Warehouse::mark`]); only where [`WarehouseAbilities::time_travel`].
        at: Option<String>,
    },
    /// What changed in the window `(from, to]` between two marks, in any order, with [`crate::page::DELETED`] as a last
    /// column. A row that was changed shows as it stood at `to`; one that left, or whose key became another, shows under
    /// its old key with `DELETED` true and whatever else is known of it. A key may show both: what is not deleted counts.
    /// A row that came and went within the window shows as deleted or not at all. The window may reach further back
    /// than asked (never less far), so that a row may show that did not change; one that came before what was asked and
    /// went within it shows as deleted then too. Reading it again gives the same.
    /// Expired history is `HistoryGone`: only a full read helps.
    Changes {
        /// The key column.
        key: String,
        /// Exclusive lower end.
        from: String,
        /// Inclusive upper end, from [`Warehouse::mark`].
        to: String,
        /// Only rows that came in the window are wanted: those that were changed or left may be left out. It needs no
        /// history where the relation [`RelationSchema::appends`].
        added: bool,
    },
    /// What waits in an outbox up to and including a `seq`, net per key (the highest `seq` counts), in any order, with
    /// [`crate::page::DELETED`] as a last column. Rows whose key is NULL are each handed out.
    Outbox {
        /// The key column.
        key: String,
        /// The outbox.
        outbox: Outbox,
        /// Highest `seq`, from [`Warehouse::drain`].
        through: u64,
    },
    /// Every row, in any order.
    Unordered,
    /// Rows with `(column, key)` after `from` and at or below `to`, ordered by `(column, key)` (column by its own
    /// order, key by bytes of its text). Rows whose cursor is NULL are handed out too, first, on every read.
    Cursor {
        /// The cursor column.
        column: String,
        /// The key column.
        key: String,
        /// Exclusive lower end; `None`: from the start.
        from: Option<CursorPoint>,
        /// Inclusive upper end, from [`Warehouse::bound`].
        to: CursorPoint,
    },
}

/// What to read.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadAsk {
    /// From where.
    pub source: Source,
    /// Which columns, in this order, each once.
    pub columns: Vec<String>,
    /// Which rows, in which order.
    pub mode: ReadMode,
    /// Most rows of a page.
    pub page_rows: usize,
    /// IANA zone for texts without zone that have to become instants.
    pub timezone: String,
}

/// A warehouse.
///
/// Contract. Calls may come in parallel; each read sees one snapshot. A connector never retries, never logs a
/// failure and never decides: it classifies, with a cause and a hint. Identifiers are quoted, values bound. With
/// `access: read` nothing is ever created or written and every write call is a `Forbidden` error. Cells that do not
/// fit their column's logical type are misfits of the page, never errors, never cut.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// What it can do.
    fn abilities(&self) -> WarehouseAbilities;
    /// Finds out whether the needs are met; everything at once, nothing touched. Each finding has the exact SQL
    /// (GRANT, CREATE, ALTER) that mends it. Views and queries as targets are refused here.
    async fn check(&self, needs: &[Need]) -> Vec<Finding>;
    /// Lists the catalogue below a place.
    async fn browse(&self, at: &Place) -> Result<Vec<Entry>>;
    /// Describes a relation or query. `NotFound` names near matches in its hint.
    async fn describe(&self, source: &Source) -> Result<RelationSchema>;
    /// The warehouse's own clock.
    async fn now(&self) -> Result<Instant>;
    /// The greatest `(column, key)` that may be read now without missing a row that is being written: below the
    /// oldest running transaction where the warehouse can tell. `None`: no rows (or only NULLs).
    async fn bound(&self, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>>;
    /// A mark of the source's change history: the end of a window that may be read now, or the instant to which a full
    /// read is pinned. By the warehouse's own clock, less a lag that covers what is being committed. Marks are texts of
    /// the connector's own; a later one never stands before an earlier one.
    async fn mark(&self, _source: &Source) -> Result<String> {
        Err(no_history())
    }
    /// The cheap gate: whether anything may have changed in `(since, to]`. `true` wherever that cannot be told without
    /// the read itself.
    async fn changed(&self, _source: &Source, _since: &str, _to: &str) -> Result<bool> {
        Ok(true)
    }
    /// Moves a stream's changes into its outbox, by one committed statement that writes (nothing else moves a stream's
    /// offset), in one transaction with the fence row; makes the outbox where it is missing. An empty stream is not
    /// moved. Needs `access: write`. A stream that went stale is `HistoryGone`, with what to recreate in the hint.
    async fn drain(&self, _outbox: &Outbox, _fence: &Fence) -> Result<Drained> {
        Err(no_history())
    }
    /// Deletes what was delivered from an outbox: all rows up to and including a `seq`. Repeating it does nothing.
    async fn trim(&self, _outbox: &Outbox, _through: u64, _fence: &Fence) -> Result<()> {
        Err(no_history())
    }
    /// Reads pages. The stream is complete when it ends without error. A stream as the source of any mode but `Outbox`
    /// means what the stream is on: its table or view; in [`Warehouse::fetch`] and [`Warehouse::count`] too.
    async fn read(&self, ask: ReadAsk) -> Result<Pages>;
    /// Rows of these keys, in any order, duplicates among them; keys that are not there are left out.
    async fn fetch(&self, source: &Source, columns: &[String], key: &str, keys: &[Key], timezone: &str)
    -> Result<Page>;
    /// Most keys that [`Warehouse::fetch`] is best asked for at once: many, where each call costs by the size of the table.
    fn fetch_keys(&self) -> usize {
        1_024
    }
    /// Bytes that a read would be billed, without reading; `None` where nothing is billed by the byte.
    async fn price(&self, _ask: &ReadAsk) -> Result<Option<u64>> {
        Ok(None)
    }
    /// Bytes that this connection was billed since it was opened; `None` where nothing is billed by the byte.
    fn billed(&self) -> Option<u64> {
        None
    }
    /// The same connection, whose [`Warehouse::billed`] counts what is asked through this handle alone, from nothing:
    /// several syncs share a connection, and each is to know what it was billed. `None` where nothing is billed.
    fn metered(&self) -> Option<Arc<dyn Warehouse>> {
        None
    }
    /// Number of rows.
    async fn count(&self, source: &Source) -> Result<u64>;
    /// Loads pages into a table, all of them in one transaction with fence row and span row.
    async fn load(&self, relation: &Relation, load: &Load, pages: Pages) -> Result<Loaded>;
    /// Writes single records by key, in one transaction with the fence row (and the span row of `op`: a replay
    /// answers the outcomes of the first time as well as it can: it compares each record with what was intended).
    /// One outcome per change, same order. A record that the database refuses (constraint, length) is a reject of
    /// that record alone. `key` is the key's column; on create it is written along.
    async fn write(
        &self,
        relation: &Relation,
        key: &str,
        batch: &[Change],
        op: &OpId,
        fence: &Fence,
    ) -> Result<Vec<Outcome>>;
    /// Takes over a target that another store marked: sets the fence to ours.
    async fn adopt(&self, fence: &Fence) -> Result<()>;
}

/// What a warehouse without a change history answers.
pub fn no_history() -> Error {
    Error::config("this warehouse keeps no change history").hint("write `changes: auto`, `full` or `cursor`")
}
