//! The budget of a remote account, drawn from by every sync and worker: units of a block of time, flows that fill
//! evenly, and places for calls in flight. All of it stands in one table; units of different kinds have different names.

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::Flow;
use tidegate_model::time::Instant;

use crate::code::{signed, unsigned};
use crate::tx::{P, Tx};

/// Blocks that are kept: clocks of workers differ by seconds, not by minutes.
const BLOCKS_KEPT: i64 = 120;

pub(crate) async fn draw<T: Tx>(
    tx: &mut T,
    account: &str,
    unit: &str,
    block: i64,
    limit: u64,
    want: u64,
) -> Result<u64> {
    let place = [P::Text(account), P::Text(unit), P::Int(block)];
    let sql = "INSERT INTO draws (account, unit, block, used) VALUES ($1, $2, $3, 0) \
               ON CONFLICT (account, unit, block) DO NOTHING";
    if tx.exec(sql, &place).await? > 0 {
        let sql = "DELETE FROM draws WHERE account = $1 AND unit = $2 AND block < $3";
        tx.exec(sql, &[place[0], place[1], P::Int(block.saturating_sub(BLOCKS_KEPT))]).await?;
    }
    let sql = "SELECT used FROM draws WHERE account = $1 AND unit = $2 AND block = $3 FOR UPDATE";
    let Some(mut row) = tx.row(sql, &place).await? else {
        return Err(Error::internal("a block of a budget vanished while it was drawn from"));
    };
    let used = unsigned(row.int(0)?)?;
    let granted = want.min(limit.saturating_sub(used));
    if granted > 0 {
        let sql = "UPDATE draws SET used = $4 WHERE account = $1 AND unit = $2 AND block = $3";
        tx.exec(sql, &[place[0], place[1], place[2], P::Int(signed(used.saturating_add(granted)))]).await?;
    }
    Ok(granted)
}

/// A flow is one row, `used` is the nanosecond up to which it is booked.
pub(crate) async fn book<T: Tx>(
    tx: &mut T,
    account: &str,
    unit: &str,
    flow: Flow,
    want: u64,
    now: Instant,
) -> Result<u64> {
    let place = [P::Text(account), P::Text(unit), P::Int(0)];
    let now = now.0.saturating_mul(1_000);
    let booked = line(tx, &place).await?.max(now);
    let until = booked.saturating_add(signed(want.saturating_mul(flow.unit_ns)));
    let sql = "UPDATE draws SET used = $4 WHERE account = $1 AND unit = $2 AND block = $3";
    tx.exec(sql, &[place[0], place[1], place[2], P::Int(until)]).await?;
    let free = until.saturating_sub(signed(flow.burst.saturating_mul(flow.unit_ns)));
    let wait = free.saturating_sub(now).max(0);
    Ok(unsigned(wait)?.div_ceil(1_000))
}

/// The unit of places for calls in flight: one row each, `used` is when it is free again at the latest.
const IN_FLIGHT: &str = "in_flight";

pub(crate) async fn occupy<T: Tx>(
    tx: &mut T,
    account: &str,
    places: u32,
    now: Instant,
    until: Instant,
) -> Result<Option<u32>> {
    for number in 0..places {
        let place = [P::Text(account), P::Text(IN_FLIGHT), P::Int(i64::from(number))];
        if line(tx, &place).await? <= now.0 {
            let sql = "UPDATE draws SET used = $4 WHERE account = $1 AND unit = $2 AND block = $3";
            tx.exec(sql, &[place[0], place[1], place[2], P::Int(until.0)]).await?;
            return Ok(Some(number));
        }
    }
    Ok(None)
}

pub(crate) async fn vacate<T: Tx>(tx: &mut T, account: &str, place: u32, until: Instant) -> Result<()> {
    // Only if it is still ours: who was slower than the place was kept for finds somebody else in it.
    let sql = "UPDATE draws SET used = 0 WHERE account = $1 AND unit = $2 AND block = $3 AND used = $4";
    tx.exec(sql, &[P::Text(account), P::Text(IN_FLIGHT), P::Int(i64::from(place)), P::Int(until.0)]).await?;
    Ok(())
}

/// A row of the table, made where it is not there, locked for this transaction.
async fn line<T: Tx>(tx: &mut T, place: &[P<'_>; 3]) -> Result<i64> {
    let sql = "INSERT INTO draws (account, unit, block, used) VALUES ($1, $2, $3, 0) \
               ON CONFLICT (account, unit, block) DO NOTHING";
    tx.exec(sql, place).await?;
    let sql = "SELECT used FROM draws WHERE account = $1 AND unit = $2 AND block = $3 FOR UPDATE";
    match tx.row(sql, place).await? {
        Some(mut row) => row.int(0),
        None => Err(Error::internal("a row of a budget vanished while it was drawn from")),
    }
}
