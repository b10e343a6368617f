//! Lists in pages, for readers who do not want all of it: each with the mark behind which the next page begins.

use tidegate_model::error::Result;
use tidegate_model::ports::{ListedConflict, ListedReject};
use tidegate_model::run::RunRecord;
use tidegate_model::time::Instant;

use crate::ops;
use crate::store::{Store, read_tx, snapshot_tx};

/// How many rejects and open conflicts a sync has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenCounts {
    /// Open rejects.
    pub rejects: u64,
    /// Conflicts that wait for a person or for the next run.
    pub conflicts: u64,
}

/// A line of some run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedLine {
    /// Its number; later lines have higher ones.
    pub number: i64,
    /// When.
    pub at: Instant,
    /// The run.
    pub run: String,
    /// Its sync.
    pub sync: String,
    /// The line.
    pub line: String,
}

impl Store {
    /// Lines of the logs of all runs, or of a sync's, newest first; before a number.
    pub async fn logs_page(&self, sync: Option<&str>, before: Option<i64>, limit: u32) -> Result<Vec<LoggedLine>> {
        let sync = sync.map(str::to_owned);
        read_tx!(self, |tx| ops::pages::logs(tx, sync.as_deref(), before.unwrap_or(i64::MAX), limit).await)
    }
    /// Runs, newest first, of a sync or of all, with this status or any; behind a mark.
    pub async fn runs_page(
        &self,
        sync: Option<&str>,
        status: Option<&str>,
        after: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Vec<(RunRecord, (i64, i64))>> {
        let (sync, status) = (sync.map(str::to_owned), status.map(str::to_owned));
        read_tx!(self, |tx| ops::pages::runs(tx, sync.as_deref(), status.as_deref(), after, limit).await)
    }
    /// Open rejects by sync, key, side and field; behind a mark (these four).
    pub async fn rejects_page(
        &self,
        sync: Option<&str>,
        after: Option<&[String; 4]>,
        limit: u32,
    ) -> Result<Vec<(ListedReject, [String; 4])>> {
        let (sync, after) = (sync.map(str::to_owned), after.cloned());
        read_tx!(self, |tx| ops::pages::rejects(tx, sync.as_deref(), after.as_ref(), limit).await)
    }
    /// Conflicts, newest first; behind a mark.
    pub async fn conflicts_page(
        &self,
        sync: Option<&str>,
        open_only: bool,
        after: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Vec<(ListedConflict, (i64, i64))>> {
        let sync = sync.map(str::to_owned);
        read_tx!(self, |tx| ops::pages::conflicts(tx, sync.as_deref(), open_only, after, limit).await)
    }
    /// What is open of each sync that has something open.
    pub async fn open_counts(&self) -> Result<std::collections::BTreeMap<String, OpenCounts>> {
        snapshot_tx!(self, |tx| ops::pages::open_counts(tx).await)
    }
    /// The newest run of each sync.
    pub async fn last_runs(&self) -> Result<std::collections::BTreeMap<String, RunRecord>> {
        read_tx!(self, |tx| ops::pages::last_runs(tx).await)
    }
}
