//! A run that falls over in the middle, by a fault of ours: the process may live on (`serve` and `work` do), so the run
//! has to end like any other that failed, and give back its sync.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::CALL_MS_MAX;

use crate::api::{Engine, Job};

/// The end of some work; `None` if it panicked. What it had in hand is dropped and never looked at again, so that
/// nothing can be seen half done: the next run reads the state, which moves in transactions.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

/// What to do about a fault of ours.
const HINT: &str =
    "the next run goes on where this one stopped; please report it with what the process printed of the panic";

/// Why a run that panicked failed. What the panic says is not repeated: it may hold values of rows.
pub(crate) fn error(sync: &str) -> Error {
    let what = format!("sync {sync}: the run broke off in the middle, by a fault of tidegate's own (a panic)");
    Error::internal(what).hint(HINT)
}

/// The same where only work on some records did, on another thread.
pub(crate) fn aside() -> Error {
    Error::internal("work on some records broke off in the middle, by a fault of tidegate's own (a panic)").hint(HINT)
}

impl Engine {
    /// Calls that were cut off may still arrive. Where the target cannot tell that they are old, the sync is kept until
    /// the longest call is over: the next run would otherwise look too early at what became of them.
    pub(crate) async fn await_cut_off(&self, job: &Job, run: &str, under_way: &AtomicU64) -> Result<()> {
        if under_way.load(Ordering::Relaxed) == 0 || job.platform.abilities(&job.sync.model).exactly_once {
            return Ok(());
        }
        let line = format!(
            "a request that was cut off may still reach the platform: the sync is free in {} s",
            CALL_MS_MAX / 1_000
        );
        self.listener.log(&job.sync.name, Some(run), &line);
        self.memory.log(run, self.env.now(), &line).await?;
        self.env.sleep(CALL_MS_MAX).await;
        Ok(())
    }
}
