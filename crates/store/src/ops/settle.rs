//! The only way forward: one settlement, all or nothing.

use tidegate_model::error::{Error, Result};
use tidegate_model::failpoint::hit;
use tidegate_model::ports::{Lease, Settlement};

use super::leases::{self, Held};
use super::{conflicts, delivered, rejects, runs, spans, state};
use crate::tx::{P, Tx, Writes, last_of_each};

/// Checks and writes a settlement; the caller commits.
pub(crate) async fn settle<T: Tx>(tx: &mut T, lease: &Lease, it: &Settlement) -> Result<()> {
    let held = leases::verify(tx, lease).await?;
    let run = runs::open(tx, &it.run, &lease.sync).await?;
    if it.patch.reset {
        state::reset(tx, held.sync, it.patch.reset_cursor.as_ref()).await?;
    } else if it.patch.reset_cursor.is_some() {
        return Err(Error::internal("a cursor is set only by a reset"));
    }
    hit("store.settle.reset");
    if let Some((span, number)) = &it.batch {
        spans::settle_batch(tx, &held, span, *number).await?;
    }
    if let Some(span) = &it.close {
        spans::close(tx, &held, span).await?;
    }
    state::patch(tx, held.sync, &it.patch).await?;
    hit("store.settle.progress");
    ledger(tx, &held, it).await?;
    hit("store.settle.ledger");
    rejects::settle(tx, &held, it).await?;
    conflicts::settle(tx, &held, it).await?;
    hit("store.settle.findings");
    if !it.history.is_empty() {
        let of = Writes { run: run.id, sync: held.sync, at: held.at, first: run.writes };
        tx.add_history(of, &it.history).await?;
    }
    if let Some(keys) = &it.delivered {
        delivered::add(tx, held.sync, keys).await?;
    }
    runs::add(tx, run, &it.books, it.history.len()).await?;
    hit("store.settle.written");
    Ok(())
}

async fn ledger<T: Tx>(tx: &mut T, held: &Held, it: &Settlement) -> Result<()> {
    let mut linked = 0;
    if !it.removed.is_empty() {
        linked += tx.remove_ledger(held.sync, &it.removed).await?;
    }
    if !it.entries.is_empty() {
        linked += tx.put_ledger(held.sync, &last_of_each(&it.entries)).await?;
    }
    if linked != 0 {
        let sql = "UPDATE syncs SET linked = linked + $2 WHERE id = $1";
        tx.exec(sql, &[P::Int(held.sync), P::Int(linked)]).await?;
    }
    Ok(())
}
