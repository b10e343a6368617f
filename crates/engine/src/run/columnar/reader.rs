//! The pages of a cursor's window: what was delivered is left out, what cannot be delivered is told, the rest is mapped.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use tidegate_model::cells::value_at;
use tidegate_model::change::FieldReject;
use tidegate_model::error::Result;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Print, ReadAsk, ReadMode};
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::sync::{Lookback, WriteMode};

use super::doubles::{Doubles, Twins, key_prints, printer};
use super::groups::{cut, twin};
use super::note::Note;
use super::source::warehouse_columns;
use super::window::{Parts, Window, order, start};
use super::work::{Batch, Work};
use crate::plan::columns::{Beforehand, Columns, position};
use crate::plan::prints::Printer;
use crate::run::context::Ctx;
use crate::run::retry::opened;

/// Where a read begins and ends, and what it makes of what it meets.
pub(super) struct Range {
    pub(super) column: String,
    pub(super) lookback: Option<Lookback>,
    /// Where the sync stood when the read began.
    pub(super) at: Option<CursorPoint>,
    /// Exclusive lower end; `None`: from the start.
    pub(super) from: Option<CursorPoint>,
    /// Inclusive upper end; `None`: there was no greatest value, so at most rows without any.
    pub(super) to: Option<CursorPoint>,
    /// Most rows.
    pub(super) limit: Option<u64>,
    /// Rows without a cursor were handed out before.
    pub(super) nulls_told: bool,
}

/// Pages of a window, judged and mapped.
pub(super) struct Reader {
    pages: Pages,
    range: Range,
    key: String,
    pub(super) left: Option<u64>,
    printer: Printer,
    key_printer: Printer,
    /// Rows are told apart by content, not by key alone.
    content: bool,
    /// Rows of the margin that were delivered are left out.
    filter: bool,
    columns: Arc<Columns>,
    pub(super) doubles: Doubles,
    /// The page after the one in hand, where neighbours across the edge count.
    held: Option<Keyed>,
    started: bool,
    last: Option<Print>,
}

/// A page with the prints of its keys.
struct Keyed {
    page: Page,
    keys: Vec<Option<Print>>,
}

/// Which rows of a page are left out, and why.
struct Left {
    /// Left out without being rejects.
    skip: Vec<bool>,
    /// Those of them that were delivered before.
    known: u64,
    /// Those of them that are not counted: further rows of a key, or counted elsewhere.
    uncounted: u64,
    rejects: Vec<(usize, FieldReject)>,
}

/// What is asked of the warehouse for a window (exclusive, inclusive); without an end, for rows that lack a cursor.
pub(super) fn ask(
    ctx: &Ctx,
    columns: &Columns,
    column: &str,
    (from, to): (Option<&CursorPoint>, Option<&CursorPoint>),
    page_rows: usize,
) -> ReadAsk {
    let key = ctx.sync.key.warehouse.clone();
    let mode = match to {
        Some(to) => ReadMode::Cursor { column: column.to_owned(), key, from: from.cloned(), to: to.clone() },
        None => ReadMode::Unordered,
    };
    ReadAsk {
        source: ctx.sync.source.clone(),
        columns: warehouse_columns(columns, Some(column)),
        mode,
        page_rows,
        timezone: ctx.sync.timezone.clone(),
    }
}

impl Reader {
    /// Opens a read. `doubles`: what an earlier read of the same window found.
    pub(super) async fn open(work: &Work<'_>, range: Range, doubles: Option<Doubles>) -> Result<Self> {
        let ctx = work.ctx;
        let key = ctx.sync.key.warehouse.clone();
        let doubles = match doubles {
            Some(doubles) => doubles,
            None => Doubles::of(ctx, &range.column, range.from.as_ref(), range.to.as_ref()).await?,
        };
        let ends = (range.from.as_ref(), range.to.as_ref());
        let ask = ask(ctx, &work.columns, &range.column, ends, work.page_rows());
        let (printer_of_rows, content) = row_printer(work).await?;
        Ok(Self {
            pages: opened(&*ctx.job.warehouse, &ctx.options.cancel, ask).await?,
            left: range.limit,
            range,
            key,
            printer: printer_of_rows,
            key_printer: printer(ctx).await?,
            content,
            filter: !ctx.options.full,
            columns: work.columns.clone(),
            doubles,
            held: None,
            started: false,
            last: None,
        })
    }

    fn window(&self) -> Window<'_> {
        Window { cursor: &self.range.column, key: &self.key, at: self.range.at.as_ref() }
    }

    /// The next page as a batch.
    pub(super) async fn next(&mut self, work: &Work<'_>) -> Result<Option<Batch>> {
        let Some((page, twins)) = self.turn(work).await? else { return Ok(None) };
        if self.range.to.is_none() {
            return self.without_cursor(work, &page, &twins).map(Some);
        }
        let parts = self.window().parts(&page)?;
        let skip = self.delivered(work, &page, parts).await?;
        let left = self.judge(work, &page, parts, &twins, skip)?;
        self.batch(work, &page, parts, left).map(Some)
    }

    /// The next page with what a span was to bring: rows without a cursor belong to no span, and rows that were
    /// delivered before are counted by the read that follows.
    pub(super) async fn next_of_span(&mut self, work: &Work<'_>) -> Result<Option<Batch>> {
        let Some(mut batch) = self.next(work).await? else { return Ok(None) };
        batch.read -= batch.known;
        batch.known = 0;
        Ok(Some(batch))
    }

    /// The next page and the rows on it that share their key.
    async fn turn(&mut self, work: &Work<'_>) -> Result<Option<(Page, Twins)>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        if !self.started {
            self.held = self.pull(work).await?;
            self.started = true;
        }
        let Some(Keyed { page, keys }) = self.held.take() else { return Ok(None) };
        self.held = self.pull(work).await?;
        let next = self.held.as_ref().and_then(|next| next.keys.first().copied().flatten());
        let page = cut(page, &mut self.left);
        let twins = self.doubles.twins(&keys, page.len(), self.last, next);
        self.last = keys.last().copied().flatten();
        Ok(Some((page, twins)))
    }

    async fn pull(&mut self, work: &Work<'_>) -> Result<Option<Keyed>> {
        let Some(page) = self.pages.next().await? else { return Ok(None) };
        let array = page.rows.column(position(&page, &self.key)?).clone();
        let keys = key_prints(work.ctx, &self.key_printer, &array, &page)?;
        Ok(Some(Keyed { page, keys }))
    }

    /// Rows of the margin that were delivered before. (`&mut`: pages are not for two threads at once.)
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
    fn without_cursor(&self, work: &Work<'_>, page: &Page, twins: &Twins) -> Result<Batch> {
        let array = page.rows.column(position(page, &self.range.column)?);
        let others: Vec<bool> = (0..page.len()).map(|row| !array.is_null(row)).collect();
        let parts = Parts { nulls: page.len(), fresh: page.len() };
        let mut left = self.judge(work, page, parts, twins, vec![false; page.len()])?;
        let aside = |row: &usize| others[*row] && twins.first.binary_search(row).is_err();
        for row in (0..page.len()).filter(aside) {
            left.uncounted += u64::from(!left.skip[row]);
            left.skip[row] = true;
        }
        self.batch(work, page, parts, left)
    }

    /// Puts together what is left out of a page: further rows of a key, what was counted elsewhere, what was delivered.
    fn judge(&self, work: &Work<'_>, page: &Page, parts: Parts, twins: &Twins, delivered: Vec<bool>) -> Result<Left> {
        let mut left = Left { skip: delivered, known: 0, uncounted: 0, rejects: Vec::new() };
        let first = |row: usize| twins.first.binary_search(&row).is_ok();
        twins.first.iter().for_each(|row| left.skip[*row] = false);
        let mut uncounted = vec![false; page.len()];
        twins.repeats.iter().for_each(|row| uncounted[*row] = true);
        if self.range.nulls_told {
            uncounted[..parts.nulls].fill(true);
        }
        if !work.said.is_empty() {
            let keys = work.keys(page)?;
            for (row, key) in keys.iter().enumerate() {
                uncounted[row] |= key.as_ref().is_some_and(|key| work.said.contains(key));
            }
        }
        for (row, uncounted) in uncounted.iter().enumerate() {
            left.skip[row] |= uncounted;
            left.uncounted += u64::from(*uncounted);
        }
        left.known = left.skip.iter().filter(|skip| **skip).count() as u64 - left.uncounted;
        let lacks = (0..parts.nulls).filter(|row| !first(*row)).map(|row| (row, self.no_cursor()));
        left.rejects = lacks.chain(twins.first.iter().map(|row| (*row, twin(&self.key)))).collect();
        left.rejects.sort_by_key(|(row, _)| *row);
        Ok(left)
    }

    fn batch(&self, work: &Work<'_>, page: &Page, parts: Parts, left: Left) -> Result<Batch> {
        let Left { skip, known, uncounted, rejects } = left;
        let mapped = self.columns.map(page, Beforehand { skip, rejects })?;
        let fresh = work.judge.before.fresh(&mapped, parts.fresh);
        let pages = self.columns.parts(mapped)?;
        let from: Vec<u32> = pages.iter().flat_map(|page| &page.from).copied().collect();
        let end = page.len() - 1;
        let moved = if parts.fresh < page.len() { Some(self.window().point(page, end)?) } else { None };
        let stands = moved.as_ref().or(self.range.at.as_ref());
        let floor = stands.and_then(|point| order(&start(point, self.range.lookback).value));
        let note = match floor {
            Some(floor) => Some(Note::Margin(self.remembered(page, &from, floor)?)),
            None => None,
        };
        Ok(Batch {
            fresh,
            number: 0,
            pages,
            read: page.len() as u64 - uncounted,
            known,
            last: if parts.nulls < page.len() { Some(self.window().point(page, end)?) } else { None },
            to: moved.or_else(|| self.range.at.clone()).map(Position::Cursor),
            note,
            forget_below: floor,
        })
    }

    fn no_cursor(&self) -> FieldReject {
        no_cursor(&self.range.column)
    }

    /// The loaded rows that later margins will read again: number, order, print.
    fn remembered(&self, page: &Page, from: &[u32], floor: i64) -> Result<Vec<(u32, i64, u64)>> {
        let column = position(page, &self.range.column)?;
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
        short_prints(&self.printer, self.content, page, &self.key, first, end)
    }
}

/// How the rows of a margin are told apart, and whether by content.
pub(super) async fn row_printer(work: &Work<'_>) -> Result<(Printer, bool)> {
    let ctx = work.ctx;
    let content = ctx.sync.write == WriteMode::Upsert;
    // A changed mapping delivers changed rows again, but appends nothing twice.
    let seed = if content { ctx.mapping.hash } else { 0 };
    Ok((Printer::new(ctx.engine.memory.print_key().await?, seed), content))
}

/// The prints by which rows are remembered.
pub(super) fn short_prints(
    printer: &Printer,
    content: bool,
    page: &Page,
    key: &str,
    first: usize,
    end: usize,
) -> Result<Vec<u64>> {
    let sliced = |column: usize| page.rows.column(column).slice(first, end - first);
    let columns: Vec<ArrayRef> =
        if content { (0..page.rows.num_columns()).map(sliced).collect() } else { vec![sliced(position(page, key)?)] };
    let columns: Vec<&ArrayRef> = columns.iter().collect();
    let short = |print: Print| u128::from_le_bytes(print) as u64;
    Ok(printer.rows(&columns, end - first).into_iter().map(short).collect())
}

/// The reject of a row without a cursor.
pub(super) fn no_cursor(column: &str) -> FieldReject {
    FieldReject::field(column, "null_cursor", "the cursor column has no usable value in this row")
}
