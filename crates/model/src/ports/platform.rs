//! The port to a platform: a system that works with customers.

use async_trait::async_trait;

use super::{Load, Loaded, Need};
use crate::change::{Change, Outcome};
use crate::error::Result;
use crate::finding::Finding;
use crate::page::{Page, Pages};
use crate::record::RecordRef;
use crate::schema::{Abilities, ModelName, ModelSchema};
use crate::span::{Fence, OpId};
use crate::sync::Condition;

/// Which records of a model are read.
#[derive(Debug, Clone, PartialEq)]
pub enum PlatformRead {
    /// All of them. In byte order of the key field where [`Abilities::ordered`], records without a key first.
    Full,
    /// Those changed or deleted since a mark (exclusive), up to now. Deleted ones have [`crate::page::DELETED`] true.
    /// Ordered by key where [`Abilities::ordered`].
    Since(String),
}

/// What to read from a platform.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformAsk {
    /// The model.
    pub model: ModelName,
    /// The field that is the sync's key; for series and datasets the source key.
    pub key: String,
    /// Further fields. Pages hold, in this order: [`crate::page::REMOTE_ID`], the key field, these fields,
    /// [`crate::page::UPDATED_AT`], [`crate::page::DELETED`] — the last for `Since` only. A custom field that nobody
    /// has made yet reads as NULL text.
    pub fields: Vec<String>,
    /// Only records for which all of these hold.
    pub filter: Vec<Condition>,
    /// All or changed ones.
    pub mode: PlatformRead,
    /// Most rows of a page.
    pub page_rows: usize,
}

/// One call's worth of record writes.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteAsk {
    /// The model.
    pub model: ModelName,
    /// The field that is the sync's key.
    pub key: String,
    /// Types for custom fields that do not exist yet, by field name.
    pub new_fields: Vec<(String, crate::value::Type)>,
    /// Those of them that are addresses (`as: url`).
    pub addresses: Vec<String>,
    /// The operation, the same across retries.
    pub op: OpId,
    /// Who writes.
    pub fence: Fence,
    /// How many records the run writes in all, as [`Platform::limits`] was told; never fewer than the call's.
    pub records: u64,
}

/// What a platform permits an account. The engine keeps to these beside the connection's own `quota:`, which may only
/// be tighter; every sync of the connection draws from the same budget. Limits that differ in a number are budgets of
/// their own: a platform with two endpoints answers the numbers of the one that it will use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Calls in a second.
    pub requests_per_second: Option<u64>,
    /// Calls in a minute.
    pub requests_per_minute: Option<u64>,
    /// Records in a second.
    pub records_per_second: Option<u64>,
    /// Records that may come at once after a pause, where that is more than a second's worth.
    pub burst_records: Option<u64>,
    /// Calls in flight at once; more are refused or do harm.
    pub parallel: Option<u32>,
    /// Most records of one call, where that is less than [`Abilities::max_batch`].
    pub batch: Option<u32>,
    /// Each record is a request of its own, which limits on calls count.
    pub single: bool,
}

/// A platform.
///
/// Contract. Calls may come in parallel, but never two writes of the same key. A connector never retries, never logs
/// a failure and never decides: it classifies. An error of `write` or `load` says that *nothing* was taken, except
/// `Lost`: the call may have been carried out. Everything finer is one [`Outcome`] per record.
#[async_trait]
pub trait Platform: Send + Sync {
    /// Finds out whether the needs are met.
    async fn check(&self, needs: &[Need]) -> Vec<Finding>;
    /// Its models with standard and custom fields. Datasets that exist are among them.
    async fn models(&self) -> Result<Vec<ModelSchema>>;
    /// One model; `NotFound` names near matches in its hint. A dataset that does not exist yet answers a schema
    /// without fields.
    async fn model(&self, name: &ModelName) -> Result<ModelSchema>;
    /// What it can do with a model.
    fn abilities(&self, model: &ModelName) -> Abilities;
    /// What the platform permits for writes of a model. `records`: how many the run is about to write, for platforms
    /// that have one way for a few and another for many.
    fn limits(&self, _model: &ModelName, _records: Option<u64>) -> Limits {
        Limits::default()
    }
    /// A mark for [`PlatformRead::Since`]: everything committed before this call is at or before the mark, or will be
    /// handed out by a read since it. Taken *before* a full read.
    async fn mark(&self, model: &ModelName) -> Result<String>;
    /// Reads pages. The stream is complete when it ends without error.
    async fn read(&self, ask: PlatformAsk) -> Result<Pages>;
    /// Records by reference, any order, as a page of the shape of [`PlatformAsk`] (with `DELETED` left out); absent
    /// ones are left out.
    async fn fetch(&self, model: &ModelName, key: &str, fields: &[String], records: &[RecordRef]) -> Result<Page>;
    /// Number of records (rows) of a model that pass the filter.
    async fn count(&self, model: &ModelName, filter: &[Condition]) -> Result<u64>;
    /// Writes records. One outcome per change, same order.
    async fn write(&self, ask: &WriteAsk, batch: &[Change]) -> Result<Vec<Outcome>>;
    /// Loads pages into a series or dataset, columnar, all of them in one operation.
    async fn load(&self, model: &ModelName, load: &Load, pages: Pages) -> Result<Loaded>;
    /// Takes over a target that another store marked.
    async fn adopt(&self, fence: &Fence) -> Result<()>;
}
