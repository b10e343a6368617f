//! The operations on a sync besides running it.

use tidegate_model::error::Result;
use tidegate_model::finding::Finding;
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::span::Position;

use crate::api::{Applied, Drift, Engine, Job, PlanFile, PlanSink, PlanSummary, RunOptions, Why};

fn unwritten<T>() -> Result<T> {
    Err(tidegate_model::Error::internal("being written"))
}

impl Engine {
    /// What both sides would have to change before a run can work; with `rows`, the pre-flight on every row
    /// (`--rows`): each record that would be rejected, at most the first 1,000.
    pub async fn check(&self, job: &Job, rows: bool) -> Result<Vec<Finding>> {
        let _ = (job, rows);
        unwritten()
    }
    /// What a run would do. Writes nothing.
    pub async fn plan(&self, job: &Job, options: &RunOptions, sink: &mut dyn PlanSink) -> Result<PlanSummary> {
        let _ = (job, options, sink);
        unwritten()
    }
    /// Carries out a plan file: refuses on a changed configuration, an expired plan (24 h) or a broken guard.
    pub async fn apply(&self, job: &Job, plan: &PlanFile) -> Result<Applied> {
        let _ = (job, plan);
        unwritten()
    }
    /// Puts a run's before-images back where nobody changed the value since, and pauses the sync's automation.
    pub async fn undo(&self, job: &Job, run: &str) -> Result<Applied> {
        let _ = (job, run);
        unwritten()
    }
    /// Reads both readable sides back and reports drift.
    pub async fn verify(&self, job: &Job) -> Result<Vec<Drift>> {
        let _ = job;
        unwritten()
    }
    /// Mends the drift of the target sides (a plan that puts the ledger's values back).
    pub async fn repair(&self, job: &Job, drift: &[Drift]) -> Result<Applied> {
        let _ = (job, drift);
        unwritten()
    }
    /// Everything about one record.
    pub async fn why(&self, job: &Job, key: &Key) -> Result<Why> {
        let _ = (job, key);
        unwritten()
    }
    /// Forgets a sync's ledger and positions (recorded as a run); the number of entries that were dropped.
    pub async fn reset(&self, job: &Job, cursor: Option<Position>) -> Result<(RunRecord, u64)> {
        let _ = (job, cursor);
        unwritten()
    }
    /// Renames a key in the ledger, for a record held as `rekeyed`.
    pub async fn relink(&self, job: &Job, old: &Key, new: &Key) -> Result<()> {
        let _ = (job, old, new);
        unwritten()
    }
    /// Takes over the sync's targets from another store.
    pub async fn adopt(&self, job: &Job) -> Result<()> {
        let _ = job;
        unwritten()
    }
    /// Tries the open rejects again (of one key, if given): reads their source rows and runs just these.
    pub async fn retry(&self, job: &Job, key: Option<&Key>, options: &RunOptions) -> Result<RunRecord> {
        let _ = (job, key, options);
        unwritten()
    }
}
