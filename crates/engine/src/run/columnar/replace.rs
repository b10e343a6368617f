//! Clear and rewrite: the whole source in one load, one transaction of the target.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ArrayRef;
use async_trait::async_trait;
use tidegate_model::change::{FieldReject, Reject};
use tidegate_model::error::{Error, Result};
use tidegate_model::page::{Page, PageStream, Pages};
use tidegate_model::ports::{Cancel, Loaded, MAX_REJECTS_LISTED, Settlement};
use tidegate_model::record::Key;
use tidegate_model::run::{Books, Counts, Replaced};
use tidegate_model::sync::Target;

use super::groups::Groups;
use super::judge::{Fresh, Judge};
use super::source::everything;
use super::work::{Batch, Feed, Work};
use crate::plan::columns::{Beforehand, Columns, key_of};

/// Rows of which the keys are kept, so that rows that the target refuses can be named.
const NAMED_ROWS: u64 = 4_000_000;

pub(super) async fn run(work: &mut Work<'_>) -> Result<()> {
    let ctx = work.ctx;
    if ctx.options.limit.is_some() {
        return Err(Error::config(format!(
            "sync {}: a replace of the first rows only would drop the others",
            ctx.sync.name
        ))
        .hint("run it without --limit"));
    }
    let span = work.open_span(&Batch { to: work.position.clone(), ..Batch::default() }).await?;
    let tally = Shared::default();
    let op = span.op(0);
    let loaded = work.load(&op, ctx.relation.rows_estimate.unwrap_or(1), Feed::Whole(&tally)).await;
    ctx.engine.env.failpoint("columnar.replaced");
    let tally = std::mem::take(&mut *lock(&tally));
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            work.run.books.of(work.to).add(&tally.ahead());
            return Err(error);
        }
    };
    let mut settlement = Settlement { run: ctx.run.clone(), patch: work.patch(true), ..Settlement::default() };
    settlement.patch.mapping = Some(ctx.kept_mapping()?);
    settlement.books = books(&tally, &loaded, work.to);
    settlement.rejects = tally.listed(&loaded, work.to);
    settlement.sweep_rejects = vec![work.to];
    settlement.close = Some(span);
    work.commit(&settlement).await?;
    work.progress("write");
    Ok(())
}

/// The whole source, mapped as it is asked for; what was tallied before is forgotten.
pub(super) async fn stream(work: &Work<'_>, tally: &Shared) -> Result<Pages> {
    *lock(tally) = Tally::default();
    let ctx = work.ctx;
    let groups = everything(ctx, &work.columns, work.page_rows(), work.to).await?;
    let (columns, tally, cancel) = (work.columns.clone(), tally.clone(), ctx.options.cancel.clone());
    Ok(Box::new(Mapping { groups, columns, tally, cancel, judge: work.judge.clone() }))
}

/// Pages mapped as they are asked for.
struct Mapping {
    groups: Groups,
    columns: Arc<Columns>,
    tally: Shared,
    cancel: Cancel,
    judge: Judge,
}

#[async_trait]
impl PageStream for Mapping {
    async fn next(&mut self) -> Result<Option<Page>> {
        loop {
            self.cancel.check()?;
            let Some(grouped) = self.groups.next().await? else { return Ok(None) };
            let (read, skip) = (grouped.read(), grouped.skip());
            let mapped = self.columns.map(&grouped.page, Beforehand { skip, rejects: grouped.twins })?;
            let page = Page::new(mapped.rows.clone());
            self.judge.add(self.judge.before.fresh(&mapped, usize::MAX));
            lock(&self.tally).add(read, mapped);
            self.judge.check(Fresh::default())?;
            if !page.is_empty() {
                return Ok(Some(page));
            }
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A tally between the stream that counts and the run that waits for the load.
pub(super) type Shared = Arc<Mutex<Tally>>;

/// What became of the source's rows before the target saw them.
#[derive(Default)]
pub(super) struct Tally {
    read: u64,
    rejected: u64,
    dropped: u64,
    rows: u64,
    rejects: Vec<(Option<Key>, FieldReject)>,
    keys: Vec<ArrayRef>,
}

impl Tally {
    /// Adds a page.
    fn add(&mut self, read: u64, mapped: crate::plan::columns::MappedPage) {
        self.read += read;
        self.rejected += mapped.rejected;
        self.dropped += mapped.dropped;
        if self.rows < NAMED_ROWS {
            self.keys.push(mapped.keys().clone());
        }
        self.rows += mapped.rows.num_rows() as u64;
        let room = MAX_REJECTS_LISTED.saturating_sub(self.rejects.len());
        self.rejects.extend(mapped.rejects.into_iter().take(room).map(|reject| (reject.key, reject.why)));
    }

    fn key(&self, mut row: u64) -> Option<Key> {
        for keys in &self.keys {
            if row < keys.len() as u64 {
                return key_of(keys, usize::try_from(row).ok()?);
            }
            row -= keys.len() as u64;
        }
        None
    }

    fn ahead(&self) -> Counts {
        let ahead = self.read - self.rejected;
        Counts { read: self.read, rejected: self.rejected, ahead, requests: 1, ..Counts::default() }
    }

    fn listed(&self, loaded: &Loaded, to: Target) -> Vec<Reject> {
        let refused = loaded.rejected.iter().map(|(row, why)| (self.key(*row), why.clone()));
        let all = self.rejects.iter().cloned().chain(refused).take(MAX_REJECTS_LISTED);
        all.map(|(key, why)| Reject { key, to, why, value: None }).collect()
    }
}

fn books(tally: &Tally, loaded: &Loaded, to: Target) -> Books {
    let refused = loaded.rejected.len() as u64;
    let written = loaded.created + loaded.updated + loaded.unchanged;
    let mut books = Books {
        replaced: Replaced { created: written, cleared: loaded.cleared, read: written, sent: written },
        replaced_to: Some(to),
        ..Books::default()
    };
    *books.of(to) = Counts {
        read: tally.rejected + refused + written,
        created: written,
        deleted: loaded.cleared,
        rejected: tally.rejected + refused,
        sent: written + refused,
        refused,
        acknowledged: written,
        dropped_fields: tally.dropped,
        requests: loaded.requests,
        ..Counts::default()
    };
    books
}
