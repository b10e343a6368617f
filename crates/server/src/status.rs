//! What the scheduler tells the pages: shared between the two.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_model::Instant;

use crate::metrics::{Metrics, SyncGauges};
use crate::options::TICK_SILENCE_MS;

#[derive(Debug, Default)]
struct Inner {
    metrics: Metrics,
    last_tick: Option<Instant>,
    store_error: Option<String>,
    stopping: bool,
}

/// Written by the scheduler, read by the pages.
#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<Inner>);

impl Status {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Numbers stay true when a holder has panicked: each is written in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Changes what is measured.
    pub(crate) fn measure(&self, change: impl FnOnce(&mut Metrics)) {
        change(&mut self.inner().metrics);
    }
    /// The metrics as text.
    pub(crate) fn text(&self, now: Instant) -> String {
        self.inner().metrics.text(now)
    }
    /// The scheduler has looked at everything.
    pub(crate) fn ticked(&self, now: Instant, syncs: BTreeMap<String, SyncGauges>, project_ok: bool) {
        let mut inner = self.inner();
        inner.last_tick = Some(now);
        inner.store_error = None;
        inner.metrics.store(true);
        inner.metrics.ticked(now, syncs, project_ok);
    }
    /// The scheduler could not read the state. True if that is news.
    pub(crate) fn store_failed(&self, error: &str) -> bool {
        let mut inner = self.inner();
        inner.metrics.store(false);
        let news = inner.store_error.is_none();
        inner.store_error = Some(error.to_owned());
        news
    }
    /// Whether the last look at the state failed.
    pub(crate) fn store_is_down(&self) -> bool {
        self.inner().store_error.is_some()
    }
    /// The end has begun.
    pub(crate) fn stop(&self) {
        self.inner().stopping = true;
    }
    /// What keeps us from being ready; empty if nothing does.
    pub(crate) fn obstacles(&self, now: Instant, tick_ms: u64) -> Vec<String> {
        let inner = self.inner();
        let mut out = Vec::new();
        if inner.stopping {
            out.push("stopping".to_owned());
        }
        if let Some(error) = &inner.store_error {
            out.push(format!("the state cannot be read: {error}"));
        }
        let silence_max = TICK_SILENCE_MS.saturating_add(i64::try_from(tick_ms).unwrap_or(i64::MAX).saturating_mul(3));
        match inner.last_tick {
            None if inner.store_error.is_none() => out.push("the scheduler has not looked at the syncs yet".to_owned()),
            Some(tick) if now.millis_since(tick) > silence_max => {
                let seconds = now.millis_since(tick) / 1_000;
                out.push(format!("the scheduler has been silent for {seconds} seconds"));
            }
            _ => {}
        }
        out
    }
}
