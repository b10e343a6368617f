//! Rejects that a guard has let pass. They are old news: were they counted again, the rejects of a first run, which no
//! guard judges, would stop every later one.

use std::collections::{HashMap, HashSet};

use tidegate_model::error::Result;
use tidegate_model::ports::{ListedReject, Memory};
use tidegate_model::record::Key;

use crate::plan::reconcile::UNCERTAIN;

/// Most open rejects that are looked at.
pub(crate) const OPEN_MAX: u32 = 1_000_000;

/// Open rejects of records, but for those that were listed by a run that a guard stopped: the next run has to stop at
/// them again.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    keys: HashSet<Key>,
    /// Rows without a key are listed.
    keyless: bool,
    /// Records that may have arrived twice over if they were sent again.
    uncertain: HashSet<Key>,
}

impl Judged {
    /// Reads what is open.
    pub async fn read(memory: &dyn Memory, sync: &str) -> Result<Self> {
        let (mut judged, mut stopped) = (Self::default(), HashMap::new());
        for listed in memory.rejects(Some(sync), OPEN_MAX).await? {
            let ListedReject { reject, run, .. } = listed;
            if !stopped.contains_key(&run) {
                let error = memory.run(&run).await?.and_then(|run| run.error);
                stopped.insert(run.clone(), error.is_some_and(|error| error.code == "guard"));
            }
            if let (UNCERTAIN, Some(key)) = (reject.why.rule.as_str(), &reject.key) {
                judged.uncertain.insert(key.clone());
            }
            match (stopped.get(&run), reject.key) {
                (Some(true), _) => {}
                (_, Some(key)) => drop(judged.keys.insert(key)),
                (_, None) => judged.keyless = true,
            }
        }
        Ok(judged)
    }

    /// Whether a record's reject is old news.
    pub fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }

    /// Whether any record is listed because nobody knows whether it arrived.
    pub fn has_uncertain(&self) -> bool {
        !self.uncertain.is_empty()
    }

    /// Whether a record is listed because nobody knows whether it arrived.
    pub fn is_uncertain(&self, key: &Key) -> bool {
        self.uncertain.contains(key)
    }

    /// Whether rows without a key are old news: they cannot be told apart, so all of them are or none.
    pub fn has_keyless(&self) -> bool {
        self.keyless
    }
}
