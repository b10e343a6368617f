//! The reject guard of columnar runs: it judges the rows that are new in a run. Rejects that were open before are old
//! news: were they counted, a hundred of them would stop every run that brings less than that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidegate_model::change::Reject;
use tidegate_model::error::{ErrorKind, Result};
use tidegate_model::ports::{ListedReject, Settlement};
use tidegate_model::record::Key;
use tidegate_model::run::Counts;
use tidegate_model::sync::Target;

use super::work::{Batch, UNCERTAIN, WENT_ON, Work};
use crate::plan::columns::MappedPage;
use crate::plan::guard;
use crate::run::context::Ctx;
use crate::run::deliver::guard_error;

/// Most rejects that are loaded to know what was open before, and that a run adds to them in memory.
pub(super) const OPEN_MAX: u32 = 1_000_000;

/// What was rejected before the run.
#[derive(Default)]
pub(super) struct Before {
    /// Keys with open rejects towards the target.
    pub(super) open: HashSet<Key>,
    /// Those of them whose rows were not delivered.
    pub(super) undelivered: HashSet<Key>,
    /// Those that a guard let pass.
    judged: HashSet<Key>,
    /// There is an open reject of a row without a key.
    keyless: bool,
}

impl Before {
    /// Reads what is open towards a side.
    pub(super) async fn read(ctx: &Ctx, to: Target) -> Result<Self> {
        let memory = &ctx.engine.memory;
        let (mut before, mut stopped) = (Self::default(), HashMap::new());
        for listed in memory.rejects(Some(&ctx.sync.name), OPEN_MAX).await? {
            let ListedReject { reject, run, .. } = listed;
            if reject.to != to {
                continue;
            }
            // A run that the guard stopped listed its rejects too: the next one has to stop at them again.
            let stopped = match stopped.get(&run) {
                Some(stopped) => *stopped,
                None => {
                    let record = memory.run(&run).await?;
                    let guard = record.and_then(|run| run.error).is_some_and(|error| error.code == "guard");
                    stopped.insert(run, guard);
                    guard
                }
            };
            before.add(reject, stopped);
        }
        Ok(before)
    }

    fn add(&mut self, reject: Reject, stopped: bool) {
        let Some(key) = reject.key else {
            self.keyless |= !stopped;
            return;
        };
        if reject.why.rule != UNCERTAIN && !reject.why.reason.ends_with(WENT_ON) {
            self.undelivered.insert(key.clone());
        }
        if !stopped {
            self.judged.insert(key.clone());
        }
        self.open.insert(key);
    }

    /// What a mapped page brings that is new. Rows from `surely` on were never read before.
    pub(super) fn fresh(&self, page: &MappedPage, surely: usize) -> Fresh {
        let (mut rejected, mut last) = (0, None);
        for reject in page.rejects.iter().filter(|reject| !reject.dropped) {
            let first = last.replace(reject.row) != Some(reject.row);
            let new = match &reject.key {
                Some(key) => !self.judged.contains(key),
                // Rows without a key cannot be told apart: one that was read before is taken for one of those listed.
                None => reject.row >= surely || !self.keyless,
            };
            rejected += u64::from(first && new);
        }
        Fresh { rows: page.rows.num_rows() as u64 + rejected, rejected }
    }

    fn is_new(&self, key: Option<&Key>) -> bool {
        key.is_none_or(|key| !self.judged.contains(key))
    }
}

/// Rows that are new in this run, and the rejects among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fresh {
    pub(super) rows: u64,
    pub(super) rejected: u64,
}

impl Fresh {
    pub(super) fn add(&mut self, other: Fresh) {
        self.rows += other.rows;
        self.rejected += other.rejected;
    }
}

/// The guard of one run.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) before: Arc<Before>,
    /// Off in a first run.
    on: bool,
    seen: Fresh,
    sync: String,
    guards: tidegate_model::sync::Guards,
    forced: Vec<String>,
}

impl Judge {
    pub(super) fn new(ctx: &Ctx, before: Before) -> Self {
        let (sync, guards) = (ctx.sync.name.clone(), ctx.sync.guards);
        let forced = ctx.options.force_guards.clone();
        let on = ctx.state.full_settled;
        Self { before: Arc::new(before), on, seen: Fresh::default(), sync, guards, forced }
    }

    /// Adds what a page brought.
    pub(super) fn add(&mut self, fresh: Fresh) {
        self.seen.add(fresh);
    }

    /// Stops the run if too many of the new rows so far are rejects; `more`: found, and not settled yet.
    pub(super) fn check(&self, more: Fresh) -> Result<()> {
        if !self.on {
            return Ok(());
        }
        let (rejects, rows) = (self.seen.rejected + more.rejected, self.seen.rows + more.rows);
        match guard::too_many_rejects(&self.guards, rejects, rows, &self.forced) {
            Some(tripped) => Err(guard_error(&self.sync, &[tripped])),
            None => Ok(()),
        }
    }
}

impl Work<'_> {
    /// Counts a settled batch for the guard: what the target refused, less rows that had open rejects and went through.
    pub(super) fn judged(&mut self, batch: &Batch, refused: &[u64], mended: u64) {
        let mut fresh = batch.fresh;
        fresh.rows = fresh.rows.saturating_sub(mended);
        if fresh.rows > 0 {
            let new = refused.iter().filter(|row| self.judge.before.is_new(batch.key(**row).as_ref()));
            fresh.rejected += new.count() as u64;
        }
        self.judge.add(fresh);
    }

    /// The last look before a batch is delivered: a wish to stop, or too many rejects. Then its rows are ahead.
    pub(super) async fn gate(&mut self, batch: &Batch) -> Result<()> {
        let cancelled = self.ctx.options.cancel.check();
        let Err(stop) = cancelled.and_then(|()| self.judge.check(batch.fresh)) else { return Ok(()) };
        if stop.kind == ErrorKind::Guard {
            // Who looks for the reason finds the rows.
            let rejects = self.mapping_rejects(batch);
            let settlement = Settlement { run: self.ctx.run.clone(), rejects, ..Settlement::default() };
            self.commit(&settlement).await?;
        }
        self.count_ahead(batch, false);
        Err(stop)
    }

    /// Counts a batch that was read and not delivered; its rejects are counted as such.
    pub(super) fn count_ahead(&mut self, batch: &Batch, lost: bool) {
        let (rows, rejected) = (batch.rows(), batch.rejected());
        let mut counts = Counts { read: batch.read, unchanged: batch.known, rejected, ..Counts::default() };
        if lost {
            (counts.sent, counts.unknown) = (rows, rows);
        } else {
            counts.ahead = rows;
        }
        self.run.books.of(self.to).add(&counts);
    }
}
