//! Writes carried out, with what stood there before.

use tidegate_model::error::Result;
use tidegate_model::ports::HistoryEntry;
use tidegate_model::record::{Key, RemoteId};
use tidegate_model::time::Instant;

use super::state::sync_id;
use crate::code::{pack, side, side_of, unpack};
use crate::tx::{P, Row, Tx, Writes};

/// Adds writes one by one, for a database to which it makes no difference.
pub(crate) async fn add_each<T: Tx>(tx: &mut T, of: Writes, entries: &[HistoryEntry]) -> Result<()> {
    let images: Vec<(Vec<u8>, Vec<u8>)> = entries
        .iter()
        .map(|entry| Ok((pack("a before-image", &entry.before)?, pack("a write", &entry.after)?)))
        .collect::<Result<_>>()?;
    let rows: Vec<Vec<P<'_>>> = entries
        .iter()
        .zip(&images)
        .zip(of.first..)
        .map(|((entry, (before, after)), seq)| {
            vec![
                P::Int(of.run),
                P::Int(seq),
                P::Int(of.sync),
                P::Key(entry.key.as_str()),
                P::Int(of.at.0),
                P::Text(side(entry.to)),
                P::Text(&entry.effect),
                P::key(entry.remote.as_ref().map(RemoteId::as_str)),
                P::Blob(before),
                P::Blob(after),
            ]
        })
        .collect();
    let sql = "INSERT INTO history (run, seq, sync, key, at, side, effect, remote, before, after) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    tx.exec_many(sql, &rows).await?;
    Ok(())
}

fn entry(mut row: Row) -> Result<(i64, HistoryEntry)> {
    let entry = HistoryEntry {
        key: row.key(1)?,
        at: Instant(row.int(2)?),
        to: side_of(&row.text(3)?)?,
        effect: row.text(4)?,
        remote: row.remote(5)?,
        before: unpack("a before-image", &row.blob(6)?)?,
        after: unpack("a write", &row.blob(7)?)?,
        run: row.text(8)?,
    };
    // Numbers start at 1, so that "after 0" is the beginning.
    Ok((row.int(0)? + 1, entry))
}

pub(crate) async fn history<T: Tx>(tx: &mut T, run: &str, after: i64, limit: u32) -> Result<Vec<(i64, HistoryEntry)>> {
    let sql = "SELECT h.seq, h.key, h.at, h.side, h.effect, h.remote, h.before, h.after, r.run FROM runs r \
               JOIN history h ON h.run = r.id WHERE r.run = $1 AND h.seq >= $2 ORDER BY h.seq LIMIT $3";
    let rows = tx.rows(sql, &[P::Text(run), P::Int(after.max(0)), P::Int(i64::from(limit))]).await?;
    rows.into_iter().map(entry).collect()
}

pub(crate) async fn history_of<T: Tx>(tx: &mut T, sync: &str, key: &Key, limit: u32) -> Result<Vec<HistoryEntry>> {
    let Some(sync) = sync_id(tx, sync).await? else { return Ok(Vec::new()) };
    let sql = "SELECT h.seq, h.key, h.at, h.side, h.effect, h.remote, h.before, h.after, r.run FROM history h \
               JOIN runs r ON r.id = h.run WHERE h.sync = $1 AND h.key = $2 ORDER BY h.run DESC, h.seq DESC LIMIT $3";
    let rows = tx.rows(sql, &[P::Int(sync), P::Key(key.as_str()), P::Int(i64::from(limit))]).await?;
    rows.into_iter().map(|row| entry(row).map(|(_, entry)| entry)).collect()
}
