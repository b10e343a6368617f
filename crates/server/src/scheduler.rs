//! The loop: look at what is due, queue it, let the worker take what waits, note what became of it; and the way out.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_engine::plan::due::{Decision, Entry, due};
use tidegate_model::error::ErrorKind;
use tidegate_model::run::RunStatus;
use tidegate_model::{Instant, Result};
use tidegate_store::{Job, NewJob};
use tokio::sync::Notify;

use crate::alerts::Courier;
use crate::facts::{Attempt, Facts, Settings, entry, not_begun, scheduled, scheduled_value};
use crate::metrics::SyncGauges;
use crate::options::{REFRESH_MS, RUNS_LOOKED_AT, ServeOptions};
use crate::outlook::Outlook;
use crate::ports::{StateView, SyncInfo};
use crate::project::Project;
use crate::queue::is_at_work;
use crate::watch::Watch;
use crate::worker::{Ended, Worker};

/// Scheduler, and the worker that it goes round with.
pub(crate) struct Scheduler {
    options: ServeOptions,
    worker: Worker,
    wake: Arc<Notify>,
    project: Project,
    facts: BTreeMap<String, (Facts, Instant)>,
    attempts: BTreeMap<String, Attempt>,
    settings: Settings,
    watch: Watch,
    outlook: Arc<Outlook>,
    alerts: Courier,
}

impl Scheduler {
    pub(crate) fn new(
        options: ServeOptions,
        worker: Worker,
        wake: Arc<Notify>,
        outlook: Arc<Outlook>,
        alerts: Courier,
    ) -> Self {
        Self {
            options,
            worker,
            wake,
            project: Project::default(),
            facts: BTreeMap::new(),
            attempts: BTreeMap::new(),
            settings: Settings::default(),
            watch: Watch::default(),
            outlook,
            alerts,
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
            let clock = Arc::clone(&self.worker.clock);
            let wake = Arc::clone(&self.wake);
            let wait = clock.sleep(self.options.tick_ms);
            tokio::pin!(wait);
            loop {
                tokio::select! {
                    () = &mut stop => return self.wind_down().await,
                    () = &mut wait => break,
                    () = wake.notified() => {
                        // Somebody asked for a run, perhaps of a sync that they have just written.
                        self.project.expire();
                        self.project.read(self.worker.runner.as_ref(), clock.now()).await;
                        self.start().await;
                    }
                    Some(ended) = self.worker.next_end() => {
                        self.ended(ended, false).await;
                        // what waited for it need not wait for the next tick
                        self.start().await;
                    }
                }
            }
        }
    }

    async fn tick(&mut self) {
        let now = self.worker.clock.now();
        self.project.read(self.worker.runner.as_ref(), now).await;
        match self.look(now).await {
            Ok(decisions) => {
                if self.worker.status.store_is_down() {
                    tracing::warn!("the state can be read again");
                }
                let gauges = self.gauges(&decisions);
                self.outlook.looked(&decisions, |sync| gauges.get(sync).map_or(0, |gauges| gauges.failures));
                self.worker.status.ticked(now, gauges, self.project.problem.is_none());
                self.start().await;
            }
            // Nothing is started on what cannot be known; the next tick looks again.
            Err(error) => self.store_failed(&error),
        }
    }

    fn store_failed(&self, error: &tidegate_model::Error) {
        if self.worker.status.store_failed(&error.to_string()) {
            let hint = error.hint.as_deref().unwrap_or("");
            tracing::error!(code = error.code(), hint, "the state cannot be read, no run is started: {error}");
        }
    }

    /// Reads the state, and queues what is due.
    async fn look(&mut self, now: Instant) -> Result<Vec<Decision>> {
        if !self.options.schedule {
            self.worker.state.ping().await?;
            let queue = self.worker.jobs.jobs().await?;
            self.worker.beat(&queue, now).await?;
            return Ok(Vec::new());
        }
        let settings = self.worker.state.settings("").await?;
        self.settings = Settings::of(settings);
        let queue = self.worker.jobs.jobs().await?;
        self.worker.beat(&queue, now).await?;
        let decisions = self.plan(&queue, now).await?;
        for decision in &decisions {
            self.watch.decided(decision);
            if let Some(slot) = decision.due {
                self.enqueue(&decision.sync, slot).await?;
            }
        }
        Ok(decisions)
    }

    async fn enqueue(&self, sync: &str, slot: Instant) -> Result<()> {
        let hash = self.project.syncs.get(sync).map_or("", |info| info.config_hash.as_str());
        let job = NewJob { config_hash: hash.to_owned(), ..NewJob::new(sync, "schedule", "changes", slot) };
        if self.worker.jobs.put_job(&job).await? {
            tracing::debug!(sync, "{sync}: queued");
        }
        Ok(())
    }

    /// What is due, in run order. What looks due is looked at again with fresh facts, so that a run by hand counts.
    async fn plan(&mut self, queue: &[Job], now: Instant) -> Result<Vec<Decision>> {
        let syncs = Arc::clone(&self.project.syncs);
        self.facts.retain(|sync, _| syncs.contains_key(sync));
        let mut entries = Vec::with_capacity(syncs.len());
        for info in syncs.values() {
            let mut made = self.entry(info, queue, now, REFRESH_MS).await?;
            if due(std::slice::from_ref(&made), &[], now).iter().any(|decision| decision.due.is_some()) {
                made = self.entry(info, queue, now, 0).await?;
            }
            entries.push(made);
        }
        Ok(due(&entries, &self.project.order, now))
    }

    async fn entry(&mut self, info: &SyncInfo, queue: &[Job], now: Instant, age_ms_max: i64) -> Result<Entry> {
        let sync = info.name();
        let state = self.worker.state.as_ref();
        let known_since = known_since(state, info, &self.settings, now).await?;
        let kept = self.facts.get(sync).filter(|(_, read)| (0..age_ms_max).contains(&now.millis_since(*read)));
        let facts = match kept {
            Some((facts, _)) => facts.clone(),
            None => read_facts(state, sync).await?,
        };
        let mut made = entry(info, &facts, self.attempts.get(sync), &self.settings, known_since);
        let mut own = queue.iter().filter(|job| job.sync == sync);
        made.running = own.clone().any(|job| is_at_work(job, now));
        made.queued = own.any(|job| !is_at_work(job, now));
        if kept.is_none() {
            self.facts.insert(sync.to_owned(), (facts, now));
        }
        Ok(made)
    }

    async fn start(&mut self) {
        let now = self.worker.clock.now();
        if let Err(error) = self.worker.start(&self.project, now).await {
            self.store_failed(&error);
        }
    }

    async fn ended(
        &mut self,
        ended: std::result::Result<(tokio::task::Id, Result<tidegate_model::run::RunRecord>), tokio::task::JoinError>,
        stopping: bool,
    ) {
        let Some(Ended { sync, outcome }) = self.worker.ended(ended, stopping).await else { return };
        self.facts.remove(&sync);
        let now = self.worker.clock.now();
        let attempt = self.attempts.entry(sync.clone()).or_default();
        let status = Arc::clone(&self.worker.status);
        let news;
        match &outcome {
            Ok(run) => {
                news = self.watch.ended(run);
                status.measure(|metrics| metrics.run_ended(run));
                attempt.started = Some(run.started_at);
                attempt.finished = Some(run.finished_at.unwrap_or(now));
                match run.status {
                    RunStatus::Failed | RunStatus::Unbalanced => attempt.failures = attempt.failures.saturating_add(1),
                    RunStatus::Succeeded | RunStatus::Partial => attempt.failures = 0,
                    RunStatus::Queued | RunStatus::Running | RunStatus::Cancelled => {}
                }
            }
            Err(error) => {
                news = self.watch.not_begun(&sync, error);
                status.measure(|metrics| metrics.run_not_begun(&sync, error.code()));
                // Held elsewhere is nobody's failure; its job waits until it may be free.
                if error.kind != ErrorKind::Locked {
                    attempt.failures = attempt.failures.saturating_add(1);
                    attempt.finished = Some(now);
                }
            }
        }
        self.tell(&sync, outcome.err(), now).await;
        if let Some(news) = news {
            self.alerts.tell(news, now);
        }
        let at_work = self.worker.at_work_len();
        status.measure(|metrics| metrics.at_work(at_work));
    }

    /// Keeps why a run could not begin, for whoever asked for it: there is no record that would say it.
    async fn tell(&self, sync: &str, error: Option<tidegate_model::Error>, now: Instant) {
        let error = error.filter(|error| error.kind != ErrorKind::Locked);
        if error.is_none() && !self.settings.not_begun.contains_key(&not_begun(sync)) && self.options.schedule {
            return;
        }
        let text = error.map(|error| {
            let hint = error.hint.clone();
            serde_json::json!({ "at": now.to_string(), "code": error.code(), "message": error.to_string(), "hint": hint })
                .to_string()
        });
        if let Err(error) = self.worker.state.set_setting(&not_begun(sync), text.as_deref()).await {
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
        self.worker.status.stop();
        let asked = self.worker.stop();
        tracing::info!(runs = asked, "stopping: runs at work are asked to end");
        let (clock, stop_ms) = (Arc::clone(&self.worker.clock), self.options.stop_ms);
        let drain = async {
            while let Some(ended) = self.worker.next_end().await {
                self.ended(ended, true).await;
            }
            self.worker.helped().await;
        };
        tokio::select! {
            () = clock.sleep(stop_ms) => {}
            () = drain => {}
        }
        self.worker.abandon().await;
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
