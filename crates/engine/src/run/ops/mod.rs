//! The operations on a sync besides running it.

mod admin;
mod apply;
mod check;
mod known;
mod plan;
mod retry;
mod undo;
mod verify;
mod why;

pub(crate) use plan::whole;
use tidegate_model::error::Result;
use tidegate_model::ports::Lease;

use crate::api::{Engine, Job, RunOptions};

use super::context::Ctx;

/// A context that only looks: under no lease, so that nothing can be settled with it.
pub(super) async fn looking(engine: &Engine, job: &Job, options: &RunOptions) -> Result<Ctx> {
    let lease = Lease { sync: job.sync.name.clone(), holder: engine.holder.clone(), epoch: -1 };
    Ctx::open(engine, job, options, lease, "").await
}
