//! Records that cannot be delivered as they are.

use tidegate_model::change::{FieldReject, Reject};
use tidegate_model::error::Result;
use tidegate_model::ports::{ListedReject, Settlement};
use tidegate_model::record::Key;
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;

use super::leases::Held;
use super::state::sync_id;
use crate::code::{pack, side, side_of, unpack};
use crate::tx::{P, Row, Tx};

/// Closes what was delivered, opens what was not, and sweeps what this run did not see again.
pub(crate) async fn settle<T: Tx>(tx: &mut T, held: &Held, it: &Settlement) -> Result<()> {
    close(tx, held, &it.delivered_to).await?;
    open(tx, held, &it.run, &it.rejects).await?;
    for to in &it.sweep_rejects {
        let params = [P::Int(held.sync), P::Text(side(*to)), P::Text(&it.run)];
        tx.exec("DELETE FROM rejects WHERE sync = $1 AND side = $2 AND run <> $3", &params).await?;
    }
    Ok(())
}

async fn close<T: Tx>(tx: &mut T, held: &Held, delivered: &[(Key, Target)]) -> Result<()> {
    if delivered.is_empty() {
        return Ok(());
    }
    // Thousands of keys are delivered for each that was ever rejected: most syncs have no reject at all.
    if tx.row("SELECT 1 FROM rejects WHERE sync = $1 LIMIT 1", &[P::Int(held.sync)]).await?.is_none() {
        return Ok(());
    }
    let rows: Vec<Vec<P<'_>>> =
        delivered.iter().map(|(key, to)| vec![P::Int(held.sync), P::Key(key.as_str()), P::Text(side(*to))]).collect();
    tx.exec_many("DELETE FROM rejects WHERE sync = $1 AND key = $2 AND side = $3", &rows).await?;
    Ok(())
}

async fn open<T: Tx>(tx: &mut T, held: &Held, run: &str, rejects: &[Reject]) -> Result<()> {
    let values: Vec<Option<Vec<u8>>> = rejects
        .iter()
        .map(|reject| reject.value.as_ref().map(|value| pack("a rejected value", value)).transpose())
        .collect::<Result<_>>()?;
    let rows: Vec<Vec<P<'_>>> = rejects
        .iter()
        .zip(&values)
        .map(|(reject, value)| {
            vec![
                P::Int(held.sync),
                P::Key(reject.key.as_ref().map_or("", Key::as_str)),
                P::Text(side(reject.to)),
                P::Text(reject.why.field.as_deref().unwrap_or("")),
                P::Text(&reject.why.rule),
                P::Text(&reject.why.reason),
                P::blob(value.as_deref()),
                P::Text(run),
                P::Int(held.at.0),
            ]
        })
        .collect();
    let sql = "INSERT INTO rejects (sync, key, side, field, rule, reason, value, run, at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (sync, key, side, field) DO UPDATE SET \
               rule = excluded.rule, reason = excluded.reason, value = excluded.value, run = excluded.run, at = excluded.at";
    tx.exec_many(sql, &rows).await?;
    Ok(())
}

pub(super) fn listed(mut row: Row) -> Result<ListedReject> {
    let key = Some(row.text(1)?).filter(|key| !key.is_empty()).map(Key::new);
    let field = Some(row.text(3)?).filter(|field| !field.is_empty());
    Ok(ListedReject {
        sync: row.text(0)?,
        reject: Reject {
            key,
            to: side_of(&row.text(2)?)?,
            why: FieldReject { field, rule: row.text(4)?, reason: row.text(5)? },
            value: row.opt_blob(6)?.map(|bytes| unpack("a rejected value", &bytes)).transpose()?,
        },
        run: row.text(7)?,
        at: Instant(row.int(8)?),
    })
}

pub(crate) async fn rejects<T: Tx>(tx: &mut T, sync: Option<&str>, limit: u32) -> Result<Vec<ListedReject>> {
    let limit = P::Int(i64::from(limit));
    let rows = match sync {
        Some(sync) => {
            let sql = "SELECT s.name, r.key, r.side, r.field, r.rule, r.reason, r.value, r.run, r.at FROM rejects r \
                       JOIN syncs s ON s.id = r.sync WHERE s.name = $1 ORDER BY r.key, r.side, r.field LIMIT $2";
            tx.rows(sql, &[P::Text(sync), limit]).await?
        }
        None => {
            let sql = "SELECT s.name, r.key, r.side, r.field, r.rule, r.reason, r.value, r.run, r.at FROM rejects r \
                       JOIN syncs s ON s.id = r.sync ORDER BY r.sync, r.key, r.side, r.field LIMIT $1";
            tx.rows(sql, &[limit]).await?
        }
    };
    rows.into_iter().map(listed).collect()
}

pub(crate) async fn rejected_keys<T: Tx>(tx: &mut T, sync: &str, to: Target) -> Result<Vec<Key>> {
    let Some(sync) = sync_id(tx, sync).await? else { return Ok(Vec::new()) };
    let sql = "SELECT DISTINCT key FROM rejects WHERE sync = $1 AND side = $2 AND key <> $3 ORDER BY key";
    let rows = tx.rows(sql, &[P::Int(sync), P::Text(side(to)), P::Key("")]).await?;
    rows.into_iter().map(|mut row| row.key(0)).collect()
}
