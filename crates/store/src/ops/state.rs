//! What is known of a sync as a whole.

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{StatePatch, SyncState};
use tidegate_model::record::Key;
use tidegate_model::span::Position;

use crate::code::{exact_json, from_json, opt_from_json, opt_json, unsigned};
use crate::tx::{P, Tx};

/// The number of a sync, if it was ever claimed.
pub(crate) async fn sync_id<T: Tx>(tx: &mut T, sync: &str) -> Result<Option<i64>> {
    match tx.row("SELECT id FROM syncs WHERE name = $1", &[P::Text(sync)]).await? {
        Some(mut row) => row.int(0).map(Some),
        None => Ok(None),
    }
}

/// The same, with the row locked against settlements until the transaction ends.
pub(crate) async fn locked_sync_id<T: Tx>(tx: &mut T, sync: &str) -> Result<Option<i64>> {
    match tx.row("SELECT id FROM syncs WHERE name = $1 FOR UPDATE", &[P::Text(sync)]).await? {
        Some(mut row) => row.int(0).map(Some),
        None => Ok(None),
    }
}

pub(crate) async fn state<T: Tx>(tx: &mut T, sync: &str) -> Result<SyncState> {
    let sql = "SELECT shape_hash, mapping, warehouse, platform, full_settled, linked FROM syncs WHERE name = $1";
    let Some(mut row) = tx.row(sql, &[P::Text(sync)]).await? else { return Ok(SyncState::default()) };
    Ok(SyncState {
        shape_hash: row.text(0)?,
        mapping: row.blob(1)?,
        warehouse: opt_from_json("a position", row.opt_text(2)?)?,
        platform: opt_from_json("a position", row.opt_text(3)?)?,
        full_settled: row.int(4)? != 0,
        linked: unsigned(row.int(5)?)?,
    })
}

/// Keys of ledger entries that carry any of these flags.
pub(crate) async fn flagged<T: Tx>(tx: &mut T, sync: &str, flags: u8, limit: usize) -> Result<Vec<Key>> {
    let Some(sync) = sync_id(tx, sync).await? else { return Ok(Vec::new()) };
    let sql = format!("SELECT key FROM ledger WHERE sync = $1 AND (flags & {flags}) <> 0 ORDER BY key LIMIT $2");
    let limit = P::Int(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = tx.rows(&sql, &[P::Int(sync), limit]).await?;
    rows.into_iter().map(|mut row| row.key(0)).collect()
}

/// Syncs of which more is known than that somebody claimed them once.
pub(crate) async fn syncs<T: Tx>(tx: &mut T) -> Result<Vec<String>> {
    let sql = "SELECT name FROM syncs s WHERE shape_hash <> '' OR length(mapping) > 0 OR warehouse IS NOT NULL \
               OR platform IS NOT NULL OR full_settled <> 0 OR EXISTS (SELECT 1 FROM ledger WHERE sync = s.id) \
               OR EXISTS (SELECT 1 FROM open_spans WHERE sync = s.id) \
               OR EXISTS (SELECT 1 FROM rejects WHERE sync = s.id) \
               OR EXISTS (SELECT 1 FROM conflicts WHERE sync = s.id) ORDER BY name";
    tx.rows(sql, &[]).await?.into_iter().map(|mut row| row.text(0)).collect()
}

/// Drops what a `reset` drops. History, runs and logs stay: they tell what happened.
pub(crate) async fn reset<T: Tx>(tx: &mut T, sync: i64, cursor: Option<&Position>) -> Result<()> {
    let id = [P::Int(sync)];
    for sql in [
        "DELETE FROM ledger WHERE sync = $1",
        "DELETE FROM details WHERE sync = $1",
        "DELETE FROM rejects WHERE sync = $1",
        "DELETE FROM conflicts WHERE sync = $1",
        "DELETE FROM delivered WHERE sync = $1",
        "DELETE FROM answers WHERE span IN (SELECT id FROM open_spans WHERE sync = $1)",
        "DELETE FROM intents WHERE span IN (SELECT id FROM open_spans WHERE sync = $1)",
        "DELETE FROM planned WHERE span IN (SELECT id FROM open_spans WHERE sync = $1)",
        "DELETE FROM shards WHERE span IN (SELECT id FROM open_spans WHERE sync = $1)",
        "DELETE FROM open_spans WHERE sync = $1",
    ] {
        tx.exec(sql, &id).await?;
    }
    let cursor = opt_json("a position", cursor)?;
    tx.exec(
        "UPDATE syncs SET shape_hash = '', mapping = $3, warehouse = $2, platform = NULL, full_settled = 0, linked = 0, \
         delivered_rev = delivered_rev + 1, delivered_base = delivered_rev + 1, \
         delivered_floor = -9223372036854775808 WHERE id = $1",
        &[P::Int(sync), P::text(cursor.as_deref()), P::Blob(&[])],
    )
    .await?;
    Ok(())
}

/// Writes the parts of a patch that stand for themselves.
pub(crate) async fn patch<T: Tx>(tx: &mut T, sync: i64, patch: &StatePatch) -> Result<()> {
    if let Some(hash) = &patch.shape_hash {
        tx.exec("UPDATE syncs SET shape_hash = $2 WHERE id = $1", &[P::Int(sync), P::Text(hash)]).await?;
    }
    if let Some(mapping) = &patch.mapping {
        tx.exec("UPDATE syncs SET mapping = $2 WHERE id = $1", &[P::Int(sync), P::Blob(mapping)]).await?;
    }
    if patch.full_settled {
        tx.exec("UPDATE syncs SET full_settled = 1 WHERE id = $1", &[P::Int(sync)]).await?;
    }
    if let Some((from, to)) = &patch.platform {
        move_position(tx, sync, Side::Platform, from.as_ref(), Some(to)).await?;
    }
    Ok(())
}

/// Which of the two positions moves.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Warehouse,
    Platform,
}

/// Moves a position from where it must stand; with `to` absent it is only checked.
pub(crate) async fn move_position<T: Tx>(
    tx: &mut T,
    sync: i64,
    side: Side,
    from: Option<&Position>,
    to: Option<&Position>,
) -> Result<()> {
    let (name, read, write) = match side {
        Side::Warehouse => {
            ("warehouse", "SELECT warehouse FROM syncs WHERE id = $1", "UPDATE syncs SET warehouse = $2 WHERE id = $1")
        }
        Side::Platform => {
            ("platform", "SELECT platform FROM syncs WHERE id = $1", "UPDATE syncs SET platform = $2 WHERE id = $1")
        }
    };
    let stored: Option<Position> = match tx.row(read, &[P::Int(sync)]).await? {
        Some(mut row) => row.opt_text(0)?.map(|text| from_json("a position", &text)).transpose()?,
        None => None,
    };
    if stored.as_ref() != from {
        return Err(unchained(format!(
            "the {name}'s position does not stand where the settlement starts: nothing was settled"
        )));
    }
    if let Some(to) = to {
        let to = exact_json("a position", to)?;
        tx.exec(write, &[P::Int(sync), P::Text(&to)]).await?;
    }
    Ok(())
}

/// A step that does not follow from what is stored: refused whole.
pub(crate) fn unchained(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, message)
        .hint("run the sync again: it resumes from what is stored; if it happens again, report it with the run's log")
}
