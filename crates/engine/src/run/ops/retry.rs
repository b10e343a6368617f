//! `retry`: the source rows of open rejects are read again, and just these are run.

use tidegate_model::error::Result;
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;

use crate::api::{Engine, Job, RunOptions};
use crate::run::context::Ctx;
use crate::run::spans::{self, IfMissed};
use crate::run::{Work, columnar, keyed, resume};

impl Engine {
    /// Tries the open rejects again (of one key, if given): reads their source rows and runs just these.
    pub async fn retry(&self, job: &Job, key: Option<&Key>, options: &RunOptions) -> Result<RunRecord> {
        let mut options = options.clone();
        if options.trigger.is_empty() {
            options.trigger = "retry".to_owned();
        }
        self.recorded(job, &options, "retry", Retrying { key }).await.map(|(run, ())| run)
    }
}

struct Retrying<'k> {
    key: Option<&'k Key>,
}

impl Work for Retrying<'_> {
    type Made = ();
    async fn carry_out(self, ctx: &Ctx, run: &mut RunRecord) -> Result<()> {
        ctx.preflight().await?;
        if ctx.columnar() {
            return columnar::retry(ctx, run, self.key).await;
        }
        resume::resume(ctx, run).await?;
        let mut keys: Vec<Key> = match self.key {
            Some(key) => vec![key.clone()],
            None => ctx.rejected.iter().cloned().collect(),
        };
        keys.sort();
        let verdicts = keyed::verdicts(ctx, &keys).await?;
        spans::deliver(ctx, run, verdicts, IfMissed::LookAgain).await.map(drop)
    }
}
