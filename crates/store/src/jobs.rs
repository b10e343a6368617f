//! The queue of the scheduler and its workers.

use async_trait::async_trait;
use tidegate_model::error::Result;
use tidegate_model::ports::{Holder, ProcessId};
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
    /// That worker's process, where its system tells.
    pub process: Option<ProcessId>,
    /// That worker's last sign of life.
    pub beat_at: Option<Instant>,
    /// What was asked for besides (JSON).
    pub ask: String,
    /// The configuration that it was asked with; empty: any.
    pub config_hash: String,
}

/// A job as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The sync to run.
    pub sync: String,
    /// What asks for it: `manual`, `schedule`, `retry`, …
    pub trigger: String,
    /// `full`, `changes`, …
    pub mode: String,
    /// When it may start.
    pub due_at: Instant,
    /// What is asked for besides (JSON).
    pub ask: String,
    /// The configuration that it is asked with; empty: any.
    pub config_hash: String,
}

impl NewJob {
    /// A job without further wishes.
    pub fn new(sync: &str, trigger: &str, mode: &str, due_at: Instant) -> Self {
        let (sync, trigger, mode) = (sync.to_owned(), trigger.to_owned(), mode.to_owned());
        Self { sync, trigger, mode, due_at, ask: "{}".to_owned(), config_hash: String::new() }
    }
}

/// The queue: at most one waiting job per sync, and no two living workers at one sync.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Puts a job into the queue. False if the sync had a waiting one; it then starts at the earlier of both times, and
    /// as a person asks, if a person does: what they want stands above the schedule's.
    async fn put_job(&self, job: &NewJob) -> Result<bool>;
    /// The same, without further wishes.
    async fn enqueue(&self, sync: &str, trigger: &str, mode: &str, due: Instant) -> Result<bool> {
        self.put_job(&NewJob::new(sync, trigger, mode, due)).await
    }
    /// Takes the job that is due the longest; one whose worker has been silent for a lease counts as waiting.
    async fn claim_job(&self, holder: &str, now: Instant) -> Result<Option<Job>>;
    /// Takes this job, under the same rules; `None` if somebody else was faster.
    async fn claim_this(&self, job: i64, holder: &Holder, now: Instant) -> Result<Option<Job>>;
    /// A worker's sign of life. False if the job is no longer its own.
    async fn beat_job(&self, job: i64, holder: &str, now: Instant) -> Result<bool>;
    /// Takes a job out of the queue. False if it is no longer the worker's own.
    async fn finish_job(&self, job: i64, holder: &str) -> Result<bool>;
    /// Gives a job back, to start no earlier than `due`. False if it is no longer the holder's own. Where another job
    /// of the sync waits already, that one stands for both.
    async fn give_back(&self, job: i64, holder: &str, due: Instant) -> Result<bool>;
    /// Takes a waiting job out of the queue. False if none waits.
    async fn drop_waiting(&self, sync: &str) -> Result<bool>;
    /// All jobs, by due time.
    async fn jobs(&self) -> Result<Vec<Job>>;
}

#[async_trait]
impl Jobs for Store {
    async fn put_job(&self, job: &NewJob) -> Result<bool> {
        let job = job.clone();
        write_tx!(self, |tx| ops::jobs::put(tx, &job).await)
    }
    async fn claim_job(&self, holder: &str, now: Instant) -> Result<Option<Job>> {
        let holder = Holder { name: holder.to_owned(), process: None };
        write_tx!(self, |tx| ops::jobs::claim(tx, None, &holder, now).await)
    }
    async fn claim_this(&self, job: i64, holder: &Holder, now: Instant) -> Result<Option<Job>> {
        let holder = holder.clone();
        write_tx!(self, |tx| ops::jobs::claim(tx, Some(job), &holder, now).await)
    }
    async fn beat_job(&self, job: i64, holder: &str, now: Instant) -> Result<bool> {
        let holder = holder.to_owned();
        write_tx!(self, |tx| ops::jobs::beat(tx, job, &holder, now).await)
    }
    async fn finish_job(&self, job: i64, holder: &str) -> Result<bool> {
        let holder = holder.to_owned();
        write_tx!(self, |tx| ops::jobs::finish(tx, job, &holder).await)
    }
    async fn give_back(&self, job: i64, holder: &str, due: Instant) -> Result<bool> {
        let holder = holder.to_owned();
        write_tx!(self, |tx| ops::jobs::give_back(tx, job, &holder, due).await)
    }
    async fn drop_waiting(&self, sync: &str) -> Result<bool> {
        let sync = sync.to_owned();
        write_tx!(self, |tx| ops::jobs::drop_waiting(tx, &sync).await)
    }
    async fn jobs(&self) -> Result<Vec<Job>> {
        read_tx!(self, |tx| ops::jobs::list(tx).await)
    }
}
