//! The queue of the scheduler and its workers.

use async_trait::async_trait;
use tidegate_model::error::Result;
use tidegate_model::time::Instant;

use crate::ops;
use crate::store::{Store, read_tx, write_tx};

/// A piece of work: one run of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// The sync to run.
    pub sync: String,
    /// What asked for it: `manual`, `schedule`, `retry`, …
    pub trigger: String,
    /// `full`, `changes`, …
    pub mode: String,
    /// When it may start.
    pub due_at: Instant,
    /// The worker that has it; `None` while it waits.
    pub holder: Option<String>,
    /// That worker's last sign of life.
    pub beat_at: Option<Instant>,
}

/// The queue: at most one waiting job per sync, and no two living workers at one sync.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Puts a job into the queue. False if the sync had a waiting one; it then starts at the earlier of both times.
    async fn enqueue(&self, sync: &str, trigger: &str, mode: &str, due: Instant) -> Result<bool>;
    /// Takes the job that is due the longest; one whose worker has been silent for a lease counts as waiting.
    async fn claim_job(&self, holder: &str, now: Instant) -> Result<Option<Job>>;
    /// A worker's sign of life. False if the job is no longer its own.
    async fn beat_job(&self, job: i64, holder: &str, now: Instant) -> Result<bool>;
    /// Takes a job out of the queue. False if it is no longer the worker's own.
    async fn finish_job(&self, job: i64, holder: &str) -> Result<bool>;
    /// All jobs, by due time.
    async fn jobs(&self) -> Result<Vec<Job>>;
}

#[async_trait]
impl Jobs for Store {
    async fn enqueue(&self, sync: &str, trigger: &str, mode: &str, due: Instant) -> Result<bool> {
        let (sync, trigger, mode) = (sync.to_owned(), trigger.to_owned(), mode.to_owned());
        write_tx!(self, |tx| ops::jobs::enqueue(tx, &sync, &trigger, &mode, due).await)
    }
    async fn claim_job(&self, holder: &str, now: Instant) -> Result<Option<Job>> {
        let holder = holder.to_owned();
        write_tx!(self, |tx| ops::jobs::claim(tx, &holder, now).await)
    }
    async fn beat_job(&self, job: i64, holder: &str, now: Instant) -> Result<bool> {
        let holder = holder.to_owned();
        write_tx!(self, |tx| ops::jobs::beat(tx, job, &holder, now).await)
    }
    async fn finish_job(&self, job: i64, holder: &str) -> Result<bool> {
        let holder = holder.to_owned();
        write_tx!(self, |tx| ops::jobs::finish(tx, job, &holder).await)
    }
    async fn jobs(&self) -> Result<Vec<Job>> {
        read_tx!(self, |tx| ops::jobs::list(tx).await)
    }
}
