//! After a cursor: from the last row less a margin up to a bound, page after page, each a span of its own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use futures_util::future::join;
use tidegate_model::cells::value_at;
use tidegate_model::change::FieldReject;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{LoadMode, Print, ReadAsk, ReadMode};
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::sync::{Lookback, WriteMode};

use super::groups::{next_within, twin};
use super::note::Note;
use super::open;
use super::source::warehouse_columns;
use super::takes_once;
use super::window::{Parts, Window, order, point_of, start};
use super::work::{Batch, Work};
use crate::plan::columns::{Beforehand, Columns, position};
use crate::plan::prints::Printer;
use crate::run::context::Ctx;
use crate::run::cursor::refuse_backwards;
use crate::run::retry;

pub(super) async fn run(work: &mut Work<'_>) -> Result<()> {
    let ctx = work.ctx;
    if ctx.options.full && work.mode == LoadMode::Append && !takes_once(ctx) {
        return Err(Error::config(format!("sync {}: a full run would send every row twice", ctx.sync.name)).hint(
            format!("this platform cannot tell rows that it has; run `tidegate run {}` without --full", ctx.sync.name),
        ));
    }
    let (column, lookback) = spec(ctx)?;
    let bound = ctx.job.warehouse.bound(&ctx.sync.source, &column, &ctx.sync.key.warehouse).await?;
    if point_of(ctx.state.warehouse.as_ref()) == point_of(work.position.as_ref()) {
        refuse_backwards(ctx, bound.as_ref())?;
    }
    let at = point_of(work.position.as_ref()).cloned();
    let from = at.as_ref().map(|at| start(at, lookback)).filter(|_| !ctx.options.full);
    if let Some(from) = from.as_ref().filter(|_| ctx.options.limit.is_none()) {
        // Rows inside the window are read anyway.
        open::retry(work, work.open_keys(), Some(from)).await?;
    }
    let mut left = ctx.options.limit;
    let mut attempt = 0;
    let mut from = from;
    loop {
        let at = point_of(work.position.as_ref()).cloned();
        let reader = Reader::open(work, (column.clone(), lookback), at, from, bound.clone(), left).await?;
        let Err(Failed { error, left: rest }) = pages(work, reader).await? else { break };
        attempt += 1;
        // The session was lost in the middle of the read: what was settled stays, the rest is read again.
        let Some(wait) = retry::wait_after(&error, attempt, true, ctx.engine.env.random()) else { return Err(error) };
        ctx.log(&format!("the read broke off ({}), reading on in {wait} ms", error.code())).await?;
        retry::pause(&*ctx.engine.env, &ctx.options.cancel, wait).await?;
        from = point_of(work.position.as_ref()).map(|at| start(at, lookback));
        left = rest;
    }
    work.finish(false).await
}

/// A read that broke off, with what is left of the limit.
struct Failed {
    error: Error,
    left: Option<u64>,
}

/// Delivers the pages of a reader. The inner error is the source's.
async fn pages(work: &mut Work<'_>, mut reader: Reader) -> Result<std::result::Result<(), Failed>> {
    let ctx = work.ctx;
    let mut next = reader.next(work).await;
    loop {
        let batch = match next {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(Failed { error, left: reader.left })),
        };
        work.gate(&batch).await?;
        let span = work.open_span(&batch).await?;
        let op = span.op(0);
        ctx.engine.env.failpoint("columnar.cursor_load");
        let (loaded, ahead) = join(work.load_batch(&batch, &op), reader.next(work)).await;
        work.settle(span, batch, loaded).await?;
        next = ahead;
    }
}

/// The cursor's column and margin.
pub(super) fn spec(ctx: &Ctx) -> Result<(String, Option<Lookback>)> {
    let cursor = ctx.sync.cursor.as_ref().ok_or_else(|| {
        Error::config(format!("sync {}: `changes: cursor` needs a `cursor:` block", ctx.sync.name))
            .hint("write `cursor: { column: … }` with the column that grows")
    })?;
    if ctx.relation.column(&cursor.column).is_none() {
        let why = format!("sync {}: there is no cursor column `{}`", ctx.sync.name, cursor.column);
        return Err(Error::new(ErrorKind::SchemaChanged, why).hint("name a column of the relation in `cursor.column`"));
    }
    Ok((cursor.column.clone(), cursor.lookback))
}

/// Pages of the window, judged and mapped.
pub(super) struct Reader {
    pages: Pages,
    column: String,
    key: String,
    lookback: Option<Lookback>,
    /// Where the sync stood when the read began.
    at: Option<CursorPoint>,
    left: Option<u64>,
    printer: Printer,
    /// Rows are told apart by content, not by key alone.
    content: bool,
    /// Rows of the margin that were delivered are left out.
    filter: bool,
    columns: Arc<Columns>,
    /// There was no greatest value.
    unbounded: bool,
}

impl Reader {
    async fn open(
        work: &Work<'_>,
        (column, lookback): (String, Option<Lookback>),
        at: Option<CursorPoint>,
        from: Option<CursorPoint>,
        bound: Option<CursorPoint>,
        left: Option<u64>,
    ) -> Result<Self> {
        let key = work.ctx.sync.key.warehouse.clone();
        let unbounded = bound.is_none();
        let mode = match bound {
            Some(to) => ReadMode::Cursor { column: column.clone(), key, from, to },
            // Without a greatest value there are at most rows without any.
            None => ReadMode::Unordered,
        };
        let mut reader = Self::over(work, column, lookback, at, mode).await?;
        reader.left = left;
        reader.unbounded = unbounded;
        Ok(reader)
    }

    /// A reader of a window that the caller chose.
    pub(super) async fn over(
        work: &Work<'_>,
        column: String,
        lookback: Option<Lookback>,
        at: Option<CursorPoint>,
        mode: ReadMode,
    ) -> Result<Self> {
        let ctx = work.ctx;
        let ask = ReadAsk {
            source: ctx.sync.source.clone(),
            columns: warehouse_columns(&work.columns, Some(&column)),
            mode,
            page_rows: work.page_rows(),
            timezone: ctx.sync.timezone.clone(),
        };
        let content = ctx.sync.write == WriteMode::Upsert;
        // A changed mapping delivers changed rows again, but appends nothing twice.
        let seed = if content { ctx.mapping.hash } else { 0 };
        Ok(Self {
            pages: ctx.job.warehouse.read(ask).await?,
            key: ctx.sync.key.warehouse.clone(),
            column,
            lookback,
            at,
            left: None,
            printer: Printer::new(ctx.engine.memory.print_key().await?, seed),
            content,
            filter: !ctx.options.full,
            columns: work.columns.clone(),
            unbounded: false,
        })
    }

    fn window(&self) -> Window<'_> {
        Window { cursor: &self.column, key: &self.key, at: self.at.as_ref() }
    }

    /// The next page as a batch.
    async fn next(&mut self, work: &Work<'_>) -> Result<Option<Batch>> {
        let Some(page) = next_within(&mut self.pages, &mut self.left).await? else { return Ok(None) };
        if self.unbounded {
            return self.without_cursor(&page).map(Some);
        }
        let parts = self.window().parts(&page)?;
        let skip = self.delivered(work, &page, parts).await?;
        self.batch(&page, parts, skip).map(Some)
    }

    /// Rows of the margin that were delivered before.
    async fn delivered(&mut self, work: &Work<'_>, page: &Page, parts: Parts) -> Result<Vec<bool>> {
        let mut skip = vec![false; page.len()];
        if self.filter && parts.fresh > parts.nulls {
            let prints = self.prints(page, parts.nulls, parts.fresh)?;
            let known = work.ctx.engine.memory.delivered(&work.ctx.sync.name, &prints).await?;
            for (slot, known) in skip[parts.nulls..].iter_mut().zip(known) {
                *slot = known;
            }
        }
        Ok(skip)
    }

    /// A page of a source without a greatest value: the rows that lack one. Others came after the look, and wait.
    fn without_cursor(&self, page: &Page) -> Result<Batch> {
        let array = page.rows.column(position(page, &self.column)?);
        let skip: Vec<bool> = (0..page.len()).map(|row| !array.is_null(row)).collect();
        let parts = Parts { nulls: page.len(), fresh: page.len() };
        let mut batch = self.batch(page, parts, skip)?;
        batch.read -= batch.known;
        batch.known = 0;
        Ok(batch)
    }

    /// The next page with what a span was to bring: rows without a cursor belong to no span, and rows that were
    /// delivered before are counted by the read that follows.
    pub(super) async fn next_of_span(&mut self, work: &Work<'_>) -> Result<Option<Batch>> {
        let Some(page) = self.pages.next().await? else { return Ok(None) };
        let parts = self.window().parts(&page)?;
        let mut skip = self.delivered(work, &page, parts).await?;
        skip[..parts.nulls].fill(true);
        let mut batch = self.batch(&page, parts, skip)?;
        batch.read -= batch.known;
        batch.known = 0;
        Ok(Some(batch))
    }

    fn batch(&self, page: &Page, parts: Parts, skip: Vec<bool>) -> Result<Batch> {
        let known = skip.iter().filter(|skip| **skip).count() as u64;
        let mut rejects: Vec<(usize, FieldReject)> = (0..parts.nulls).map(|row| (row, self.no_cursor())).collect();
        rejects.extend(self.twins(page, &skip)?);
        let mapped = self.columns.map(page, Beforehand { skip, rejects })?;
        let last = if parts.fresh < page.len() { Some(self.window().point(page, page.len() - 1)?) } else { None };
        let stands = last.as_ref().or(self.at.as_ref());
        let floor = stands.and_then(|point| order(&start(point, self.lookback).value));
        let note = match floor {
            Some(floor) => Some(Note::Margin(self.remembered(page, &mapped.from, floor)?)),
            None => None,
        };
        Ok(Batch {
            number: 0,
            pages: vec![mapped],
            read: page.len() as u64,
            known,
            to: last.or_else(|| self.at.clone()).map(Position::Cursor),
            note,
            forget_below: floor,
        })
    }

    fn no_cursor(&self) -> FieldReject {
        FieldReject::field(&*self.column, "null_cursor", "the cursor column has no usable value in this row")
    }

    /// Rows of a page whose key is not theirs alone.
    fn twins(&self, page: &Page, skip: &[bool]) -> Result<Vec<(usize, FieldReject)>> {
        let array = page.rows.column(position(page, &self.key)?).clone();
        let prints = self.printer.rows(&[&array], page.len());
        let mut seen: HashMap<Print, usize> = HashMap::with_capacity(page.len());
        let mut twins = Vec::new();
        for (row, print) in prints.into_iter().enumerate() {
            if skip[row] || array.is_null(row) {
                continue;
            }
            if let Some(first) = seen.insert(print, row) {
                twins.extend([first, row].map(|row| (row, twin(&self.key))));
            }
        }
        twins.sort_by_key(|(row, _)| *row);
        twins.dedup_by_key(|(row, _)| *row);
        Ok(twins)
    }

    /// The loaded rows that later margins will read again: number, order, print.
    fn remembered(&self, page: &Page, from: &[u32], floor: i64) -> Result<Vec<(u32, i64, u64)>> {
        let column = position(page, &self.column)?;
        let order_of = |row: usize| order(&value_at(&page.rows, column, row));
        // Rows ascend by cursor: those above the floor are the last ones.
        let first = page.len() - (0..page.len()).rev().take_while(|row| order_of(*row) >= Some(floor)).count();
        let prints = self.prints(page, first, page.len())?;
        let rows = (0u32..).zip(from).filter_map(|(number, row)| {
            let row = usize::try_from(*row).ok().filter(|row| *row >= first)?;
            Some((number, row, prints.get(row - first)?))
        });
        Ok(rows.filter_map(|(number, row, print)| Some((number, order_of(row)?, *print))).collect())
    }

    fn prints(&self, page: &Page, first: usize, end: usize) -> Result<Vec<u64>> {
        let sliced = |column: usize| page.rows.column(column).slice(first, end - first);
        let columns: Vec<ArrayRef> = if self.content {
            (0..page.rows.num_columns()).map(sliced).collect()
        } else {
            vec![sliced(position(page, &self.key)?)]
        };
        let columns: Vec<&ArrayRef> = columns.iter().collect();
        let short = |print: Print| u128::from_le_bytes(print) as u64;
        Ok(self.printer.rows(&columns, end - first).into_iter().map(short).collect())
    }
}
