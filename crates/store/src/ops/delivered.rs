//! Keys delivered inside the lookback margin: one chunk per settlement, read into memory as they are asked for.

use std::collections::{HashMap, VecDeque};

use tidegate_model::error::Result;
use tidegate_model::ports::Delivered;

use crate::tx::{P, Tx, damaged};

/// Bytes of a pair of order and print in a chunk.
const PAIR: usize = 16;

/// Adds a chunk and forgets chunks that are wholly below the floor.
pub(crate) async fn add<T: Tx>(tx: &mut T, sync: i64, delivered: &Delivered) -> Result<()> {
    if let Some(floor) = delivered.forget_below {
        let params = [P::Int(sync), P::Int(floor)];
        tx.exec("DELETE FROM delivered WHERE sync = $1 AND high < $2", &params).await?;
        let sql = "UPDATE syncs SET delivered_floor = $2 WHERE id = $1 AND delivered_floor < $2";
        tx.exec(sql, &params).await?;
    }
    let Some(high) = delivered.keys.iter().map(|(order, _)| *order).max() else { return Ok(()) };
    let mut chunk = Vec::with_capacity(delivered.keys.len() * PAIR);
    for (order, print) in &delivered.keys {
        chunk.extend_from_slice(&order.to_le_bytes());
        chunk.extend_from_slice(&print.to_le_bytes());
    }
    tx.exec("UPDATE syncs SET delivered_rev = delivered_rev + 1 WHERE id = $1", &[P::Int(sync)]).await?;
    let sql = "INSERT INTO delivered (sync, rev, high, keys) SELECT id, delivered_rev, $2, $3 FROM syncs WHERE id = $1";
    tx.exec(sql, &[P::Int(sync), P::Int(high), P::Blob(&chunk)]).await?;
    Ok(())
}

/// What this process has read of a sync's delivered keys. Follows the stored chunks by their numbers, so it stays
/// right whoever writes them.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    rev: i64,
    floor: i64,
    orders: HashMap<u64, i64>,
    chunks: VecDeque<(i64, Vec<(i64, u64)>)>,
}

impl Remembered {
    fn learn(&mut self, rev: i64, bytes: &[u8]) -> Result<()> {
        let (pairs, rest) = bytes.as_chunks::<PAIR>();
        if !rest.is_empty() {
            return Err(damaged("a chunk of delivered keys in the state is cut off"));
        }
        let mut chunk = Vec::with_capacity(pairs.len());
        let mut high = i64::MIN;
        for pair in pairs {
            let mut halves = pair.chunks_exact(8).map(|half| <[u8; 8]>::try_from(half).unwrap_or_default());
            let order = i64::from_le_bytes(halves.next().unwrap_or_default());
            let print = u64::from_le_bytes(halves.next().unwrap_or_default());
            high = high.max(order);
            chunk.push((order, print));
            self.orders.entry(print).and_modify(|known| *known = order.max(*known)).or_insert(order);
        }
        self.chunks.push_back((high, chunk));
        self.rev = rev;
        Ok(())
    }

    /// Drops chunks below the floor; single keys below it are filtered when they are asked for.
    fn forget(&mut self, floor: i64) {
        self.floor = floor;
        let orders = &mut self.orders;
        self.chunks.retain(|(high, chunk)| {
            let keep = *high >= floor;
            if !keep {
                for (order, print) in chunk {
                    if orders.get(print) == Some(order) {
                        orders.remove(print);
                    }
                }
            }
            keep
        });
    }

    fn has(&self, print: u64) -> bool {
        self.orders.get(&print).is_some_and(|order| *order >= self.floor)
    }
}

/// Brings the memory up to what is stored and answers from it.
pub(crate) async fn delivered<T: Tx>(
    tx: &mut T,
    sync: &str,
    known: &mut Remembered,
    prints: &[u64],
) -> Result<Vec<bool>> {
    let sql = "SELECT id, delivered_rev, delivered_base, delivered_floor FROM syncs WHERE name = $1";
    let Some(mut row) = tx.row(sql, &[P::Text(sync)]).await? else { return Ok(vec![false; prints.len()]) };
    let (sync, rev, base, floor) = (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
    if known.rev < base || known.rev > rev {
        *known = Remembered::default();
    }
    if rev > known.rev {
        let sql = "SELECT rev, keys FROM delivered WHERE sync = $1 AND rev > $2 ORDER BY rev";
        for mut row in tx.rows(sql, &[P::Int(sync), P::Int(known.rev)]).await? {
            let (rev, keys) = (row.int(0)?, row.blob(1)?);
            known.learn(rev, &keys)?;
        }
        known.rev = rev;
    }
    if floor != known.floor {
        known.forget(floor);
    }
    Ok(prints.iter().map(|print| known.has(*print)).collect())
}
