//! Who may write for a sync: leases and their epochs.

use std::time::Duration;

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{self as model, CALL_MS_MAX, Holder, LEASE_MS, Lease};
use tidegate_model::time::Instant;

use crate::code::{from_json, json};
use crate::tx::{P, Tx};

/// What a write under a lease needs to know of its sync.
pub(crate) struct Held {
    /// The sync's number.
    pub(crate) sync: i64,
    /// The runner's clock at its last sign of life: the time of what is written now.
    pub(crate) at: Instant,
}

/// Locks the sync's row and checks that the lease is its newest.
pub(crate) async fn verify<T: Tx>(tx: &mut T, lease: &Lease) -> Result<Held> {
    let row =
        tx.row("SELECT id, epoch, seen_at FROM syncs WHERE name = $1 FOR UPDATE", &[P::Text(&lease.sync)]).await?;
    let Some(mut row) = row else { return Err(lost(lease, "nobody has claimed it in this state")) };
    let (sync, epoch, seen_at) = (row.int(0)?, row.int(1)?, row.int(2)?);
    if epoch != lease.epoch {
        return Err(lost(lease, &format!("epoch {epoch} has been claimed since")));
    }
    Ok(Held { sync, at: Instant(seen_at) })
}

fn lost(lease: &Lease, why: &str) -> Error {
    Error::new(
        ErrorKind::LeaseLost,
        format!("sync {} no longer belongs to this run (epoch {}): {why}", lease.sync, lease.epoch),
    )
    .hint("another run took over; this one ends, and what it left open is resumed there")
}

/// Claims a sync. The lease of epoch `gone` is known to be nobody's any more: it need not run out.
pub(crate) async fn claim<T: Tx>(
    tx: &mut T,
    sync: &str,
    holder: &Holder,
    gone: Option<i64>,
    now: Instant,
) -> Result<Lease> {
    tx.exec(
        "INSERT INTO syncs (name, epoch, seen_at, expires_at) VALUES ($1, 0, 0, 0) ON CONFLICT (name) DO NOTHING",
        &[P::Text(sync)],
    )
    .await?;
    let sql = "SELECT epoch, holder, expires_at FROM syncs WHERE name = $1 FOR UPDATE";
    let Some(mut row) = tx.row(sql, &[P::Text(sync)]).await? else {
        return Err(Error::internal(format!("the row of sync {sync} vanished while it was claimed")));
    };
    let (epoch, owner, expires) = (row.int(0)?, row.opt_text(1)?, Instant(row.int(2)?));
    if let Some(owner) = owner.filter(|owner| *owner != holder.name && gone != Some(epoch)) {
        let free = expires.plus_millis(i64::try_from(CALL_MS_MAX).unwrap_or(i64::MAX));
        if now < free {
            return Err(taken(sync, &owner, expires, free.millis_since(now)));
        }
    }
    let epoch = epoch + 1;
    let process = holder.process.as_ref().map(|process| json("a process", process)).transpose()?;
    let params = [
        P::Text(sync),
        P::Int(epoch),
        P::Text(&holder.name),
        P::text(process.as_deref()),
        P::Int(now.0),
        P::Int(now.plus_millis(LEASE_MS).0),
    ];
    let sql = "UPDATE syncs SET epoch = $2, holder = $3, process = $4, seen_at = $5, expires_at = $6 WHERE name = $1";
    tx.exec(sql, &params).await?;
    Ok(Lease { sync: sync.to_owned(), holder: holder.name.clone(), epoch })
}

/// Who holds a sync.
pub(crate) async fn held<T: Tx>(tx: &mut T, sync: &str) -> Result<Option<model::Held>> {
    let sql = "SELECT holder, process, epoch, seen_at FROM syncs WHERE name = $1 AND holder IS NOT NULL";
    let Some(mut row) = tx.row(sql, &[P::Text(sync)]).await? else { return Ok(None) };
    let process = row.opt_text(1)?.map(|text| from_json("a process", &text)).transpose()?;
    let holder = Holder { name: row.text(0)?, process };
    Ok(Some(model::Held { holder, epoch: row.int(2)?, seen_at: Instant(row.int(3)?) }))
}

fn taken(sync: &str, owner: &str, expires: Instant, wait_ms: i64) -> Error {
    let seconds = wait_ms.max(0) / 1_000 + 1;
    let mut error =
        Error::new(ErrorKind::Locked, format!("sync {sync} is run by {owner}, whose lease lasts until {expires}"))
            .hint(format!("wait for that run to end; if its process is gone, the sync is free in {seconds} s"));
    error.retry_after = Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)));
    error
}

pub(crate) async fn heartbeat<T: Tx>(tx: &mut T, lease: &Lease, now: Instant) -> Result<()> {
    let held = verify(tx, lease).await?;
    let params =
        [P::Int(held.sync), P::Int(now.max(held.at).0), P::Int(now.plus_millis(LEASE_MS).0), P::Text(&lease.holder)];
    let sql = "UPDATE syncs SET seen_at = $2, expires_at = $3 WHERE id = $1 AND holder = $4";
    match tx.exec(sql, &params).await? {
        0 => Err(lost(lease, "it was given back")),
        _ => Ok(()),
    }
}

/// Giving back twice is the same as once.
pub(crate) async fn release<T: Tx>(tx: &mut T, lease: &Lease) -> Result<()> {
    let held = verify(tx, lease).await?;
    tx.exec("UPDATE syncs SET holder = NULL, process = NULL WHERE id = $1", &[P::Int(held.sync)]).await?;
    Ok(())
}
