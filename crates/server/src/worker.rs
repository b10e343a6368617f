//! The worker: takes jobs from the queue that all workers share, runs them, and says what became of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tidegate_engine::plan::due::CLOCK_SET_BACK_MS_MAX;
use tidegate_model::error::ErrorKind;
use tidegate_model::ports::{Cancel, Holder};
use tidegate_model::run::{RunRecord, RunStatus};
use tidegate_model::{Error, Instant, Result};
use tidegate_store::{Job, Jobs};
use tokio::task::{Id, JoinError, JoinSet};

use crate::facts::Facts;
use crate::options::{BEAT_MS, LOCKED_WAIT_MS, LOCKED_WAIT_MS_MAX, RUNS_LOOKED_AT};
use crate::ports::{Clock, RunAsk, Runner, StateView};
use crate::project::Project;
use crate::queue::{is_at_work, startable};
use crate::status::Status;

/// A run at work here.
struct AtWork {
    job: Job,
    cancel: Cancel,
    started: Instant,
    beat: Instant,
}

/// How a run ended here.
pub(crate) struct Ended {
    /// The sync.
    pub(crate) sync: String,
    /// Its record, or why there is none.
    pub(crate) outcome: Result<RunRecord>,
}

/// Takes and runs jobs.
pub(crate) struct Worker {
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) state: Arc<dyn StateView>,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Arc<Status>,
    pub(crate) holder: Holder,
    pub(crate) parallel_max: usize,
    tasks: JoinSet<Result<RunRecord>>,
    at_work: HashMap<Id, AtWork>,
    /// Parts of others' runs that are delivered here.
    helping: JoinSet<Result<bool>>,
    stop_helping: Cancel,
    /// Jobs of which it was said that they are left to others.
    left: BTreeSet<(String, String)>,
}

impl Worker {
    pub(crate) fn new(
        runner: Arc<dyn Runner>,
        state: Arc<dyn StateView>,
        jobs: Arc<dyn Jobs>,
        clock: Arc<dyn Clock>,
        status: Arc<Status>,
        (holder, parallel_max): (Holder, usize),
    ) -> Self {
        let (tasks, at_work, left) = (JoinSet::new(), HashMap::new(), BTreeSet::new());
        let (helping, stop_helping) = (JoinSet::new(), Cancel::default());
        let parallel_max = parallel_max.max(1);
        Self { runner, state, jobs, clock, status, holder, parallel_max, tasks, at_work, helping, stop_helping, left }
    }

    /// A sign of life for what is at work here, and jobs of workers that are known to be gone are given back.
    pub(crate) async fn beat(&mut self, queue: &[Job], now: Instant) -> Result<()> {
        for work in self.at_work.values_mut().filter(|work| now.millis_since(work.beat) >= BEAT_MS) {
            // Whether it is still ours is the lease's question: a run that lost that cannot settle.
            self.jobs.beat_job(work.job.id, &self.holder.name, now).await?;
            work.beat = now;
        }
        for job in queue.iter().filter(|job| is_at_work(job, now)) {
            if let (Some(holder), Some(process)) = (&job.holder, &job.process)
                && self.runner.is_gone(process)
                && self.jobs.give_back(job.id, holder, job.due_at).await?
            {
                tracing::warn!(sync = job.sync, holder, "{}: its worker is gone, the run goes on elsewhere", job.sync);
            }
        }
        Ok(())
    }

    /// Starts what may start, as long as there is room.
    pub(crate) async fn start(&mut self, project: &Project, now: Instant) -> Result<()> {
        self.reap();
        let queue = self.jobs.jobs().await?;
        let mut began = BTreeSet::new();
        for job in startable(&queue, &project.before, now) {
            if self.at_work.len() + self.helping.len() >= self.parallel_max {
                break;
            }
            if !self.fits(project, job) {
                continue;
            }
            let Some(job) = self.jobs.claim_this(job.id, &self.holder, now).await? else { continue };
            began.insert(job.id);
            if self.is_served(&job, now).await? {
                self.jobs.finish_job(job.id, &self.holder.name).await?;
                continue;
            }
            self.run(job, now);
        }
        self.help().await?;
        let waiting = queue.iter().filter(|job| job.due_at <= now && !is_at_work(job, now) && !began.contains(&job.id));
        let waiting = waiting.count();
        self.status.measure(|metrics| metrics.board(waiting, self.at_work.len()));
        Ok(())
    }

    /// Takes note of help that has ended.
    fn reap(&mut self) {
        while let Some(ended) = self.helping.try_join_next() {
            match ended {
                Ok(Ok(_)) => {}
                Ok(Err(error)) if matches!(error.kind, ErrorKind::LeaseLost | ErrorKind::Cancelled) => {
                    tracing::info!(code = error.code(), "a part of another process's run was let go of: {error}");
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        code = error.code(),
                        "a part of another process's run was not delivered here: {error}"
                    );
                }
                Err(error) => tracing::warn!("a part of another process's run was dropped here: {error}"),
            }
        }
    }

    /// With room left, parts of others' runs are taken.
    async fn help(&mut self) -> Result<()> {
        let room = self.parallel_max.saturating_sub(self.at_work.len() + self.helping.len());
        if room == 0 {
            return Ok(());
        }
        for _ in 0..self.runner.offered().await?.min(room) {
            let (runner, cancel) = (Arc::clone(&self.runner), self.stop_helping.clone());
            self.helping.spawn(async move { runner.help(cancel).await });
        }
        Ok(())
    }

    /// Waits until what is helped with here was let go of.
    pub(crate) async fn helped(&mut self) {
        while self.helping.join_next().await.is_some() {}
    }

    /// Whether this project is the one that the job was asked with.
    fn fits(&mut self, project: &Project, job: &Job) -> bool {
        let fits = match project.syncs.get(&job.sync) {
            None => false,
            Some(info) => job.config_hash.is_empty() || info.config_hash == job.config_hash,
        };
        let mark = (job.sync.clone(), job.config_hash.clone());
        if fits {
            self.left.remove(&mark);
        } else if self.left.insert(mark) {
            tracing::warn!(
                sync = job.sync,
                code = "other_configuration",
                "{}: a run waits that was asked with another configuration than this process has; it is left to others. \
                 Bring the project's files of all workers to the same state",
                job.sync
            );
        }
        fits
    }

    /// Whether a run has begun since the slot of a scheduled job: another scheduler's, or one by hand.
    async fn is_served(&self, job: &Job, now: Instant) -> Result<bool> {
        if job.trigger != "schedule" {
            return Ok(false);
        }
        let facts = Facts::of(&self.state.recent_runs(&job.sync, RUNS_LOOKED_AT).await?, false);
        let believed = |last: &Instant| last.millis_since(now) <= CLOCK_SET_BACK_MS_MAX;
        Ok(facts.last_started.filter(believed).is_some_and(|last| last > job.due_at))
    }

    fn run(&mut self, job: Job, now: Instant) {
        let (sync, trigger) = (job.sync.clone(), job.trigger.clone());
        tracing::info!(sync, trigger, "{sync}: a run starts");
        let cancel = Cancel::default();
        let ask = RunAsk { sync, trigger, full: job.mode == "full", wishes: job.ask.clone(), cancel: cancel.clone() };
        let runner = Arc::clone(&self.runner);
        let task = self.tasks.spawn(async move { runner.run(ask).await });
        self.at_work.insert(task.id(), AtWork { job, cancel, started: now, beat: now });
    }

    /// Waits for the next run to end; `None` if none is at work.
    pub(crate) async fn next_end(&mut self) -> Option<std::result::Result<(Id, Result<RunRecord>), JoinError>> {
        self.tasks.join_next_with_id().await
    }

    /// Takes note of an end; which it was. `stopping`: what was cut short by our own end is given back, for whoever is
    /// next.
    pub(crate) async fn ended(
        &mut self,
        ended: std::result::Result<(Id, Result<RunRecord>), JoinError>,
        stopping: bool,
    ) -> Option<Ended> {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let what = if error.is_panic() { "panicked" } else { "was dropped" };
                (error.id(), Err(Error::internal(format!("the run {what}"))))
            }
        };
        let work = self.at_work.remove(&id)?;
        let now = self.clock.now();
        let wait = match &outcome {
            Ok(run) if stopping && run.status == RunStatus::Cancelled => Some(0),
            // Held elsewhere is nobody's failure: it is tried again when it may be free.
            Err(error) if error.kind == ErrorKind::Locked => {
                let told = error.retry_after.and_then(|wait| i64::try_from(wait.as_millis()).ok());
                Some(told.map_or(LOCKED_WAIT_MS, |ms| ms.clamp(1_000, LOCKED_WAIT_MS_MAX)))
            }
            _ => None,
        };
        let left = match wait {
            Some(ms) => self.jobs.give_back(work.job.id, &self.holder.name, now.plus_millis(ms)).await,
            None => self.jobs.finish_job(work.job.id, &self.holder.name).await,
        };
        let sync = work.job.sync;
        if let Err(error) = left {
            // The job is then found as one whose worker fell silent; the runs that it made say what was done.
            tracing::warn!(sync, code = error.code(), "{sync}: the queue could not be told how the run ended: {error}");
        }
        if outcome.is_err() {
            tracing::debug!(sync, ms = now.millis_since(work.started), "{sync}: the run did not begin");
        }
        Some(Ended { sync, outcome })
    }

    /// How many runs are at work here.
    pub(crate) fn at_work_len(&self) -> usize {
        self.at_work.len()
    }

    /// Asks what is at work to stop; how many that are.
    pub(crate) fn stop(&self) -> usize {
        self.stop_helping.cancel();
        self.at_work.values().for_each(|work| work.cancel.cancel());
        self.at_work.len()
    }

    /// Drops what is still at work. Its jobs are given back; their leases run out.
    pub(crate) async fn abandon(&mut self) {
        self.tasks.abort_all();
        self.helping.abort_all();
        for work in self.at_work.values() {
            let sync = work.job.sync.as_str();
            tracing::warn!(
                sync,
                "{sync}: the run did not reach a safe point in time and is dropped; the next one goes on"
            );
        }
        let now = self.clock.now();
        let back = async {
            for work in self.at_work.values() {
                if let Err(error) = self.jobs.give_back(work.job.id, &self.holder.name, now).await {
                    tracing::warn!(sync = work.job.sync, code = error.code(), "the queue could not be told: {error}");
                }
            }
        };
        // A state that does not answer must not hold up the end.
        if tokio::time::timeout(std::time::Duration::from_millis(500), back).await.is_err() {
            tracing::warn!(
                "the queue did not answer; the jobs are free once their worker has been silent for a minute"
            );
        }
    }
}
