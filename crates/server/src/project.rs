//! The project as it was last read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_engine::plan::due::{predecessors, run_order};
use tidegate_model::Instant;

use crate::options::REFRESH_MS;
use crate::ports::{Runner, SyncInfo};

/// Syncs, their order, and what is wrong with the files.
#[derive(Debug, Default)]
pub(crate) struct Project {
    pub(crate) syncs: Arc<BTreeMap<String, SyncInfo>>,
    pub(crate) order: Vec<String>,
    pub(crate) before: BTreeMap<String, BTreeSet<String>>,
    read_at: Option<Instant>,
    pub(crate) problem: Option<String>,
}

impl Project {
    /// Reads it again if that is some time ago. What cannot be read leaves the last good state.
    pub(crate) async fn read(&mut self, runner: &dyn Runner, now: Instant) {
        let fresh = |read: Instant| (0..REFRESH_MS).contains(&now.millis_since(read));
        if self.read_at.is_some_and(fresh) {
            return;
        }
        let read = runner.syncs().await.and_then(|syncs| {
            let entries: Vec<_> = syncs.iter().map(|sync| sync.order.clone()).collect();
            Ok((run_order(&entries)?, predecessors(&entries)?, syncs))
        });
        self.read_at = Some(now);
        let problem = match read {
            Ok((order, before, syncs)) => {
                let syncs = syncs.into_iter().map(|sync| (sync.name().to_owned(), sync)).collect::<BTreeMap<_, _>>();
                (self.syncs, self.order, self.before) = (Arc::new(syncs), order, before);
                None
            }
            Err(error) => Some(error),
        };
        let text = problem.as_ref().map(ToString::to_string);
        if let Some(error) = problem.filter(|_| text != self.problem) {
            let hint = error.hint.as_deref().unwrap_or("");
            tracing::error!(
                code = error.code(),
                hint,
                "the project cannot be read, its last good state stays: {error}"
            );
        }
        self.problem = text;
    }

    /// Forgets when it was read: the next look reads again.
    pub(crate) fn expire(&mut self) {
        self.read_at = None;
    }
}
