//! Parts of spans, and their batches that nobody has sent yet.

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{Holder, IntentBatch, Judgement, LEASE_MS, Lease, Shard, ShardStanding};
use tidegate_model::run::Books;
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;

use super::leases;
use super::spans::intend;
use crate::code::{from_json, json};
use crate::tx::{P, Row, Tx, damaged};

/// An error as it is kept: kind, message, hint, cause.
type Told = (ErrorKind, String, Option<String>, Option<String>);

const COLUMNS: &str = "span, number, parts, sync, run, epoch, config_hash, records, taken, forced";

pub(crate) async fn plan<T: Tx>(tx: &mut T, lease: &Lease, batch: &IntentBatch, shard: u32) -> Result<()> {
    leases::verify(tx, lease).await?;
    let params =
        [P::Text(&batch.span), P::Int(i64::from(batch.number)), P::Int(i64::from(shard)), P::Blob(&batch.payload)];
    tx.exec("INSERT INTO planned (span, number, shard, payload) VALUES ($1, $2, $3, $4)", &params).await?;
    Ok(())
}

pub(crate) async fn offer<T: Tx>(tx: &mut T, lease: &Lease, shards: &[Shard]) -> Result<()> {
    leases::verify(tx, lease).await?;
    for shard in shards {
        let records = i64::try_from(shard.records).unwrap_or(i64::MAX);
        let forced = json("guards", &shard.forced)?;
        let params = [
            P::Text(&shard.span),
            P::Int(i64::from(shard.number)),
            P::Int(i64::from(shard.parts)),
            P::Text(&shard.sync),
            P::Text(&shard.run),
            P::Int(shard.epoch),
            P::Text(&shard.config_hash),
            P::Int(records),
            P::Text(&forced),
        ];
        let sql = "INSERT INTO shards (span, number, parts, sync, run, epoch, config_hash, records, forced) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        tx.exec(sql, &params).await?;
    }
    Ok(())
}

/// Those that wait, and those whose worker has been silent for a lease; not those of runs that were taken over.
pub(crate) async fn open<T: Tx>(tx: &mut T, span: Option<&str>, now: Instant) -> Result<Vec<Shard>> {
    let mut params = vec![P::Int(now.plus_millis(-LEASE_MS).0)];
    let mut only = "";
    if let Some(span) = span {
        params.push(P::Text(span));
        only = " AND span = $2";
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM shards WHERE ended = 0 AND (holder IS NULL OR beat_at < $1){only} \
         AND EXISTS (SELECT 1 FROM syncs s WHERE s.name = shards.sync AND s.epoch = shards.epoch) ORDER BY span, number"
    );
    tx.rows(&sql, &params).await?.into_iter().map(shard).collect()
}

/// Those that somebody delivers now.
pub(crate) async fn held<T: Tx>(tx: &mut T) -> Result<Vec<(String, u32, Holder)>> {
    let sql = "SELECT span, number, holder, process FROM shards WHERE ended = 0 AND holder IS NOT NULL";
    let one = |mut row: Row| {
        let process = row.opt_text(3)?.map(|text| from_json("a process", &text)).transpose()?;
        Ok((row.text(0)?, small(row.int(1)?)?, Holder { name: row.text(2)?, process }))
    };
    tx.rows(sql, &[]).await?.into_iter().map(one).collect()
}

fn small(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| damaged("the number of a part in the state is out of range"))
}

fn shard(mut row: Row) -> Result<Shard> {
    Ok(Shard {
        span: row.text(0)?,
        number: small(row.int(1)?)?,
        parts: small(row.int(2)?)?,
        sync: row.text(3)?,
        run: row.text(4)?,
        epoch: row.int(5)?,
        config_hash: row.text(6)?,
        records: u64::try_from(row.int(7)?).unwrap_or(0),
        taken: small(row.int(8)?)?,
        forced: from_json("guards", &row.text(9)?)?,
    })
}

pub(crate) async fn take<T: Tx>(tx: &mut T, of: &Shard, holder: &Holder, now: Instant) -> Result<Option<Shard>> {
    let process = holder.process.as_ref().map(|process| json("a process", process)).transpose()?;
    let params = [
        P::Text(&of.span),
        P::Int(i64::from(of.number)),
        P::Text(&holder.name),
        P::text(process.as_deref()),
        P::Int(now.0),
        P::Int(now.plus_millis(-LEASE_MS).0),
    ];
    let sql = "UPDATE shards SET holder = $3, process = $4, beat_at = $5, taken = taken + 1 \
               WHERE span = $1 AND number = $2 AND ended = 0 AND (holder IS NULL OR beat_at < $6)";
    if tx.exec(sql, &params).await? == 0 {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM shards WHERE span = $1 AND number = $2");
    tx.row(&sql, &params[..2]).await?.map(shard).transpose()
}

/// The lease under which a worker delivers a part, as far as the store asks about it.
fn lease(of: &Shard, holder: &str) -> Lease {
    Lease { sync: of.sync.clone(), holder: holder.to_owned(), epoch: of.epoch }
}

/// Locks the sync's row, checks that its lease is the part's and the part its holder's, and notes a sign of life.
pub(crate) async fn beat<T: Tx>(tx: &mut T, of: &Shard, holder: &str, now: Instant) -> Result<()> {
    leases::verify(tx, &lease(of, holder)).await?;
    let params = [P::Text(&of.span), P::Int(i64::from(of.number)), P::Text(holder), P::Int(now.0)];
    let sql = "UPDATE shards SET beat_at = $4 WHERE span = $1 AND number = $2 AND holder = $3 AND ended = 0";
    match tx.exec(sql, &params).await? {
        0 => Err(Error::new(
            ErrorKind::LeaseLost,
            format!("part {} of a run of sync {} is no longer delivered by this process", of.number + 1, of.sync),
        )
        .hint("another process took it over, or the run has ended; this one lets go of it")),
        _ => Ok(()),
    }
}

pub(crate) async fn next<T: Tx>(tx: &mut T, of: &Shard, holder: &str, now: Instant) -> Result<Option<IntentBatch>> {
    beat(tx, of, holder, now).await?;
    let params = [P::Text(&of.span), P::Int(i64::from(of.number))];
    let sql = "SELECT number, payload FROM planned WHERE span = $1 AND shard = $2 ORDER BY number LIMIT 1";
    let Some(mut row) = tx.row(sql, &params).await? else { return Ok(None) };
    let batch = batch(&of.span, &mut row)?;
    gone(tx, &of.span, of.number, batch.number).await?;
    intend(tx, &lease(of, holder), &batch).await?;
    Ok(Some(batch))
}

pub(crate) async fn judge<T: Tx>(
    tx: &mut T,
    of: &Shard,
    holder: &str,
    heard: Judgement,
    now: Instant,
) -> Result<Judgement> {
    beat(tx, of, holder, now).await?;
    let count = |n: u64| P::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let params = [P::Text(&of.span), P::Int(i64::from(of.number)), count(heard.sent), count(heard.refused)];
    let sql = "UPDATE shards SET sent = sent + $3, refused = refused + $4 WHERE span = $1 AND number = $2";
    tx.exec(sql, &params).await?;
    let sql = "SELECT CAST(sum(sent) AS BIGINT), CAST(sum(refused) AS BIGINT) FROM shards WHERE span = $1";
    let Some(mut row) = tx.row(sql, &params[..1]).await? else { return Ok(heard) };
    let mut number = |at| row.int(at).map(|n| u64::try_from(n).unwrap_or(0));
    Ok(Judgement { sent: number(0)?, refused: number(1)? })
}

fn batch(span: &str, row: &mut Row) -> Result<IntentBatch> {
    let (number, payload) = (small(row.int(0)?)?, row.blob(1)?);
    Ok(IntentBatch { span: span.to_owned(), number, to: Target::Platform, payload, answer: None })
}

async fn gone<T: Tx>(tx: &mut T, span: &str, shard: u32, number: u32) -> Result<()> {
    let params = [P::Text(span), P::Int(i64::from(shard)), P::Int(i64::from(number))];
    tx.exec("DELETE FROM planned WHERE span = $1 AND shard = $2 AND number = $3", &params).await?;
    Ok(())
}

pub(crate) async fn give_back<T: Tx>(tx: &mut T, span: &str, number: u32, holder: &str) -> Result<bool> {
    let params = [P::Text(span), P::Int(i64::from(number)), P::Text(holder)];
    let sql = "UPDATE shards SET holder = NULL, process = NULL, beat_at = NULL \
               WHERE span = $1 AND number = $2 AND holder = $3 AND ended = 0";
    Ok(tx.exec(sql, &params).await? > 0)
}

pub(crate) async fn end<T: Tx>(
    tx: &mut T,
    of: &Shard,
    holder: &str,
    stop: Option<&Error>,
    apart: &Books,
    now: Instant,
) -> Result<()> {
    beat(tx, of, holder, now).await?;
    let apart = json("counts", apart)?;
    let written = |error: &Error| json("an error", &(error.kind, &error.message, &error.hint, &error.cause));
    let stop = stop.map(written).transpose()?;
    let params = [P::Text(&of.span), P::Int(i64::from(of.number)), P::text(stop.as_deref()), P::Text(&apart)];
    let sql = "UPDATE shards SET ended = 1, holder = NULL, process = NULL, beat_at = NULL, stop = $3, apart = $4 \
               WHERE span = $1 AND number = $2";
    tx.exec(sql, &params).await?;
    Ok(())
}

pub(crate) async fn standings<T: Tx>(tx: &mut T, span: &str) -> Result<Vec<ShardStanding>> {
    let sql = "SELECT number, holder, process, ended, stop, apart FROM shards WHERE span = $1 ORDER BY number";
    let rows = tx.rows(sql, &[P::Text(span)]).await?;
    let one = |mut row: Row| {
        let (number, name, process) = (small(row.int(0)?)?, row.opt_text(1)?, row.opt_text(2)?);
        let process = process.map(|text| from_json("a process", &text)).transpose()?;
        let ended = row.int(3)? != 0;
        let stop = row.opt_text(4)?.map(|text| from_json::<Told>("an error", &text)).transpose()?;
        let stop = stop.map(|(kind, message, hint, cause)| Error { hint, cause, ..Error::new(kind, message) });
        let apart = row.text(5)?;
        let apart = if apart == "{}" { Books::default() } else { from_json("counts", &apart)? };
        Ok(ShardStanding { number, holder: name.map(|name| Holder { name, process }), ended, stop, apart })
    };
    rows.into_iter().map(one).collect()
}

pub(crate) async fn drop_planned<T: Tx>(tx: &mut T, lease: &Lease, span: &str) -> Result<Option<IntentBatch>> {
    leases::verify(tx, lease).await?;
    let sql = "SELECT number, payload, shard FROM planned WHERE span = $1 ORDER BY shard, number LIMIT 1";
    let Some(mut row) = tx.row(sql, &[P::Text(span)]).await? else { return Ok(None) };
    let batch = batch(span, &mut row)?;
    let shard = small(row.int(2)?)?;
    gone(tx, span, shard, batch.number).await?;
    Ok(Some(batch))
}

/// What goes with a span.
pub(crate) async fn forget<T: Tx>(tx: &mut T, span: &str) -> Result<()> {
    tx.exec("DELETE FROM planned WHERE span = $1", &[P::Text(span)]).await?;
    tx.exec("DELETE FROM shards WHERE span = $1", &[P::Text(span)]).await?;
    Ok(())
}
