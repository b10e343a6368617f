//! Work that waits or is being done.

use tidegate_model::error::Result;
use tidegate_model::ports::{Holder, LEASE_MS};
use tidegate_model::time::Instant;

use crate::code::{from_json, json};
use crate::jobs::{Job, NewJob};
use crate::tx::{P, Row, Tx};

const COLUMNS: &str = "id, sync, started_by, mode, due_at, holder, beat_at, process, ask, config_hash";

/// False if the sync had a waiting job: the earlier due time stays, and a person's wish.
pub(crate) async fn put<T: Tx>(tx: &mut T, job: &NewJob) -> Result<bool> {
    let params = [
        P::Text(&job.sync),
        P::Text(&job.trigger),
        P::Text(&job.mode),
        P::Int(job.due_at.0),
        P::Text(&job.ask),
        P::Text(&job.config_hash),
    ];
    let sql = "INSERT INTO jobs (sync, started_by, mode, due_at, ask, config_hash) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (sync) WHERE holder IS NULL DO NOTHING";
    if tx.exec(sql, &params).await? > 0 {
        return Ok(true);
    }
    let sql = "UPDATE jobs SET due_at = $2 WHERE sync = $1 AND holder IS NULL AND due_at > $2";
    tx.exec(sql, &[params[0], params[3]]).await?;
    if job.trigger != "schedule" {
        // A complete run serves whoever wanted less.
        let sql = "UPDATE jobs SET started_by = $2, mode = $3, ask = $4, config_hash = $5 \
                   WHERE sync = $1 AND holder IS NULL AND (started_by = 'schedule' OR mode <> 'full')";
        tx.exec(sql, &[params[0], params[1], params[2], params[4], params[5]]).await?;
    }
    Ok(false)
}

/// The job that is due the longest, or this one, of a sync that no living worker is at; its worker's silence frees a
/// job.
pub(crate) async fn claim<T: Tx>(tx: &mut T, this: Option<i64>, holder: &Holder, now: Instant) -> Result<Option<Job>> {
    let dead = P::Int(now.plus_millis(-LEASE_MS).0);
    let which = if this.is_some() { "j.id = $3 AND " } else { "" };
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs j WHERE {which}due_at <= $1 \
         AND (holder IS NULL OR beat_at < $2) AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.sync = j.sync \
         AND o.id <> j.id AND o.holder IS NOT NULL AND (o.beat_at >= $2 OR j.holder IS NULL)) \
         ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    let row = match this {
        Some(id) => tx.row(&sql, &[P::Int(now.0), dead, P::Int(id)]).await?,
        None => tx.row(&sql, &[P::Int(now.0), dead]).await?,
    };
    let Some(row) = row else { return Ok(None) };
    let mut job = job(row)?;
    let process = holder.process.as_ref().map(|process| json("a process", process)).transpose()?;
    let params = [P::Int(job.id), P::Text(&holder.name), P::Int(now.0), P::text(process.as_deref())];
    tx.exec("UPDATE jobs SET holder = $2, beat_at = $3, process = $4 WHERE id = $1", &params).await?;
    job.holder = Some(holder.name.clone());
    job.process.clone_from(&holder.process);
    job.beat_at = Some(now);
    Ok(Some(job))
}

pub(crate) async fn beat<T: Tx>(tx: &mut T, id: i64, holder: &str, now: Instant) -> Result<bool> {
    let params = [P::Int(id), P::Text(holder), P::Int(now.0)];
    Ok(tx.exec("UPDATE jobs SET beat_at = $3 WHERE id = $1 AND holder = $2", &params).await? > 0)
}

pub(crate) async fn finish<T: Tx>(tx: &mut T, id: i64, holder: &str) -> Result<bool> {
    Ok(tx.exec("DELETE FROM jobs WHERE id = $1 AND holder = $2", &[P::Int(id), P::Text(holder)]).await? > 0)
}

/// Another job of the sync that waits already stands for both.
pub(crate) async fn give_back<T: Tx>(tx: &mut T, id: i64, holder: &str, due: Instant) -> Result<bool> {
    let params = [P::Int(id), P::Text(holder), P::Int(due.0)];
    let sql = "UPDATE jobs SET holder = NULL, beat_at = NULL, process = NULL, due_at = $3 \
               WHERE id = $1 AND holder = $2 AND NOT EXISTS \
               (SELECT 1 FROM jobs o WHERE o.sync = jobs.sync AND o.holder IS NULL)";
    if tx.exec(sql, &params).await? > 0 {
        return Ok(true);
    }
    finish(tx, id, holder).await
}

pub(crate) async fn drop_waiting<T: Tx>(tx: &mut T, sync: &str) -> Result<bool> {
    Ok(tx.exec("DELETE FROM jobs WHERE sync = $1 AND holder IS NULL", &[P::Text(sync)]).await? > 0)
}

pub(crate) async fn list<T: Tx>(tx: &mut T) -> Result<Vec<Job>> {
    tx.rows(&format!("SELECT {COLUMNS} FROM jobs ORDER BY due_at, id"), &[]).await?.into_iter().map(job).collect()
}

fn job(mut row: Row) -> Result<Job> {
    Ok(Job {
        id: row.int(0)?,
        sync: row.text(1)?,
        trigger: row.text(2)?,
        mode: row.text(3)?,
        due_at: Instant(row.int(4)?),
        holder: row.opt_text(5)?,
        beat_at: row.opt_int(6)?.map(Instant),
        process: row.opt_text(7)?.map(|text| from_json("a process", &text)).transpose()?,
        ask: row.text(8)?,
        config_hash: row.text(9)?,
    })
}
