//! Work that waits or is being done.

use tidegate_model::error::Result;
use tidegate_model::ports::LEASE_MS;
use tidegate_model::time::Instant;

use crate::jobs::Job;
use crate::tx::{P, Row, Tx};

/// False if the sync had a waiting job: the earlier due time stays.
pub(crate) async fn enqueue<T: Tx>(tx: &mut T, sync: &str, trigger: &str, mode: &str, due: Instant) -> Result<bool> {
    let params = [P::Text(sync), P::Text(trigger), P::Text(mode), P::Int(due.0)];
    let sql = "INSERT INTO jobs (sync, started_by, mode, due_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (sync) WHERE holder IS NULL DO NOTHING";
    if tx.exec(sql, &params).await? > 0 {
        return Ok(true);
    }
    let sql = "UPDATE jobs SET due_at = $2 WHERE sync = $1 AND holder IS NULL AND due_at > $2";
    tx.exec(sql, &[params[0], params[3]]).await?;
    Ok(false)
}

/// The job that is due the longest, of a sync that no living worker is at; its worker's silence frees a job.
pub(crate) async fn claim<T: Tx>(tx: &mut T, holder: &str, now: Instant) -> Result<Option<Job>> {
    let dead = P::Int(now.plus_millis(-LEASE_MS).0);
    let sql = "SELECT id, sync, started_by, mode, due_at, holder, beat_at FROM jobs j WHERE due_at <= $1 \
               AND (holder IS NULL OR beat_at < $2) AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.sync = j.sync \
               AND o.id <> j.id AND o.holder IS NOT NULL AND (o.beat_at >= $2 OR j.holder IS NULL)) \
               ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(row) = tx.row(sql, &[P::Int(now.0), dead]).await? else { return Ok(None) };
    let mut job = job(row)?;
    let params = [P::Int(job.id), P::Text(holder), P::Int(now.0)];
    tx.exec("UPDATE jobs SET holder = $2, beat_at = $3 WHERE id = $1", &params).await?;
    job.holder = Some(holder.to_owned());
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

pub(crate) async fn list<T: Tx>(tx: &mut T) -> Result<Vec<Job>> {
    let sql = "SELECT id, sync, started_by, mode, due_at, holder, beat_at FROM jobs ORDER BY due_at, id";
    tx.rows(sql, &[]).await?.into_iter().map(job).collect()
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
    })
}
