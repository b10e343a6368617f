//! The right to run a sync: claimed, or taken over from a process that is surely gone.

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{CALL_MS_MAX, HEARTBEAT_MS, Held, Holder, Lease};
use tidegate_model::sync::Target;

use crate::api::{Engine, Job};

impl Engine {
    /// Claims a sync. If its holder is a process of this machine that has ended without giving the lease back, the
    /// lease is taken over at once, as far as nothing of that process can still be on its way.
    pub(crate) async fn claim(&self, job: &Job) -> Result<Lease> {
        let (sync, now) = (&job.sync.name, self.env.now());
        let holder = Holder { name: self.holder.clone(), process: self.env.process() };
        let locked = match self.memory.claim_as(sync, &holder, now).await {
            Err(error) if error.kind == ErrorKind::Locked => error,
            other => return other,
        };
        // A state that is locked as a whole says so here too, and then nothing is known of a holder.
        let Some(held) = self.memory.held(sync).await? else { return Err(locked) };
        if !held.holder.process.as_ref().is_some_and(|process| self.env.is_gone(process)) {
            return Err(locked);
        }
        let wait = self.on_its_way_ms(job, &held);
        if wait > 0 {
            return Err(still_on_its_way(sync, &held, wait));
        }
        let lease = self.memory.take_over(sync, held.epoch, &holder, now).await?;
        let line = format!("the process of run holder {} has ended: its lease is taken over", held.holder.name);
        self.listener.log(sync, None, &line);
        Ok(lease)
    }

    /// For how long a request of a process that is gone may still arrive. Where the target refuses what comes under an
    /// older epoch it does not matter; elsewhere the longest call after its last sign of life has to be over.
    fn on_its_way_ms(&self, job: &Job, held: &Held) -> i64 {
        let fenced = job.platform.abilities(&job.sync.model).exactly_once;
        if fenced || !job.sync.direction.reaches(Target::Platform) {
            return 0;
        }
        let longest = i64::try_from(HEARTBEAT_MS + CALL_MS_MAX).unwrap_or(i64::MAX);
        held.seen_at.plus_millis(longest).millis_since(self.env.now())
    }
}

fn still_on_its_way(sync: &str, held: &Held, wait_ms: i64) -> Error {
    let name = &held.holder.name;
    let mut error = Error::new(
        ErrorKind::Locked,
        format!("sync {sync} was run by {name}, whose process has ended; a request of it may still reach the platform"),
    )
    .hint(format!("try again: the sync is free in {} s", wait_ms / 1_000 + 1));
    error.retry_after = Some(std::time::Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)));
    error
}
