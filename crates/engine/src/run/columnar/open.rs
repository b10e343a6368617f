//! What earlier runs left open: spans whose end is not known, and rejects that may have been mended.

use std::cmp::Ordering;

use tidegate_model::cells::value_at;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::page::Page;
use tidegate_model::ports::{IntentBatch, LoadMode, OpenSpan, ReadMode, Settlement};
use tidegate_model::record::Key;
use tidegate_model::span::{CursorPoint, Position, Span};
use tidegate_model::sync::{Changes, OnUncertain, Target};

use super::cursor::{Reader, spec};
use super::groups::twin;
use super::note::Note;
use super::source::warehouse_columns;
use super::window::{point_of, start};
use super::work::{Batch, Feed, Work, total};
use crate::plan::columns::{Beforehand, position};
use crate::run::cursor::compare;
use crate::run::rows::canonical_keys;

/// Keys that are read again in one call.
const RETRY_KEYS: usize = 1_000;

/// Resolves the spans that an earlier run left open: what landed is settled with what was noted before it was sent, what
/// did not is loaded now (a cursor's window) or found again by the read that follows (everything else).
pub(super) async fn resume(work: &mut Work<'_>) -> Result<()> {
    for open in work.ctx.engine.memory.open_spans(&work.ctx.sync.name).await? {
        work.ctx.log("an earlier run was interrupted: its open span is resolved first").await?;
        resolve(work, open).await?;
        work.ctx.engine.env.failpoint("columnar.span_resumed");
    }
    Ok(())
}

async fn resolve(work: &mut Work<'_>, open: OpenSpan) -> Result<()> {
    let span = open.span;
    let moves = span.to.is_some() && span.to != span.from;
    let cursor = work.ctx.sync.changes == Changes::Cursor && !matches!(work.mode, LoadMode::Replace { .. });
    let mut batch = if moves && cursor { window(work, &span).await? } else { Batch::default() };
    batch.to = span.to.clone();
    batch.number = open.batches.last().map_or(0, |intent| intent.number.saturating_add(1));
    let uncertain = !open.batches.is_empty() || batch.rows() > 0;
    if uncertain && !work.keyed() && work.ctx.sync.on_uncertain == OnUncertain::Hold {
        batch.note = None;
        drop_intents(work, &span, &open.batches, None).await?;
        let lost = Error::new(ErrorKind::Lost, "the process ended before the answer came");
        return work.hold_uncertain(span, batch, lost).await;
    }
    for intent in &open.batches {
        // Asking carries the operation out without a row if it did not land: it is not used again.
        let loaded = work.load(&span.op(intent.number), 0, Feed::Nothing).await?;
        if loaded.replayed && total(&loaded) > 0 {
            drop_intents(work, &span, &open.batches, Some(intent.number)).await?;
            (batch.number, batch.note) = (intent.number, Some(Note::decode(&intent.payload)?));
            return work.settle(span, batch, Ok(loaded)).await;
        }
    }
    drop_intents(work, &span, &open.batches, None).await?;
    if let Some(note) = batch.note.as_ref().filter(|note| !note.is_empty()) {
        work.intend(&span, batch.number, note).await?;
    }
    let loaded = work.load_batch(&batch, &span.op(batch.number)).await;
    work.settle(span, batch, loaded).await
}

/// Lets go of intents that did not land.
async fn drop_intents(work: &mut Work<'_>, span: &Span, batches: &[IntentBatch], but: Option<u32>) -> Result<()> {
    for number in batches.iter().map(|intent| intent.number).filter(|number| Some(*number) != but) {
        let batch = Some((span.id.clone(), number));
        let settlement = Settlement { run: work.ctx.run.clone(), batch, ..Settlement::default() };
        work.commit(&settlement).await?;
    }
    Ok(())
}

/// Reads a span's window again, with the margin before it: rows that came late were to be brought by the same span.
async fn window(work: &Work<'_>, span: &Span) -> Result<Batch> {
    let (column, lookback) = spec(work.ctx)?;
    let at = point_of(span.from.as_ref()).cloned();
    let Some(to) = point_of(span.to.as_ref()).cloned() else { return Ok(Batch::default()) };
    let from = at.as_ref().map(|at| start(at, lookback));
    let mode = ReadMode::Cursor { column: column.clone(), key: work.ctx.sync.key.warehouse.clone(), from, to };
    let mut reader = Reader::over(work, column, lookback, at, mode).await?;
    let mut whole = Batch::default();
    while let Some(page) = reader.next_of_span(work).await? {
        join(&mut whole, page);
    }
    Ok(whole)
}

/// Adds a page to a batch of several.
fn join(whole: &mut Batch, page: Batch) {
    let offset = u32::try_from(whole.rows()).unwrap_or(u32::MAX);
    if let Some(Note::Margin(rows)) = page.note {
        let rows = rows.into_iter().map(|(row, order, print)| (row.saturating_add(offset), order, print));
        match &mut whole.note {
            Some(Note::Margin(all)) => all.extend(rows),
            _ => whole.note = Some(Note::Margin(rows.collect())),
        }
    }
    whole.forget_below = page.forget_below.or(whole.forget_below);
    whole.read += page.read;
    whole.known += page.known;
    whole.pages.extend(page.pages);
}

/// Reads the source rows of rejected keys again and delivers those that are fit now. With `below`, only rows that a
/// window starting there would not show.
pub(super) async fn retry(work: &mut Work<'_>, keys: Vec<Key>, below: Option<&CursorPoint>) -> Result<()> {
    let cursor = work.ctx.sync.changes == Changes::Cursor;
    if work.to == Target::Warehouse || keys.is_empty() {
        return Ok(());
    }
    let column = if cursor { Some(spec(work.ctx)?.0) } else { None };
    let columns = warehouse_columns(&work.columns, column.as_deref());
    let sync = work.ctx.sync.clone();
    for keys in keys.chunks(RETRY_KEYS) {
        let warehouse = &work.ctx.job.warehouse;
        let page = warehouse.fetch(&sync.source, &columns, &sync.key.warehouse, keys, &sync.timezone).await?;
        let Some(batch) = again(work, &page, column.as_deref().zip(below))? else { continue };
        work.gate(&batch).await?;
        let span = work.open_span(&batch).await?;
        let loaded = work.load_batch(&batch, &span.op(0)).await;
        work.settle(span, batch, loaded).await?;
        work.ctx.engine.env.failpoint("columnar.retried");
    }
    Ok(())
}

/// The fetched rows that are delivered by themselves.
fn again(work: &Work<'_>, page: &Page, below: Option<(&str, &CursorPoint)>) -> Result<Option<Batch>> {
    if page.is_empty() {
        return Ok(None);
    }
    let mut skip = vec![false; page.len()];
    if let Some((column, below)) = below {
        let at = position(page, column)?;
        for (row, skip) in skip.iter_mut().enumerate() {
            let value = value_at(&page.rows, at, row);
            *skip = value.is_null() || compare(&value, &below.value) == Ordering::Greater;
        }
    }
    let known = skip.iter().filter(|skip| **skip).count() as u64;
    if known == page.len() as u64 {
        return Ok(None);
    }
    let name = work.columns.key_source();
    let keys = canonical_keys(page.rows.column(position(page, name)?), name)?;
    let mut rows: std::collections::HashMap<&str, Vec<usize>> = std::collections::HashMap::new();
    for (row, key) in keys.iter().enumerate() {
        rows.entry(key.unwrap_or_default()).or_default().push(row);
    }
    let twins = rows.values().filter(|rows| rows.len() > 1).flatten();
    let mut rejects: Vec<_> = twins.map(|row| (*row, twin(name))).collect();
    rejects.sort_by_key(|(row, _)| *row);
    let mapped = work.columns.map(page, Beforehand { skip, rejects })?;
    let to = work.position.clone().filter(|position| matches!(position, Position::Cursor(_)));
    // Rows that are left to the window's own read are counted there.
    Ok(Some(Batch { pages: vec![mapped], read: page.len() as u64 - known, to, ..Batch::default() }))
}
