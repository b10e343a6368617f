//! Doing, with effects: one run of one sync from claim to settle, and the other operations on a sync.

mod aside;
mod ask;
mod batch;
pub mod calls;
pub mod columnar;
mod context;
mod cursor;
mod decided;
mod deliver;
mod detect;
mod fallen;
mod folded;
mod goes_on;
mod ground;
mod history;
mod judged;
mod keyed;
mod lease;
mod ledger;
mod looks;
mod noted;
mod ops;
pub mod pace;
mod records;
mod resume;
pub mod retry;
mod rows;
mod send;
mod settle;
mod shards;
mod sink;
mod sorted;
mod spans;
mod wanted;

use std::sync::Arc;

use futures_util::future::{Either, select};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{HEARTBEAT_MS, Holder, Lease};
use tidegate_model::run::{Books, RunError, RunRecord, RunStatus};

use crate::api::{Engine, Job, RunOptions, size};

use context::Ctx;

/// How often a run looks whether somebody asked it to stop, in milliseconds.
const CANCEL_POLL_MS: u64 = 1_000;

/// What a recorded run does between its claim and its end. A trait and not a closure, so that its future is known to
/// be `Send`: `serve` runs syncs on a shared runtime.
pub(crate) trait Work: Send {
    /// What it makes besides the run's record.
    type Made: Default + Send;
    /// Does it.
    fn carry_out(self, ctx: &Ctx, run: &mut RunRecord) -> impl Future<Output = Result<Self::Made>> + Send;
}

/// A sync, run once.
struct Syncing;

impl Work for Syncing {
    type Made = ();
    async fn carry_out(self, ctx: &Ctx, run: &mut RunRecord) -> Result<()> {
        ctx.preflight().await?;
        ctx.note_new_columns().await?;
        if ctx.columnar() { columnar::run(ctx, run).await } else { records::run(ctx, run).await }
    }
}

impl Engine {
    /// Runs a sync once. The record says what became of it; an error is returned only where no run could be recorded
    /// (the lease is held elsewhere, the store cannot be reached).
    pub async fn run(&self, job: &Job, options: &RunOptions) -> Result<RunRecord> {
        let mode = if options.full { "full" } else { "auto" };
        self.recorded(job, options, mode, Syncing).await.map(|(run, ())| run)
    }

    /// Claims the sync, records a run around some work, and settles what became of it. What the work made comes back
    /// with the record; nothing if it failed.
    pub(crate) async fn recorded<W: Work>(
        &self,
        job: &Job,
        options: &RunOptions,
        mode: &str,
        work: W,
    ) -> Result<(RunRecord, W::Made)> {
        let lease = self.claim(job).await?;
        let mut run = self.new_run(&job.sync.name, &job.config_hash, options, mode);
        // Of a connection that other syncs use meanwhile, what this run is billed.
        let job = &job.metered();
        let billed = job.warehouse.billed();
        let outcome = self.within(job, options, &lease, &mut run, billed, work).await;
        let released = self.memory.release(&lease).await;
        let made = outcome?;
        released?;
        Ok((run, made))
    }

    /// Records a run that could not begin because of what the files or the two sides say: whoever looks at the sync's
    /// runs has to find it there.
    pub async fn refused(&self, sync: &str, config_hash: &str, options: &RunOptions, why: &Error) -> Result<RunRecord> {
        let holder = Holder { name: self.holder.clone(), process: self.env.process() };
        let lease = self.memory.claim_as(sync, &holder, self.env.now()).await?;
        let mode = if options.full { "full" } else { "auto" };
        let mut run = self.new_run(sync, config_hash, options, mode);
        run.status = RunStatus::Failed;
        run.finished_at = Some(run.started_at);
        run.error = Some(shown(why));
        let done = async {
            self.end_interrupted(&lease).await?;
            self.memory.put_run(&lease, &run).await
        };
        let done = done.await;
        self.memory.release(&lease).await?;
        done.map(|()| run)
    }

    fn new_run(&self, sync: &str, config_hash: &str, options: &RunOptions, mode: &str) -> RunRecord {
        let trigger = if options.trigger.is_empty() { "manual" } else { options.trigger.as_str() };
        RunRecord {
            run: self.env.new_id(),
            sync: sync.to_owned(),
            status: RunStatus::Running,
            mode: mode.to_owned(),
            trigger: trigger.to_owned(),
            books: Books::default(),
            started_at: self.env.now(),
            finished_at: None,
            warehouse_ms: None,
            bytes_billed: None,
            error: None,
            config_hash: config_hash.to_owned(),
        }
    }

    async fn within<W: Work>(
        &self,
        job: &Job,
        options: &RunOptions,
        lease: &Lease,
        run: &mut RunRecord,
        billed: Option<u64>,
        work: W,
    ) -> Result<W::Made> {
        self.end_interrupted(lease).await?;
        self.memory.put_run(lease, run).await?;
        self.env.failpoint("run.started");
        let id = run.run.clone();
        let beat = std::pin::pin!(self.beat(lease, &id, options));
        let mut under_way = Arc::default();
        let (done, fell) = {
            let body = Box::pin(fallen::caught(async {
                let ctx = Ctx::open(self, job, options, lease.clone(), &id).await?;
                under_way = Arc::clone(&ctx.under_way);
                work.carry_out(&ctx, run).await
            }));
            match select(body, beat).await {
                Either::Left((Some(done), _)) => (done, false),
                Either::Left((None, _)) => (Err(fallen::error(&job.sync.name)), true),
                Either::Right((error, _)) => (Err(error), false),
            }
        };
        self.env.failpoint("run.before_finish");
        let cancelled = matches!(&done, Err(error) if error.kind == ErrorKind::Cancelled);
        // What a fault of ours leaves in the middle says nothing of the books.
        run.status = if fell { RunStatus::Failed } else { run.books.status(done.is_err(), cancelled) };
        run.error = done.as_ref().err().map(shown);
        run.finished_at = Some(self.env.now());
        run.bytes_billed = job.warehouse.billed().map(|now| now.saturating_sub(billed.unwrap_or(0)));
        if let Some(bytes) = run.bytes_billed {
            let line = format!("the warehouse billed {}", size(bytes));
            self.listener.log(&run.sync, Some(&id), &line);
            self.memory.log(&id, run.finished_at.unwrap_or(run.started_at), &line).await?;
        }
        self.memory.put_run(lease, run).await?;
        if fell {
            self.await_cut_off(job, &id, &under_way).await?;
        }
        Ok(done.unwrap_or_default())
    }

    /// Runs of the sync that a killed process left behind are over: what they had opened is resumed by this one.
    async fn end_interrupted(&self, lease: &Lease) -> Result<()> {
        for mut old in self.memory.runs(Some(&lease.sync), 20).await? {
            if old.status != RunStatus::Running {
                continue;
            }
            old.status = RunStatus::Failed;
            old.finished_at = Some(self.env.now());
            old.error = Some(RunError {
                code: "interrupted".to_owned(),
                message: "the process ended in the middle of the run".to_owned(),
                hint: Some("nothing to do: the next run goes on where this one stopped".to_owned()),
            });
            self.memory.put_run(lease, &old).await?;
        }
        Ok(())
    }

    /// Keeps the lease alive and listens for a wish to stop. Ends only with an error.
    async fn beat(&self, lease: &Lease, run: &str, options: &RunOptions) -> Error {
        let mut since = 0;
        loop {
            self.env.sleep(CANCEL_POLL_MS).await;
            since += CANCEL_POLL_MS;
            match self.memory.cancel_requested(run).await {
                Ok(true) => options.cancel.cancel(),
                Ok(false) => {}
                Err(error) => return error,
            }
            if since >= HEARTBEAT_MS {
                since = 0;
                if let Err(error) = self.memory.heartbeat(lease, self.env.now()).await {
                    return error;
                }
            }
        }
    }
}

/// An error as a run's record holds it.
pub(crate) fn shown(error: &Error) -> RunError {
    RunError { code: error.code().to_owned(), message: error.to_string(), hint: error.hint.clone() }
}
