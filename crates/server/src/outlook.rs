//! What the scheduler last thought of each sync, for whoever shows it.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use tidegate_engine::plan::due::{Decision, Reason};
use tidegate_model::Instant;

/// What the scheduler thinks of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncOutlook {
    /// Why it does not run now: a word and a sentence; `None` if it is due.
    pub waits: Option<(&'static str, String)>,
    /// When it runs next by itself.
    pub next: Option<Instant>,
    /// Failed runs since the last one that did not fail.
    pub failures: u32,
}

/// Written by the scheduler at each look, read by the desk. Empty until the first look.
#[derive(Debug, Default)]
pub struct Outlook(RwLock<BTreeMap<String, SyncOutlook>>);

impl Outlook {
    /// What is thought of a sync.
    pub fn of(&self, sync: &str) -> Option<SyncOutlook> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(sync).cloned()
    }

    pub(crate) fn looked(&self, decisions: &[Decision], failures: impl Fn(&str) -> u32) {
        let one = |decision: &Decision| {
            let word = |reason: &Reason| (reason.code(), reason.to_string());
            let waits = decision.why_not.as_ref().map(word);
            SyncOutlook { waits, next: decision.due.or(decision.next), failures: failures(&decision.sync) }
        };
        let all = decisions.iter().map(|decision| (decision.sync.clone(), one(decision))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = all;
    }
}
