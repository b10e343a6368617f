//! Spans of records: opened before their first effect, closed after their last.

use tidegate_model::error::Result;
use tidegate_model::ports::Settlement;
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::span::{Position, Span};

use crate::plan::reconcile::Verdict;

use super::batch::Batch;
use super::context::Ctx;
use super::deliver::Delivery;

/// A span from where the warehouse stands; without an end it moves nothing.
pub(crate) fn span(ctx: &Ctx, to: Option<Position>) -> Span {
    let from = ctx.state.warehouse.clone();
    let to = to.or_else(|| from.clone());
    let batch_rows = u32::try_from(Delivery::batch_max(ctx)).unwrap_or(u32::MAX);
    Span { id: ctx.engine.env.new_id(), sync: ctx.sync.name.clone(), run: ctx.run.clone(), from, to, batch_rows }
}

/// Opens a span.
pub(crate) async fn open(ctx: &Ctx, to: Option<Position>) -> Result<Span> {
    let span = span(ctx, to);
    ctx.engine.memory.open_span(&ctx.lease, &span).await?;
    Ok(span)
}

/// Closes a span, together with what else is settled at its end.
pub(crate) async fn close(ctx: &Ctx, span: Span, rest: Settlement) -> Result<()> {
    let settlement = Settlement { run: ctx.run.clone(), close: Some(span), ..rest };
    ctx.engine.memory.settle(&ctx.lease, &settlement).await
}

/// Settles what is answered, and says why delivery ended early, if it did.
pub(crate) async fn end(delivery: &mut Delivery<'_>) -> Result<()> {
    delivery.finish().await?;
    delivery.stop.take().map_or(Ok(()), Err)
}

/// What is done about records that changed under our hands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissed {
    /// They are looked at again.
    LookAgain,
    /// They are left alone, and listed.
    LeaveAlone,
}

/// Delivers verdicts in a span of their own, which moves no position. The keys that were left alone come back.
pub(crate) async fn deliver(
    ctx: &Ctx,
    run: &mut RunRecord,
    verdicts: Vec<Verdict>,
    missed: IfMissed,
) -> Result<Vec<Key>> {
    ctx.work.store(verdicts.len() as u64, std::sync::atomic::Ordering::Relaxed);
    let size = Delivery::batch_max(ctx);
    let span = open(ctx, None).await?;
    let mut delivery = Delivery::new(ctx, &span, 0, verdicts.len() as u64);
    let mut outcome = Ok(());
    let mut rest = verdicts.into_iter();
    loop {
        let batch: Vec<Verdict> = rest.by_ref().take(size).collect();
        if batch.is_empty() {
            break;
        }
        if outcome.is_err() {
            delivery.not_reached(batch)?;
            continue;
        }
        outcome = match missed {
            IfMissed::LookAgain => delivery.next(Batch::of(batch)?).await,
            IfMissed::LeaveAlone => delivery.once(Batch::of(batch)?).await,
        };
        if outcome.is_ok() && delivery.stop.is_some() {
            outcome = end(&mut delivery).await;
        }
    }
    if outcome.is_ok() {
        outcome = end(&mut delivery).await;
    }
    run.books.add(delivery.books());
    outcome?;
    let stale = delivery.stale();
    close(ctx, span, Settlement::default()).await?;
    Ok(stale)
}
