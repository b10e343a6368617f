//! The lease of the job, renewed beside the work. Two tasks that overlap deliver once: one has the lease, the other
//! finds it taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tidegate_model::ports::{Cancel, Env};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_warehouses::snowflake::job::{Claim, JobTables, LEASE_S};
use tokio::task::JoinHandle;

/// How often the lease is renewed: four renewals may fail until it is over.
const RENEW_EVERY: Duration = Duration::from_secs(25);
/// A call to Batch ends within 50 s. One that begins while the lease was renewed less than this ago ends before it does.
const SURE_MS: i64 = (LEASE_S as i64 - 60) * 1_000;

/// A lease that is held.
pub struct Held {
    tables: Arc<JobTables>,
    env: Arc<dyn Env>,
    /// The claim.
    pub claim: Claim,
    renewed_ms: AtomicI64,
    lost: AtomicBool,
}

/// Renews a lease until it is dropped.
pub struct Beat(JoinHandle<()>);

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Held {
    /// Takes the lease, or says who is in the way.
    pub async fn take(
        tables: &Arc<JobTables>,
        env: &Arc<dyn Env>,
        sync: &str,
        holder: &str,
        cancel: &Cancel,
    ) -> Result<Arc<Self>> {
        let before = env.now().0 / 1_000;
        let claim = tidegate_engine::run::retry::insist(&**env, cancel, || tables.claim(sync, holder)).await?;
        let Some(claim) = claim else {
            let until = tables.held_until(sync).await?.unwrap_or_else(|| "a moment ago".to_owned());
            return Err(Error::new(
                ErrorKind::LeaseLost,
                format!("another task delivers from {sync} now: it holds the lease until {until} (UTC) and renews it"),
            )
            .hint("nothing is lost: what changed waits, and that task or the next one delivers it"));
        };
        let (renewed_ms, lost) = (AtomicI64::new(before), AtomicBool::new(false));
        Ok(Arc::new(Self { tables: tables.clone(), env: env.clone(), claim, renewed_ms, lost }))
    }

    /// Renews it beside the work.
    pub fn beat(self: &Arc<Self>) -> Beat {
        let held = self.clone();
        Beat(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                // What cannot be renewed now is tried again; who is about to call looks at the time.
                let _tried_again = held.renew().await;
            }
        }))
    }

    async fn renew(&self) -> Result<()> {
        let before = self.env.now().0 / 1_000;
        if self.tables.renew(&self.claim).await? {
            self.renewed_ms.fetch_max(before, Ordering::SeqCst);
        } else {
            self.lost.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// An error unless the lease holds for as long as a call may take.
    pub async fn sure(&self) -> Result<()> {
        let young = |held: &Self| held.env.now().0 / 1_000 - held.renewed_ms.load(Ordering::SeqCst) < SURE_MS;
        if !self.lost.load(Ordering::SeqCst) && !young(self) {
            self.renew().await?;
        }
        if self.lost.load(Ordering::SeqCst) || !young(self) {
            return Err(Error::new(
                ErrorKind::LeaseLost,
                "another task took the lease over while this one was held up",
            )
            .hint("nothing is lost: that task delivers what waits in the outbox"));
        }
        Ok(())
    }

    /// Gives it back.
    pub async fn release(&self) -> Result<()> {
        self.tables.release(&self.claim).await
    }
}
