//! Doing, with effects: one run of one sync from claim to settle, and the other operations on a sync.

pub mod columnar;
mod ops;

use tidegate_model::error::Result;
use tidegate_model::run::RunRecord;

use crate::api::{Engine, Job, RunOptions};

impl Engine {
    /// Runs a sync once. The record says what became of it; an error is returned only where no run could be recorded
    /// (the lease is held elsewhere, the store cannot be reached).
    pub async fn run(&self, job: &Job, options: &RunOptions) -> Result<RunRecord> {
        let _ = (job, options);
        Err(tidegate_model::Error::internal("being written"))
    }
}
