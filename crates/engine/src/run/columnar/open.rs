//! What earlier runs left open: spans whose end is not known, and rejects that may have been mended.

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{IntentBatch, LoadMode, OpenSpan, Settlement};
use tidegate_model::span::Span;
use tidegate_model::sync::{Changes, OnUncertain};

use super::cursor::spec;
use super::note::Note;
use super::reader::{Range, Reader};
use super::window::{point_of, start};
use super::work::{Batch, Feed, Work, total};

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
    // Rows without a cursor belong to no span.
    let range = Range { column, lookback, at, from, to: Some(to), limit: None, nulls_told: true };
    let mut reader = Reader::open(work, range, None).await?;
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
    whole.fresh.add(page.fresh);
    whole.read += page.read;
    whole.known += page.known;
    whole.pages.extend(page.pages);
}
