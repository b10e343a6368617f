//! The budget of a remote account, drawn in one-second blocks by every sync and worker.

use tidegate_model::error::{Error, Result};

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
