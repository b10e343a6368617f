//! What a killed run left open is resolved before anything newer is read.

use tidegate_model::change::Outcome;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{OpenSpan, Settlement};
use tidegate_model::run::{Books, RunRecord};
use tidegate_model::span::Span;

use crate::plan::reconcile::Verdict;

use super::ask::{Answers, Intended};
use super::batch::Batch;
use super::context::Ctx;
use super::deliver::Delivery;
use super::spans;

/// Resolves the spans that an earlier run of records left open: answered batches are settled, the others are sent
/// again under their own operation id – a target that carried them out says so – and the span is closed without moving
/// the position: what it had not come to is found again.
pub(crate) async fn resume(ctx: &Ctx, run: &mut RunRecord) -> Result<()> {
    for open in ctx.engine.memory.open_spans(&ctx.sync.name).await? {
        ctx.log(&format!("an earlier run was interrupted: {} open batches are resolved first", open.batches.len()))
            .await?;
        ctx.resumed.store(true, std::sync::atomic::Ordering::Relaxed);
        let books = batches(ctx, &open).await?;
        run.books.add(&books);
        let close = Span { to: open.span.from.clone(), ..open.span.clone() };
        spans::close(ctx, close, Settlement::default()).await?;
        ctx.engine.env.failpoint("resume.closed");
    }
    Ok(())
}

/// What may have been sent when the process ended, to a platform that can neither tell a double nor be asked.
fn unknown(verdicts: &[Verdict]) -> Vec<Outcome> {
    let error = || Error::new(ErrorKind::Lost, "the process ended before the answer was heard");
    let written = verdicts.iter().filter(|verdict| verdict.to_platform.change.is_some());
    written.map(|_| Outcome::Unknown(error())).collect()
}

async fn batches(ctx: &Ctx, open: &OpenSpan) -> Result<Books> {
    let mut delivery = Delivery::new(ctx, &open.span, open.next_batch, 0);
    for batch in &open.batches {
        let mut verdicts = Batch::read(&batch.payload)?;
        if ctx.follows() {
            // The position stays where it was, so a row that came and went since shows in no window: it is read by key.
            verdicts.iter_mut().for_each(|verdict| verdict.open = true);
        }
        let mut answers: Answers = match &batch.answer {
            Some(bytes) => postcard::from_bytes(bytes)
                .map_err(|error| Error::internal("read the answers of an interrupted run").cause(error))?,
            None => Answers::default(),
        };
        ctx.engine.env.failpoint("resume.batch");
        if ctx.holds_uncertain() && answers.platform.is_none() {
            answers.platform = Some(unknown(&verdicts));
        }
        let intended = Intended { number: Some(batch.number), verdicts, answers };
        delivery.carry_out(intended, true).await?;
    }
    match delivery.stop.take() {
        Some(error) => Err(error),
        None => Ok(*delivery.books()),
    }
}
