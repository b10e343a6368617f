//! `reset`, `relink`, `adopt`.

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{Lease, Settlement, StatePatch};
use tidegate_model::record::Key;
use tidegate_model::run::{Books, RunRecord, RunStatus};
use tidegate_model::span::{Fence, Position};
use tidegate_model::sync::Target;

use crate::api::{Engine, Job};

impl Engine {
    /// Forgets a sync's ledger and positions (recorded as a run); the number of entries that were dropped.
    pub async fn reset(&self, job: &Job, cursor: Option<Position>) -> Result<(RunRecord, u64)> {
        let lease = self.claim(job).await?;
        let done = self.reset_under(&lease, job.config_hash.clone(), cursor).await;
        self.memory.release(&lease).await?;
        done
    }

    /// Forgets the ledger and positions of a sync that the project has no more.
    pub async fn reset_removed(&self, sync: &str) -> Result<(RunRecord, u64)> {
        let lease = self.memory.claim(sync, &self.holder, self.env.now()).await?;
        let done = self.reset_under(&lease, String::new(), None).await;
        self.memory.release(&lease).await?;
        done
    }

    async fn reset_under(
        &self,
        lease: &Lease,
        config_hash: String,
        cursor: Option<Position>,
    ) -> Result<(RunRecord, u64)> {
        let dropped = self.memory.state(&lease.sync).await?.linked;
        let now = self.env.now();
        let mut run = RunRecord {
            run: self.env.new_id(),
            sync: lease.sync.clone(),
            status: RunStatus::Running,
            mode: "reset".to_owned(),
            trigger: "manual".to_owned(),
            books: Books::default(),
            started_at: now,
            finished_at: None,
            warehouse_ms: None,
            bytes_billed: None,
            error: None,
            config_hash,
        };
        self.memory.put_run(lease, &run).await?;
        let patch = StatePatch { reset: true, reset_cursor: cursor, ..StatePatch::default() };
        let settlement = Settlement { run: run.run.clone(), patch, ..Settlement::default() };
        self.memory.settle(lease, &settlement).await?;
        run.status = RunStatus::Succeeded;
        run.finished_at = Some(self.env.now());
        self.memory.put_run(lease, &run).await?;
        Ok((run, dropped))
    }

    /// Renames a key in the ledger, for a record held as `rekeyed`.
    pub async fn relink(&self, job: &Job, old: &Key, new: &Key) -> Result<()> {
        let lease = self.claim(job).await?;
        let done = self.memory.relink(&lease, old, new).await;
        self.memory.release(&lease).await?;
        if done? {
            return Ok(());
        }
        Err(Error::config(format!("sync {}: cannot relink `{old}` to `{new}`", job.sync.name)).hint(format!(
            "the old key has to be in the ledger and the new one must not; see `tidegate why {} {old}`",
            job.sync.name
        )))
    }

    /// Takes over the sync's targets from another store.
    pub async fn adopt(&self, job: &Job) -> Result<()> {
        let lease = self.claim(job).await?;
        let done = async {
            let store = self.memory.store_id().await?;
            let fence = Fence { sync: job.sync.name.clone(), store, epoch: lease.epoch };
            if job.sync.direction.reaches(Target::Platform) {
                job.platform.adopt(&fence).await?;
            }
            if job.sync.direction.reaches(Target::Warehouse) {
                job.warehouse.adopt(&fence).await?;
            }
            Ok(())
        };
        let done = done.await;
        self.memory.release(&lease).await?;
        done
    }
}
