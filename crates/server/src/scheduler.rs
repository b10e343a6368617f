//! The loop: look at what is due, queue it, run it, note what became of it; and the way out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tidegate_engine::plan::due::{Decision, Entry, due, predecessors, run_order};
use tidegate_model::error::ErrorKind;
use tidegate_model::run::{RunRecord, RunStatus};
use tidegate_model::{Error, Instant, Result};
use tokio::task::{Id, JoinError, JoinSet};

use crate::board::Board;
use crate::facts::{Attempt, Facts, Settings, entry, resume, scheduled, scheduled_value};
use crate::metrics::SyncGauges;
use crate::options::{REFRESH_MS, RUNS_LOOKED_AT, ServeOptions};
use crate::ports::{Clock, RunAsk, Runner, StateView, SyncInfo};
use crate::status::Status;
use crate::watch::Watch;

/// The project as it was last read.
#[derive(Debug, Default)]
struct Project {
    syncs: Arc<BTreeMap<String, SyncInfo>>,
    order: Vec<String>,
    before: BTreeMap<String, BTreeSet<String>>,
    read_at: Option<Instant>,
    problem: Option<String>,
}

/// Scheduler and worker.
pub(crate) struct Scheduler {
    options: ServeOptions,
    runner: Arc<dyn Runner>,
    state: Arc<dyn StateView>,
    clock: Arc<dyn Clock>,
    status: Arc<Status>,
    project: Project,
    board: Board,
    tasks: JoinSet<Result<RunRecord>>,
    at_work: HashMap<Id, (String, Instant)>,
    facts: BTreeMap<String, (Facts, Instant)>,
    attempts: BTreeMap<String, Attempt>,
    settings: Settings,
    watch: Watch,
}

impl Scheduler {
    pub(crate) fn new(
        options: ServeOptions,
        runner: Arc<dyn Runner>,
        state: Arc<dyn StateView>,
        clock: Arc<dyn Clock>,
        status: Arc<Status>,
    ) -> Self {
        Self {
            options,
            runner,
            state,
            clock,
            status,
            project: Project::default(),
            board: Board::default(),
            tasks: JoinSet::new(),
            at_work: HashMap::new(),
            facts: BTreeMap::new(),
            attempts: BTreeMap::new(),
            settings: Settings::default(),
            watch: Watch::default(),
        }
    }

    /// Goes round until told to stop, then ends what is at work.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        loop {
            // A store that does not answer must not keep us from ending.
            tokio::select! {
                () = &mut stop => return self.wind_down().await,
                () = self.tick() => {}
            }
            let clock = Arc::clone(&self.clock);
            let wait = clock.sleep(self.options.tick_ms);
            tokio::pin!(wait);
            loop {
                tokio::select! {
                    () = &mut stop => return self.wind_down().await,
                    () = &mut wait => break,
                    Some(ended) = self.tasks.join_next_with_id() => {
                        self.ended(ended, false).await;
                        // what waited for it need not wait for the next tick
                        self.start();
                    }
                }
            }
        }
    }

    async fn tick(&mut self) {
        let now = self.clock.now();
        self.read_project(now).await;
        match self.plan(now).await {
            Ok(decisions) => {
                for decision in &decisions {
                    self.watch.decided(decision);
                    if decision.due.is_some() && self.board.push(&decision.sync) {
                        tracing::debug!(sync = decision.sync, "{}: queued", decision.sync);
                    }
                }
                if self.status.store_is_down() {
                    tracing::warn!("the state can be read again");
                }
                self.status.ticked(now, self.gauges(&decisions), self.project.problem.is_none());
                self.start();
            }
            // Nothing is started on what cannot be known; the next tick looks again.
            Err(error) => {
                if self.status.store_failed(&error.to_string()) {
                    let hint = error.hint.as_deref().unwrap_or("");
                    tracing::error!(code = error.code(), hint, "the state cannot be read, no run is started: {error}");
                }
            }
        }
    }

    async fn read_project(&mut self, now: Instant) {
        let fresh = |read: Instant| (0..REFRESH_MS).contains(&now.millis_since(read));
        if self.project.read_at.is_some_and(fresh) {
            return;
        }
        let read = self.runner.syncs().await.and_then(|syncs| {
            let entries: Vec<_> = syncs.iter().map(|sync| sync.order.clone()).collect();
            Ok((run_order(&entries)?, predecessors(&entries)?, syncs))
        });
        self.project.read_at = Some(now);
        let problem = match read {
            Ok((order, before, syncs)) => {
                let syncs = syncs.into_iter().map(|sync| (sync.name().to_owned(), sync)).collect::<BTreeMap<_, _>>();
                (self.project.syncs, self.project.order, self.project.before) = (Arc::new(syncs), order, before);
                None
            }
            Err(error) => Some(error),
        };
        let text = problem.as_ref().map(ToString::to_string);
        if let Some(error) = problem.filter(|_| text != self.project.problem) {
            let hint = error.hint.as_deref().unwrap_or("");
            tracing::error!(
                code = error.code(),
                hint,
                "the project cannot be read, its last good state stays: {error}"
            );
        }
        self.project.problem = text;
    }

    /// What is due, in run order. What looks due is looked at again with fresh facts, so that a run by hand counts.
    async fn plan(&mut self, now: Instant) -> Result<Vec<Decision>> {
        self.settings = Settings {
            paused: self.state.settings("paused:").await?,
            automation: self.state.settings("automation").await?,
            resume: self.state.settings("resume:").await?,
            scheduled: self.state.settings("scheduled:").await?,
        };
        let syncs = Arc::clone(&self.project.syncs);
        self.facts.retain(|sync, _| syncs.contains_key(sync));
        let mut entries = Vec::with_capacity(syncs.len());
        for info in syncs.values() {
            let mut made = self.entry(info, now, REFRESH_MS).await?;
            if due(std::slice::from_ref(&made), &[], now).iter().any(|decision| decision.due.is_some()) {
                made = self.entry(info, now, 0).await?;
            }
            entries.push(made);
        }
        Ok(due(&entries, &self.project.order, now))
    }

    async fn entry(&mut self, info: &SyncInfo, now: Instant, age_ms_max: i64) -> Result<Entry> {
        let sync = info.name();
        let known_since = known_since(self.state.as_ref(), info, &self.settings, now).await?;
        let kept = self.facts.get(sync).filter(|(_, read)| (0..age_ms_max).contains(&now.millis_since(*read)));
        let facts = match kept {
            Some((facts, _)) => facts.clone(),
            None => read_facts(self.state.as_ref(), sync).await?,
        };
        let mut made = entry(info, &facts, self.attempts.get(sync), &self.settings, known_since);
        made.running = self.board.is_running(sync);
        made.queued = self.board.is_queued(sync);
        if kept.is_none() {
            self.facts.insert(sync.to_owned(), (facts, now));
        }
        Ok(made)
    }

    fn start(&mut self) {
        while let Some((sync, cancel)) = self.board.take(&self.project.before, self.options.parallel_runs.max(1)) {
            tracing::info!(sync, trigger = "schedule", "{sync}: a run starts");
            let ask = RunAsk { sync: sync.clone(), trigger: "schedule".to_owned(), full: false, cancel };
            let runner = Arc::clone(&self.runner);
            let task = self.tasks.spawn(async move { runner.run(ask).await });
            self.at_work.insert(task.id(), (sync, self.clock.now()));
        }
        self.status.measure(|metrics| metrics.board(self.board.queued(), self.board.running()));
    }

    async fn ended(&mut self, ended: std::result::Result<(Id, Result<RunRecord>), JoinError>, stopping: bool) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let what = if error.is_panic() { "panicked" } else { "was dropped" };
                (error.id(), Err(Error::internal(format!("the run {what}"))))
            }
        };
        let Some((sync, started)) = self.at_work.remove(&id) else {
            return;
        };
        self.board.done(&sync);
        self.facts.remove(&sync);
        let now = self.clock.now();
        match outcome {
            Ok(run) => self.run_ended(&sync, &run, now, stopping).await,
            Err(error) => {
                tracing::debug!(sync, ms = now.millis_since(started), "{sync}: the run did not begin");
                self.watch.not_begun(&sync, &error);
                self.status.measure(|metrics| metrics.run_not_begun(&sync, error.code()));
                let attempt = self.attempts.entry(sync).or_default();
                // Held elsewhere is nobody's failure: it is tried again after the shortest wait.
                let locked = error.kind == ErrorKind::Locked;
                attempt.failures = if locked { 1 } else { attempt.failures.saturating_add(1) };
                attempt.finished = Some(now);
            }
        }
        self.status.measure(|metrics| metrics.board(self.board.queued(), self.board.running()));
    }

    async fn run_ended(&mut self, sync: &str, run: &RunRecord, now: Instant, stopping: bool) {
        self.watch.ended(run);
        self.status.measure(|metrics| metrics.run_ended(run));
        let attempt = self.attempts.entry(sync.to_owned()).or_default();
        attempt.started = Some(run.started_at);
        attempt.finished = Some(run.finished_at.unwrap_or(now));
        match run.status {
            RunStatus::Failed | RunStatus::Unbalanced => attempt.failures = attempt.failures.saturating_add(1),
            RunStatus::Succeeded | RunStatus::Partial => attempt.failures = 0,
            RunStatus::Queued | RunStatus::Running | RunStatus::Cancelled => {}
        }
        // Cut short by our own end: the next process goes on with it at once, and not at its next slot.
        let cut_short = stopping && run.status == RunStatus::Cancelled;
        if !cut_short && !self.settings.resumes(sync) {
            return;
        }
        let note = cut_short.then_some("stopped with the process");
        if let Err(error) = self.state.set_setting(&resume(sync), note).await {
            tracing::warn!(sync, code = error.code(), "{sync}: the state could not be told how the run ended: {error}");
        }
    }

    fn gauges(&self, decisions: &[Decision]) -> BTreeMap<String, SyncGauges> {
        let gauges = |decision: &Decision| {
            let facts = self.facts.get(&decision.sync).map(|(facts, _)| facts.clone()).unwrap_or_default();
            let own = self.attempts.get(&decision.sync).filter(|own| own.finished > facts.last_finished);
            SyncGauges {
                next_due: decision.due.or(decision.next),
                last_success: facts.last_success,
                failures: own.map_or(facts.failures, |own| own.failures),
                waits: decision.why_not.as_ref().map(|reason| reason.code()),
            }
        };
        decisions.iter().map(|decision| (decision.sync.clone(), gauges(decision))).collect()
    }

    /// Takes no more work, asks what runs to stop, waits, and drops what does not end in time.
    async fn wind_down(mut self) {
        self.status.stop();
        let asked = self.board.stop();
        tracing::info!(runs = asked.len(), "stopping: runs at work are asked to end");
        let (clock, stop_ms) = (Arc::clone(&self.clock), self.options.stop_ms);
        let drain = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.ended(ended, true).await;
            }
        };
        tokio::select! {
            () = clock.sleep(stop_ms) => {}
            () = drain => {}
        }
        for (sync, _) in self.at_work.values() {
            tracing::warn!(
                sync,
                "{sync}: the run did not reach a safe point in time and is dropped; the next one goes on"
            );
        }
        self.tasks.abort_all();
    }
}

async fn read_facts(state: &dyn StateView, sync: &str) -> Result<Facts> {
    let runs = state.recent_runs(sync, RUNS_LOOKED_AT).await?;
    Ok(Facts::of(&runs, state.full_settled(sync).await?))
}

/// Since when a sync's schedule stands; noted in the state when it is new or changed.
async fn known_since(state: &dyn StateView, info: &SyncInfo, settings: &Settings, now: Instant) -> Result<Instant> {
    let Some(schedule) = &info.schedule else {
        return Ok(now);
    };
    if let Some(since) = settings.scheduled_since(info.name(), schedule) {
        return Ok(since);
    }
    state.set_setting(&scheduled(info.name()), Some(&scheduled_value(schedule, now))).await?;
    Ok(now)
}
