//! The common part of all ways: load a mapped page once, settle it, keep the books.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow_array::Array;
use tidegate_model::cells::cell;
use tidegate_model::change::{FieldReject, Reject};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::page::{Held, Page, Pages};
use tidegate_model::ports::{
    Delivered, IntentBatch, Load, LoadMode, Loaded, MAX_REJECTS_LISTED, PAGE_ROWS, Progress, Settlement, StatePatch,
};
use tidegate_model::record::Key;
use tidegate_model::run::{Counts, RunRecord};
use tidegate_model::schema::Source;
use tidegate_model::span::{CursorPoint, OpId, Position, Span};
use tidegate_model::sync::{Changes, DatasetLink, OnUncertain, Target};

use super::following::Following;
use super::judge::{Before, Fresh, Judge, OPEN_MAX};
use super::note::Note;
use super::replace;
use crate::plan::columns::{Columns, MappedPage, RowReject, position};
use crate::run::context::Ctx;
use crate::run::history;
use crate::run::rows::canonical_keys;
use crate::run::{pace, retry};

/// Rows of a page in bulk, for up to [`WIDE`] columns.
const BULK_ROWS: usize = 65_536;
/// Columns up to which a bulk page stays in its budget; wider pages have fewer rows.
const WIDE: usize = 16;

/// The rule of a batch whose answer was lost.
pub(super) const UNCERTAIN: &str = "uncertain";
/// How the reason of a dropped field ends: its row is not delivered again.
pub(super) const WENT_ON: &str = "; the row went on without this field";

/// A page ready to be delivered.
#[derive(Default)]
pub(super) struct Batch {
    /// Its number within its span.
    pub(super) number: u32,
    /// Mapped pages; one but when an interrupted span is read again.
    pub(super) pages: Vec<MappedPage>,
    /// Rows considered.
    pub(super) read: u64,
    /// Rows among them that were delivered before.
    pub(super) known: u64,
    /// Where the source stands after it; `None` if it does not move.
    pub(super) to: Option<Position>,
    /// What is remembered once it has landed.
    pub(super) note: Option<Note>,
    /// Remembered orders below this are forgotten with it.
    pub(super) forget_below: Option<i64>,
    /// What of it is new in this run, for the guard.
    pub(super) fresh: Fresh,
    /// The last row of a cursor's page.
    pub(super) last: Option<CursorPoint>,
}

impl Batch {
    pub(super) fn rows(&self) -> u64 {
        self.pages.iter().map(|page| page.rows.num_rows() as u64).sum()
    }
    pub(super) fn rejected(&self) -> u64 {
        self.pages.iter().map(|page| page.rejected).sum()
    }
    fn dropped(&self) -> u64 {
        self.pages.iter().map(|page| page.dropped).sum()
    }
    fn held(&self) -> VecDeque<Page> {
        let full = self.pages.iter().filter(|page| page.rows.num_rows() > 0);
        full.map(|page| Page::new(page.rows.clone())).collect()
    }
    /// The key of a loaded row.
    pub(super) fn key(&self, mut row: u64) -> Option<Key> {
        for page in &self.pages {
            let rows = page.rows.num_rows() as u64;
            if row < rows {
                return page.key(usize::try_from(row).ok()?);
            }
            row -= rows;
        }
        None
    }
}

/// Where the pages of a load come from; each attempt makes its own stream.
#[derive(Clone, Copy)]
pub(super) enum Feed<'f> {
    /// Mapped pages.
    Batch(&'f Batch),
    /// No page: asks whether the operation landed.
    Nothing,
    /// The whole source.
    Whole(&'f replace::Shared),
}

/// One run of a columnar sync.
pub(super) struct Work<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) run: &'a mut RunRecord,
    pub(super) columns: Arc<Columns>,
    pub(super) to: Target,
    pub(super) mode: LoadMode,
    /// Where the warehouse stands now.
    pub(super) position: Option<Position>,
    /// Keys with open rejects towards the target.
    pub(super) open: HashSet<Key>,
    /// Keys that were rejected before the read began: it leaves them out, so that each is counted once.
    pub(super) said: HashSet<Key>,
    /// The read of this run has begun.
    pub(super) reading: bool,
    /// How the warehouse's change history is followed, if it is.
    pub(super) following: Option<Following>,
    /// The reject guard.
    pub(super) judge: Judge,
    first: bool,
}

impl<'a> Work<'a> {
    pub(super) async fn new(
        ctx: &'a Ctx,
        run: &'a mut RunRecord,
        columns: Arc<Columns>,
        mode: LoadMode,
    ) -> Result<Self> {
        let to = super::target(ctx);
        let before = Before::read(ctx, to).await?;
        let (open, said) = (before.open.clone(), HashSet::new());
        let (position, first) = (ctx.state.warehouse.clone(), !ctx.state.full_settled);
        Ok(Self {
            ctx,
            run,
            columns,
            to,
            mode,
            position,
            open,
            said,
            reading: false,
            following: None,
            judge: Judge::new(ctx, before),
            first,
        })
    }

    /// Keys with open rejects of rows that were not delivered, in order.
    pub(super) fn open_keys(&self) -> Vec<Key> {
        // Resolving what was open may have closed some, and may have looked at others just now.
        let left = self.judge.before.undelivered.intersection(&self.open);
        let mut keys: Vec<Key> = left.filter(|key| !self.said.contains(*key)).cloned().collect();
        keys.sort();
        keys
    }

    /// The canonical keys of a page's rows.
    pub(super) fn keys(&self, page: &Page) -> Result<Vec<Option<Key>>> {
        let (name, mapping) = (self.columns.key_source(), &self.ctx.mapping.key);
        let at = position(page, name)?;
        let array = page.rows.column(at);
        if self.to == Target::Warehouse || mapping.plain() {
            let keys = canonical_keys(array, name)?;
            return Ok(keys.iter().map(|key| key.filter(|key| !key.is_empty()).map(Key::new)).collect());
        }
        let field = page.rows.schema_ref().field(at);
        Ok((0..array.len()).map(|row| mapping.of_warehouse(&cell(array, field, row)).ok()).collect())
    }

    /// Rows of a page of the source.
    pub(super) fn page_rows(&self) -> usize {
        if let Some(rows) = self.ctx.sync.batch_size {
            return usize::try_from(rows).unwrap_or(PAGE_ROWS).max(1);
        }
        let columns = self.columns.sources().len() + 1;
        let bulk = if columns <= WIDE { BULK_ROWS } else { (BULK_ROWS * WIDE / columns).max(1_024) };
        match self.to {
            Target::Platform => bulk.min(usize::try_from(self.ctx.abilities.max_batch).unwrap_or(bulk)).max(1),
            Target::Warehouse => bulk,
        }
    }

    /// Whether a call with a known operation may be sent again after its answer was lost.
    pub(super) fn keyed(&self) -> bool {
        self.to == Target::Warehouse || self.ctx.abilities.exactly_once
    }

    fn span(&self, to: Option<Position>) -> Span {
        Span {
            id: self.ctx.engine.env.new_id(),
            sync: self.ctx.sync.name.clone(),
            run: self.ctx.run.clone(),
            from: self.position.clone(),
            to,
            batch_rows: u32::try_from(self.page_rows()).unwrap_or(u32::MAX),
        }
    }

    /// Opens a span before its first effect, with what has to be known should the process end in its middle.
    pub(super) async fn open_span(&self, batch: &Batch) -> Result<Span> {
        let span = self.span(batch.to.clone());
        self.ctx.engine.memory.open_span(&self.ctx.lease, &span).await?;
        self.ctx.engine.env.failpoint("columnar.span_opened");
        if let Some(note) = batch.note.as_ref().filter(|note| !note.is_empty()) {
            self.intend(&span, batch.number, note).await?;
        }
        Ok(span)
    }

    /// Commits what a span is about to bring, before it is sent.
    pub(super) async fn intend(&self, span: &Span, number: u32, note: &Note) -> Result<()> {
        let payload = note.encode()?;
        let intent = IntentBatch { span: span.id.clone(), number, to: self.to, payload, answer: None };
        self.ctx.engine.memory.intend(&self.ctx.lease, &intent).await?;
        self.ctx.engine.env.failpoint("columnar.intended");
        Ok(())
    }

    /// Loads a batch's pages, again where that does no harm.
    pub(super) async fn load_batch(&self, batch: &Batch, op: &OpId) -> Result<Loaded> {
        if batch.rows() == 0 {
            return Ok(Loaded::default());
        }
        let loaded = self.load(op, batch.rows(), Feed::Batch(batch)).await;
        self.ctx.engine.env.failpoint("columnar.loaded");
        loaded
    }

    /// Loads pages under an operation, again where that does no harm.
    pub(super) async fn load(&self, op: &OpId, rows: u64, feed: Feed<'_>) -> Result<Loaded> {
        let ctx = self.ctx;
        let load = Load {
            mode: self.mode.clone(),
            key: Some(self.columns.key_name().to_owned()),
            op: op.clone(),
            fence: ctx.fence.clone(),
            link: self.link(),
        };
        let keyed = self.keyed() || ctx.sync.on_uncertain == OnUncertain::Resend;
        let mut attempt = 0;
        loop {
            attempt += 1;
            ctx.options.cancel.check()?;
            let stream: Pages = match feed {
                Feed::Batch(batch) => Box::new(Held(batch.held())),
                Feed::Nothing => Box::new(Held(VecDeque::new())),
                Feed::Whole(tally) => replace::stream(self, tally).await?,
            };
            let error = match self.call(&load, rows, stream).await {
                Ok(mut loaded) => {
                    loaded.requests = loaded.requests.max(1) + u64::from(attempt - 1);
                    return Ok(loaded);
                }
                Err(error) => error,
            };
            let Some(wait) = retry::wait_after(&error, attempt, keyed, ctx.engine.env.random()) else {
                return Err(error);
            };
            ctx.log(&format!("load failed ({}), trying again in {wait} ms", error.code())).await?;
            retry::pause(&*ctx.engine.env, &ctx.options.cancel, wait).await?;
        }
    }

    async fn call(&self, load: &Load, rows: u64, pages: Pages) -> Result<Loaded> {
        let ctx = self.ctx;
        match self.to {
            Target::Platform => {
                let place = pace::enter(ctx, &ctx.limits(rows), rows).await?;
                let loaded = ctx.counted(ctx.job.platform.load(&ctx.sync.model, load, pages)).await;
                place.leave(ctx).await?;
                loaded
            }
            Target::Warehouse => match &ctx.sync.source {
                Source::Relation(relation) => ctx.job.warehouse.load(relation, load, pages).await,
                Source::Query(_) => {
                    Err(Error::config("a query cannot be written").hint("name a table instead of `query:`"))
                }
            },
        }
    }

    /// The link's columns by the names that mapped pages give them.
    fn link(&self) -> DatasetLink {
        let name = |column: &Option<String>| {
            column.as_ref().map(|column| self.columns.target_name(column).unwrap_or_else(|| column.clone()))
        };
        let link = &self.ctx.sync.link;
        DatasetLink { company: name(&link.company), enduser: name(&link.enduser) }
    }

    /// Delivers a batch whose load has been answered: settles it, or counts it and stops.
    pub(super) async fn settle(&mut self, span: Span, batch: Batch, loaded: Result<Loaded>) -> Result<()> {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) if error.kind == ErrorKind::Lost && !self.keyed() => {
                return self.hold_uncertain(span, batch, error).await;
            }
            Err(error) => {
                self.count_ahead(&batch, error.kind == ErrorKind::Lost);
                return Err(error);
            }
        };
        let counts = counts(&batch, &loaded);
        let settlement = self.settlement(span.clone(), &batch, &loaded, counts);
        self.commit(&settlement).await?;
        self.position = span.to.or(span.from);
        self.progress("write");
        let refused: Vec<u64> = loaded.rejected.iter().map(|(row, _)| *row).collect();
        self.judged(&batch, &refused, settlement.delivered_to.len() as u64);
        self.judge.check(Fresh::default())
    }

    /// Settles and keeps the run's books in step with the store's.
    pub(super) async fn commit(&mut self, settlement: &Settlement) -> Result<()> {
        self.ctx.engine.env.failpoint("columnar.before_settle");
        self.ctx.engine.memory.settle(&self.ctx.lease, settlement).await?;
        self.run.books.add(&settlement.books);
        for (key, _) in &settlement.delivered_to {
            self.open.remove(key);
        }
        if !self.reading {
            self.said.extend(settlement.rejects.iter().filter_map(|reject| reject.key.clone()));
        }
        if self.open.len() < OPEN_MAX as usize {
            self.open.extend(settlement.rejects.iter().filter_map(|reject| reject.key.clone()));
        }
        self.ctx.engine.env.failpoint("columnar.settled");
        Ok(())
    }

    fn settlement(&self, span: Span, batch: &Batch, loaded: &Loaded, counts: Counts) -> Settlement {
        let mut refused: Vec<u64> = loaded.rejected.iter().map(|(row, _)| *row).collect();
        refused.sort_unstable();
        let mut settlement = Settlement { run: self.ctx.run.clone(), ..Settlement::default() };
        settlement.rejects = self.mapping_rejects(batch);
        // Rows of a replayed load are named by number: they are the same rows only if there are as many.
        let same = !loaded.replayed || batch.rows() == total(loaded);
        settlement.rejects.extend(
            loaded
                .rejected
                .iter()
                .map(|(row, why)| self.reject(if same { batch.key(*row) } else { None }, why.clone())),
        );
        settlement.delivered_to = self.delivered_to(batch, &refused);
        if let Some(mut note) = batch.note.clone().filter(|note| !note.is_empty()) {
            settlement.batch = Some((span.id.clone(), batch.number));
            note.without(&refused);
            note.remember(self.to, &mut settlement);
        }
        if let Some(floor) = batch.forget_below {
            settlement.delivered.get_or_insert_with(Delivered::default).forget_below = Some(floor);
        }
        settlement.close = Some(span);
        *settlement.books.of(self.to) = counts;
        settlement.patch = self.patch(false);
        settlement
    }

    /// The shape is kept with the first settlement, the rest with the last.
    pub(super) fn patch(&self, last: bool) -> StatePatch {
        let fresh = self.ctx.state.shape_hash.is_empty();
        StatePatch {
            shape_hash: (fresh || last).then(|| self.ctx.job.shape_hash.clone()),
            full_settled: last,
            ..StatePatch::default()
        }
    }

    pub(super) fn mapping_rejects(&self, batch: &Batch) -> Vec<Reject> {
        // A complete read comes to every row again; what a cursor has passed is known by its reject alone.
        let passed = self.ctx.sync.changes == Changes::Cursor || self.ctx.follows();
        let most = if passed { usize::MAX } else { MAX_REJECTS_LISTED };
        let all = batch.pages.iter().flat_map(|page| &page.rejects).take(most);
        let told = |reject: &RowReject| {
            let mut why = reject.why.clone();
            if reject.dropped {
                why.reason.push_str(WENT_ON);
            }
            self.reject(reject.key.clone(), why)
        };
        all.map(told).collect()
    }

    pub(super) fn reject(&self, key: Option<Key>, why: FieldReject) -> Reject {
        Reject { key, to: self.to, why, value: None }
    }

    fn delivered_to(&self, batch: &Batch, refused: &[u64]) -> Vec<(Key, Target)> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let rows = (0..batch.rows()).filter(|row| refused.binary_search(row).is_err());
        let keys = rows.filter_map(|row| batch.key(row)).filter(|key| self.open.contains(key));
        keys.map(|key| (key, self.to)).collect()
    }

    /// An answer was lost by a target that can neither deduplicate nor tell: the batch is listed and not sent again.
    pub(super) async fn hold_uncertain(&mut self, span: Span, batch: Batch, error: Error) -> Result<()> {
        let rows = batch.rows();
        let counts = Counts { sent: rows, unknown: rows, requests: 1, ..judged(&batch) };
        let mut settlement = self.settlement(span.clone(), &batch, &Loaded::default(), counts);
        let ends =
            [batch.key(0), batch.key(rows.saturating_sub(1))].map(|key| key.map_or(String::new(), |k| k.to_string()));
        let why = format!(
            "the answer to a batch of {rows} rows (keys {} to {}) was lost ({}); it was not sent again (`on_uncertain: hold`)",
            ends[0],
            ends[1],
            error.code()
        );
        settlement.delivered_to.clear();
        settlement.rejects.push(self.reject(batch.key(0), FieldReject::record(UNCERTAIN, why)));
        self.commit(&settlement).await?;
        self.position = span.to.or(span.from);
        Ok(())
    }

    pub(super) fn progress(&self, phase: &'static str) {
        let total = self.run.books.total();
        let expected = self.ctx.relation.rows_estimate.filter(|_| self.first);
        let progress = Progress { phase, rows: total.read, total: expected, rejected: total.rejected };
        self.ctx.engine.listener.progress(&self.ctx.sync.name, &progress);
    }

    /// The last settlement of a run that saw everything it set out to see.
    pub(super) async fn finish(&mut self, complete: bool) -> Result<()> {
        let mut settlement = Settlement { run: self.ctx.run.clone(), patch: self.patch(true), ..Settlement::default() };
        settlement.patch.mapping = Some(self.ctx.kept_mapping()?);
        let following = self.following.take();
        if complete && following.as_ref().is_none_or(Following::complete) {
            settlement.sweep_rejects = vec![self.to];
        }
        let moves = following.and_then(|following| following.to).filter(|_| complete);
        if let Some(to) = moves.clone() {
            settlement.close = Some(self.open_span(&Batch { to: Some(to), ..Batch::default() }).await?);
        }
        self.commit(&settlement).await?;
        self.ctx.engine.env.failpoint("columnar.finished");
        history::delivered(self.ctx, moves.as_ref()).await
    }
}

pub(super) fn total(loaded: &Loaded) -> u64 {
    loaded.created + loaded.updated + loaded.unchanged + loaded.rejected.len() as u64
}

/// Counts of the rows that were judged without the target.
pub(super) fn judged(batch: &Batch) -> Counts {
    let (rejected, dropped_fields) = (batch.rejected(), batch.dropped());
    Counts { read: batch.read, unchanged: batch.known, rejected, dropped_fields, ..Counts::default() }
}

fn counts(batch: &Batch, loaded: &Loaded) -> Counts {
    let refused = loaded.rejected.len() as u64;
    let sent = total(loaded);
    let judged = judged(batch);
    Counts {
        // A replayed load may have held other rows than those that are there now.
        read: judged.read - batch.rows() + sent,
        created: loaded.created,
        updated: loaded.updated,
        unchanged: judged.unchanged + loaded.unchanged,
        rejected: judged.rejected + refused,
        sent,
        confirmed: loaded.unchanged,
        refused,
        acknowledged: sent - refused,
        requests: loaded.requests,
        ..judged
    }
}
