//! Spans and their batches: opened, intended, answered, settled, closed.

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{IntentBatch, Lease, OpenSpan};
use tidegate_model::span::Span;

use super::leases::{self, Held};
use super::state::{Side, move_position, sync_id, unchained};
use crate::code::{exact_json, from_json, side, side_of};
use crate::tx::{P, Tx, damaged};

/// Opening the same span again changes nothing.
pub(crate) async fn open_span<T: Tx>(tx: &mut T, lease: &Lease, span: &Span) -> Result<()> {
    let held = leases::verify(tx, lease).await?;
    if span.sync != lease.sync {
        return Err(Error::internal(format!("span {} is of sync {}, the lease of {}", span.id, span.sync, lease.sync)));
    }
    let text = exact_json("a span", span)?;
    let params = [P::Text(&span.id), P::Int(held.sync), P::Text(&text)];
    let sql = "INSERT INTO open_spans (id, sync, span, next_batch) VALUES ($1, $2, $3, 0) ON CONFLICT (id) DO NOTHING";
    if tx.exec(sql, &params).await? == 0 {
        let stored = tx.row("SELECT span FROM open_spans WHERE id = $1", &[P::Text(&span.id)]).await?;
        let same = match stored {
            Some(mut row) => from_json::<Span>("a span", &row.text(0)?)? == *span,
            None => false,
        };
        if !same {
            return Err(unchained(format!(
                "span {} of sync {} is open already, with other bounds",
                span.id, span.sync
            )));
        }
    }
    Ok(())
}

pub(crate) async fn open_spans<T: Tx>(tx: &mut T, sync: &str) -> Result<Vec<OpenSpan>> {
    let Some(sync) = sync_id(tx, sync).await? else { return Ok(Vec::new()) };
    let rows = tx.rows("SELECT span, next_batch FROM open_spans WHERE sync = $1 ORDER BY nr", &[P::Int(sync)]).await?;
    let mut out = Vec::with_capacity(rows.len());
    for mut row in rows {
        let span: Span = from_json("a span", &row.text(0)?)?;
        let next_batch = batch_number(row.int(1)?)?;
        let batches = unsettled(tx, &span.id).await?;
        out.push(OpenSpan { span, next_batch, batches });
    }
    Ok(out)
}

async fn unsettled<T: Tx>(tx: &mut T, span: &str) -> Result<Vec<IntentBatch>> {
    let sql = "SELECT i.number, i.side, i.payload, a.answer FROM intents i \
               LEFT JOIN answers a ON a.span = i.span AND a.number = i.number \
               WHERE i.span = $1 AND i.settled = 0 ORDER BY i.number";
    let rows = tx.rows(sql, &[P::Text(span)]).await?;
    rows.into_iter()
        .map(|mut row| {
            Ok(IntentBatch {
                span: span.to_owned(),
                number: batch_number(row.int(0)?)?,
                to: side_of(&row.text(1)?)?,
                payload: row.blob(2)?,
                answer: row.opt_blob(3)?,
            })
        })
        .collect()
}

fn batch_number(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| damaged("the number of a batch in the state is out of range"))
}

/// Locks an open span of the sync and returns its first unsettled batch number.
async fn next_batch<T: Tx>(tx: &mut T, sync: i64, span: &str) -> Result<i64> {
    let sql = "SELECT next_batch FROM open_spans WHERE id = $1 AND sync = $2 FOR UPDATE";
    match tx.row(sql, &[P::Text(span), P::Int(sync)]).await? {
        Some(mut row) => row.int(0),
        None => Err(unchained(format!("span {span} is not open: nothing was written"))),
    }
}

/// Whether a batch is settled; `None` if nothing was intended under its number.
async fn settled<T: Tx>(tx: &mut T, span: &str, number: i64) -> Result<Option<bool>> {
    let sql = "SELECT settled FROM intents WHERE span = $1 AND number = $2";
    match tx.row(sql, &[P::Text(span), P::Int(number)]).await? {
        Some(mut row) => Ok(Some(row.int(0)? != 0)),
        None => Ok(None),
    }
}

/// Intending a number again that is not settled replaces its batch, answer included.
pub(crate) async fn intend<T: Tx>(tx: &mut T, lease: &Lease, batch: &IntentBatch) -> Result<()> {
    let held = leases::verify(tx, lease).await?;
    let number = i64::from(batch.number);
    let next = next_batch(tx, held.sync, &batch.span).await?;
    let known = settled(tx, &batch.span, number).await?;
    if number < next || known == Some(true) {
        return Err(already_settled(&batch.span, batch.number));
    }
    if known.is_some() {
        unanswer(tx, &batch.span, number).await?;
    }
    let params = [P::Text(&batch.span), P::Int(number), P::Text(side(batch.to)), P::Blob(&batch.payload)];
    let sql = "INSERT INTO intents (span, number, side, payload, settled) VALUES ($1, $2, $3, $4, 0) \
               ON CONFLICT (span, number) DO UPDATE SET side = excluded.side, payload = excluded.payload";
    tx.exec(sql, &params).await?;
    match &batch.answer {
        Some(answer) => put_answer(tx, &batch.span, number, answer).await,
        None => Ok(()),
    }
}

fn already_settled(span: &str, number: u32) -> Error {
    unchained(format!("batch {number} of span {span} is settled already: nothing was written"))
}

pub(crate) async fn answer<T: Tx>(tx: &mut T, lease: &Lease, span: &str, number: u32, answer: &[u8]) -> Result<()> {
    let held = leases::verify(tx, lease).await?;
    let next = next_batch(tx, held.sync, span).await?;
    let at = i64::from(number);
    match settled(tx, span, at).await? {
        Some(false) => put_answer(tx, span, at, answer).await,
        None if at >= next => {
            Err(unchained(format!("batch {number} of span {span} was never intended: its answer was not kept")))
        }
        _ => Err(already_settled(span, number)),
    }
}

/// Answers have a table of their own: beside the intents, which are large, they would have those written once more.
async fn put_answer<T: Tx>(tx: &mut T, span: &str, number: i64, answer: &[u8]) -> Result<()> {
    let sql = "INSERT INTO answers (span, number, answer) VALUES ($1, $2, $3) \
               ON CONFLICT (span, number) DO UPDATE SET answer = excluded.answer";
    tx.exec(sql, &[P::Text(span), P::Int(number), P::Blob(answer)]).await?;
    Ok(())
}

async fn unanswer<T: Tx>(tx: &mut T, span: &str, number: i64) -> Result<()> {
    tx.exec("DELETE FROM answers WHERE span = $1 AND number = $2", &[P::Text(span), P::Int(number)]).await?;
    Ok(())
}

/// Settles a batch: its intents go, and the span's first unsettled number moves on over all that are settled.
pub(crate) async fn settle_batch<T: Tx>(tx: &mut T, held: &Held, span: &str, number: u32) -> Result<()> {
    let mut next = next_batch(tx, held.sync, span).await?;
    let at = i64::from(number);
    match settled(tx, span, at).await? {
        Some(false) => {}
        Some(true) => return Err(already_settled(span, number)),
        None if at < next => return Err(already_settled(span, number)),
        None => {
            return Err(unchained(format!("batch {number} of span {span} was never intended: nothing was settled")));
        }
    }
    unanswer(tx, span, at).await?;
    if at != next {
        let sql = "UPDATE intents SET settled = 1, payload = $3 WHERE span = $1 AND number = $2";
        tx.exec(sql, &[P::Text(span), P::Int(at), P::Blob(&[])]).await?;
        return Ok(());
    }
    while at == next || settled(tx, span, next).await? == Some(true) {
        tx.exec("DELETE FROM intents WHERE span = $1 AND number = $2", &[P::Text(span), P::Int(next)]).await?;
        next += 1;
    }
    tx.exec("UPDATE open_spans SET next_batch = $2 WHERE id = $1", &[P::Text(span), P::Int(next)]).await?;
    Ok(())
}

/// Closes a span: its position moves, and it is forgotten.
pub(crate) async fn close<T: Tx>(tx: &mut T, held: &Held, span: &Span) -> Result<()> {
    next_batch(tx, held.sync, &span.id).await?;
    let open = "SELECT 1 FROM intents WHERE span = $1 AND settled = 0 LIMIT 1";
    if tx.row(open, &[P::Text(&span.id)]).await?.is_some() {
        return Err(unchained(format!("span {} has batches that are not settled: it was not closed", span.id)));
    }
    move_position(tx, held.sync, Side::Warehouse, span.from.as_ref(), span.to.as_ref()).await?;
    tx.exec("DELETE FROM intents WHERE span = $1", &[P::Text(&span.id)]).await?;
    super::shards::forget(tx, &span.id).await?;
    tx.exec("DELETE FROM open_spans WHERE id = $1", &[P::Text(&span.id)]).await?;
    Ok(())
}
