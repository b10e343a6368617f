//! The port to a warehouse: a SQL system that the customer's data team owns.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Load, Loaded, Need};
use crate::change::{Change, Outcome};
use crate::error::Result;
use crate::finding::Finding;
use crate::page::{Page, Pages};
use crate::record::Key;
use crate::schema::{Relation, RelationSchema, Source};
use crate::span::{CursorPoint, Fence, OpId};
use crate::time::Instant;

/// A place in the catalogue: the parts of a name above the entries asked for; empty is the top.
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
    /// Change history (`tracking`).
    pub tracking: bool,
    /// Streams.
    pub stream: bool,
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
    /// Reads pages. The stream is complete when it ends without error.
    async fn read(&self, ask: ReadAsk) -> Result<Pages>;
    /// Rows of these keys, in any order, duplicates among them; keys that are not there are left out.
    async fn fetch(&self, source: &Source, columns: &[String], key: &str, keys: &[Key], timezone: &str)
    -> Result<Page>;
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
