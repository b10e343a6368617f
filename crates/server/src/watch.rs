//! What is said of syncs in the log: each change of state once, not each tick.

use std::collections::BTreeMap;

use tidegate_engine::plan::due::{Decision, Reason};
use tidegate_model::Error;
use tidegate_model::error::ErrorKind;
use tidegate_model::run::{RunRecord, RunStatus};

use crate::alerts::News;

/// Remembers what has been said.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    waits: BTreeMap<String, &'static str>,
    failing: BTreeMap<String, bool>,
}

impl Watch {
    /// Says why a sync waits, when that changed to something that a person should know.
    pub(crate) fn decided(&mut self, decision: &Decision) {
        let code = decision.why_not.as_ref().map_or("due", Reason::code);
        if self.waits.insert(decision.sync.clone(), code) == Some(code) {
            return;
        }
        let Some(reason) = &decision.why_not else {
            return;
        };
        match reason {
            Reason::BadSchedule(error) => {
                let hint = error.hint.as_deref().unwrap_or("");
                tracing::error!(sync = decision.sync, code, hint, "{}: {reason}", decision.sync);
            }
            Reason::BackingOff { .. } | Reason::NeedsFullSync => {
                tracing::warn!(sync = decision.sync, code, "{}: {reason}", decision.sync);
            }
            Reason::ConnectionOff | Reason::ConnectionAutomationOff | Reason::AutomationOff | Reason::Paused => {
                tracing::info!(sync = decision.sync, code, "{} does not run by itself: {reason}", decision.sync);
            }
            // Ordinary life: saying it every few minutes would hide the rest.
            Reason::NoSchedule | Reason::Running | Reason::Queued | Reason::NotYet => {}
        }
    }
    /// Says how a run ended; a sync that starts failing or recovers is said louder. What alerts should know.
    pub(crate) fn ended(&mut self, run: &RunRecord) -> Option<News> {
        let total = run.books.total();
        let (sync, status) = (run.sync.as_str(), run.status.as_str());
        tracing::info!(
            sync,
            run = run.run,
            status,
            mode = run.mode,
            trigger = run.trigger,
            read = total.read,
            created = total.created,
            updated = total.updated,
            deleted = total.deleted,
            rejected = total.rejected,
            held = total.held,
            unknown = total.unknown,
            duration_ms = run.finished_at.map_or(0, |end| end.millis_since(run.started_at)),
            "{sync}: the run ended, {status}"
        );
        let failed = match run.status {
            RunStatus::Failed | RunStatus::Unbalanced => true,
            RunStatus::Succeeded | RunStatus::Partial => false,
            RunStatus::Queued | RunStatus::Running | RunStatus::Cancelled => return None,
        };
        let (code, message, hint) = match &run.error {
            Some(error) => (error.code.as_str(), error.message.as_str(), error.hint.as_deref().unwrap_or("")),
            None => ("", status, ""),
        };
        Some(self.failing(sync, Some(&run.run), failed, (code, message, hint)))
    }
    /// Says why a run could not begin. What alerts should know.
    pub(crate) fn not_begun(&mut self, sync: &str, error: &Error) -> Option<News> {
        if error.kind == ErrorKind::Locked {
            tracing::info!(sync, code = error.code(), "{sync} is at work elsewhere: {error}");
            return None;
        }
        let told = (error.code(), &*error.to_string(), error.hint.as_deref().unwrap_or(""));
        Some(self.failing(sync, None, true, told))
    }
    fn failing(
        &mut self,
        sync: &str,
        run: Option<&str>,
        failed: bool,
        (code, message, hint): (&str, &str, &str),
    ) -> News {
        let before = self.failing.insert(sync.to_owned(), failed).unwrap_or(false);
        match (before, failed) {
            (false, true) => tracing::error!(sync, run, code, hint, "{sync} started failing: {message}"),
            (true, true) => tracing::info!(sync, run, code, "{sync} is still failing: {message}"),
            (true, false) => tracing::warn!(sync, run, "{sync} has recovered"),
            (false, false) => {}
        }
        News {
            sync: sync.to_owned(),
            failing: failed,
            run: run.map(str::to_owned),
            code: code.to_owned(),
            message: message.to_owned(),
            hint: hint.to_owned(),
        }
    }
}
