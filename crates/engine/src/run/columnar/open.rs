//! What earlier runs left open: spans whose end is not known, and rejects that may have been mended.

use std::cmp::Ordering;

use tidegate_model::cells::value_at;
use tidegate_model::error::Result;
use tidegate_model::page::Page;
use tidegate_model::ports::{LoadMode, Loaded, OpenSpan, ReadMode, Settlement};
use tidegate_model::record::Key;
use tidegate_model::span::{CursorPoint, OpId, Position};
use tidegate_model::sync::{Changes, OnUncertain, Target};

use super::cursor::{Reader, spec};
use super::groups::twin;
use super::note::Note;
use super::source::warehouse_columns;
use super::window::point_of;
use super::work::{Batch, Work};
use crate::plan::columns::{Beforehand, position};
use crate::run::cursor::compare;
use crate::run::rows::canonical_keys;

/// Keys that are read again in one call.
const RETRY_KEYS: usize = 1_000;

/// Resolves the spans that an earlier run left open, each under its own operation: what landed is settled, what did not
/// is loaded now (a cursor's window) or found again by the read that follows (everything else).
pub(super) async fn resume(work: &mut Work<'_>) -> Result<()> {
    for open in work.ctx.engine.memory.open_spans(&work.ctx.sync.name).await? {
        work.ctx.log("an earlier run was interrupted: its open span is resolved first").await?;
        let moves = open.span.to.is_some() && open.span.to != open.span.from;
        let cursor = work.ctx.sync.changes == Changes::Cursor && !matches!(work.mode, LoadMode::Replace { .. });
        let held = !work.keyed() && work.ctx.sync.on_uncertain == OnUncertain::Hold;
        let mut batch = if moves && cursor { window(work, &open).await? } else { Batch::default() };
        batch.to = open.span.to.clone();
        let note = open.batches.first().map(|intent| Note::decode(&intent.payload)).transpose()?;
        if held && (note.is_some() || batch.rows() > 0) {
            batch.note = note;
            work.hold_uncertain(open.span, batch, lost()).await?;
            continue;
        }
        let op = open.span.op(0);
        let loaded = match (&note, batch.rows()) {
            // Nothing that it could have brought needs to be known: rows that landed are found to be there.
            (None, 0) => Ok(Loaded::default()),
            (Some(_), 0) => probe(work, &op).await,
            _ => work.load_batch(&batch, &op).await,
        };
        settle(work, open, batch, note, loaded).await?;
        work.ctx.engine.env.failpoint("columnar.span_resumed");
    }
    Ok(())
}

fn lost() -> tidegate_model::Error {
    tidegate_model::Error::new(tidegate_model::ErrorKind::Lost, "the process ended before the answer came")
}

/// Asks whether an operation landed. If it did not, it is carried out without a row.
async fn probe(work: &Work<'_>, op: &OpId) -> Result<Loaded> {
    work.load(op, 0, async || Ok(Box::new(tidegate_model::page::Held(Default::default())) as _)).await
}

async fn settle(
    work: &mut Work<'_>,
    open: OpenSpan,
    mut batch: Batch,
    note: Option<Note>,
    loaded: Result<Loaded>,
) -> Result<()> {
    let intended = note.is_some();
    let replayed = loaded.as_ref().is_ok_and(|loaded| loaded.replayed);
    batch.note = match (replayed, batch.rows()) {
        // What landed then is what was noted then.
        (true, _) => note,
        (false, 0) => None,
        (false, _) => batch.note,
    };
    let forget = batch.note.as_ref().is_none_or(Note::is_empty) && intended;
    if forget {
        // The intent goes with the span, and leaves nothing to remember.
        let Ok(loaded) = &loaded else { return work.settle(open.span, batch, loaded).await };
        let settlement =
            Settlement { batch: Some((open.span.id.clone(), 0)), ..work.settled(&open.span, &batch, loaded) };
        work.commit(&settlement).await?;
        work.position = open.span.to.clone().or(open.span.from);
        return Ok(());
    }
    if !intended && batch.note.is_some() {
        // The span had no intent, so that none can be settled: what is remembered now only saves a second look.
        batch.note = None;
    }
    work.settle(open.span, batch, loaded).await
}

/// Reads a span's window again.
async fn window(work: &Work<'_>, open: &OpenSpan) -> Result<Batch> {
    let (column, lookback) = spec(work.ctx)?;
    let at = point_of(open.span.from.as_ref()).cloned();
    let Some(to) = point_of(open.span.to.as_ref()).cloned() else { return Ok(Batch::default()) };
    let mode =
        ReadMode::Cursor { column: column.clone(), key: work.ctx.sync.key.warehouse.clone(), from: at.clone(), to };
    let mut reader = Reader::over(work, column, lookback, at, mode).await?;
    let mut whole = Batch::default();
    while let Some(page) = reader.next_of_span().await? {
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
    whole.read += page.read;
    whole.known += page.known;
    whole.pages.extend(page.pages);
}

/// Reads the source rows of rejected keys again and delivers those that are fit now. With `below`, only rows that a
/// window starting there would not show.
pub(super) async fn retry(work: &mut Work<'_>, keys: Vec<Key>, below: Option<&CursorPoint>) -> Result<()> {
    let cursor = work.ctx.sync.changes == Changes::Cursor;
    if work.to == Target::Warehouse || keys.is_empty() || (cursor && below.is_none() && work.position.is_some()) {
        return Ok(());
    }
    let column = if cursor { Some(spec(work.ctx)?.0) } else { None };
    let columns = warehouse_columns(&work.columns, column.as_deref());
    let sync = work.ctx.sync.clone();
    for keys in keys.chunks(RETRY_KEYS) {
        let warehouse = &work.ctx.job.warehouse;
        let page = warehouse.fetch(&sync.source, &columns, &sync.key.warehouse, keys, &sync.timezone).await?;
        let Some(batch) = again(work, &page, column.as_deref().zip(below))? else { continue };
        work.gate(&batch)?;
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
