//! Fields that both sides changed: decided by rule, open for a person, or chosen by one.

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{Choice, Conflict, ConflictState, ListedConflict, Settlement};
use tidegate_model::record::Key;
use tidegate_model::time::Instant;

use super::leases::Held;
use super::state::locked_sync_id;
use crate::code::{json, opt_from_json, pack, side, side_of, unpack};
use crate::tx::{P, Row, Tx, damaged};

fn word(state: ConflictState) -> &'static str {
    match state {
        ConflictState::Decided => "decided",
        ConflictState::Open => "open",
        ConflictState::Chosen => "chosen",
    }
}

fn state_of(word: &str) -> Result<ConflictState> {
    [ConflictState::Decided, ConflictState::Open, ConflictState::Chosen]
        .into_iter()
        .find(|state| self::word(*state) == word)
        .ok_or_else(|| damaged("a conflict of the state has a state that does not exist"))
}

/// Ends what is over, records what was seen, and sweeps open ones that this run did not see again.
pub(crate) async fn settle<T: Tx>(tx: &mut T, held: &Held, it: &Settlement) -> Result<()> {
    let rows: Vec<Vec<P<'_>>> = it
        .settled_conflicts
        .iter()
        .map(|(key, field)| vec![P::Int(held.sync), P::Key(key.as_str()), P::Text(field.as_deref().unwrap_or(""))])
        .collect();
    let sql = "DELETE FROM conflicts WHERE sync = $1 AND key = $2 AND field = $3 AND state <> 'decided'";
    tx.exec_many(sql, &rows).await?;
    record(tx, held, &it.run, &it.conflicts).await?;
    if it.sweep_conflicts {
        let sql = "DELETE FROM conflicts WHERE sync = $1 AND state = 'open' AND run <> $2";
        tx.exec(sql, &[P::Int(held.sync), P::Text(&it.run)]).await?;
    }
    Ok(())
}

/// A person's choice survives as long as the values that it was made for are seen again.
async fn record<T: Tx>(tx: &mut T, held: &Held, run: &str, conflicts: &[Conflict]) -> Result<()> {
    let packed: Vec<_> = conflicts
        .iter()
        .map(|conflict| {
            let pack = |value: &Option<_>| value.as_ref().map(|value| pack("a conflict's value", value)).transpose();
            Ok((pack(&conflict.warehouse)?, pack(&conflict.platform)?))
        })
        .collect::<Result<_>>()?;
    let (decided, waiting): (Vec<_>, Vec<_>) =
        conflicts.iter().zip(&packed).partition(|(conflict, _)| conflict.state == ConflictState::Decided);
    let insert = "INSERT INTO conflicts (sync, key, field, state, warehouse, platform, winner, note, run, at) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    tx.exec_many(insert, &rows(held, run, &decided)).await?;
    let upsert = "INSERT INTO conflicts (sync, key, field, state, warehouse, platform, winner, note, run, at) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
                  ON CONFLICT (sync, key, field) WHERE state <> 'decided' DO UPDATE SET run = excluded.run, at = excluded.at, \
                  state = CASE WHEN conflicts.warehouse IS NOT DISTINCT FROM excluded.warehouse \
                  AND conflicts.platform IS NOT DISTINCT FROM excluded.platform AND conflicts.state = 'chosen' \
                  THEN conflicts.state ELSE excluded.state END, \
                  choice = CASE WHEN conflicts.warehouse IS NOT DISTINCT FROM excluded.warehouse \
                  AND conflicts.platform IS NOT DISTINCT FROM excluded.platform THEN conflicts.choice END, \
                  warehouse = excluded.warehouse, platform = excluded.platform, winner = excluded.winner, note = excluded.note";
    tx.exec_many(upsert, &rows(held, run, &waiting)).await?;
    Ok(())
}

type Packed = (Option<Vec<u8>>, Option<Vec<u8>>);

fn rows<'a>(held: &Held, run: &'a str, conflicts: &[(&'a Conflict, &'a Packed)]) -> Vec<Vec<P<'a>>> {
    conflicts
        .iter()
        .map(|(conflict, (warehouse, platform))| {
            vec![
                P::Int(held.sync),
                P::Key(conflict.key.as_str()),
                P::Text(conflict.field.as_deref().unwrap_or("")),
                P::Text(word(conflict.state)),
                P::blob(warehouse.as_deref()),
                P::blob(platform.as_deref()),
                P::text(conflict.winner.map(side)),
                P::text(conflict.note.as_deref()),
                P::Text(run),
                P::Int(held.at.0),
            ]
        })
        .collect()
}

pub(super) fn listed(mut row: Row) -> Result<ListedConflict> {
    let value = |bytes: Option<Vec<u8>>| bytes.map(|bytes| unpack("a conflict's value", &bytes)).transpose();
    Ok(ListedConflict {
        sync: row.text(0)?,
        conflict: Conflict {
            key: row.key(1)?,
            field: Some(row.text(2)?).filter(|field| !field.is_empty()),
            state: state_of(&row.text(3)?)?,
            warehouse: value(row.opt_blob(4)?)?,
            platform: value(row.opt_blob(5)?)?,
            winner: row.opt_text(6)?.map(|word| side_of(&word)).transpose()?,
            note: row.opt_text(7)?,
        },
        choice: opt_from_json("a choice", row.opt_text(8)?)?,
        run: row.text(9)?,
        at: Instant(row.int(10)?),
    })
}

pub(crate) async fn conflicts<T: Tx>(
    tx: &mut T,
    sync: Option<&str>,
    open_only: bool,
    limit: u32,
) -> Result<Vec<ListedConflict>> {
    let sql = format!(
        "SELECT s.name, c.key, c.field, c.state, c.warehouse, c.platform, c.winner, c.note, c.choice, c.run, c.at \
         FROM conflicts c JOIN syncs s ON s.id = c.sync WHERE {} AND {} ORDER BY c.at DESC, c.id DESC LIMIT $1",
        if sync.is_some() { "s.name = $2" } else { "1 = 1" },
        if open_only { "c.state <> 'decided'" } else { "1 = 1" },
    );
    let limit = P::Int(i64::from(limit));
    let rows = match sync {
        Some(sync) => tx.rows(&sql, &[limit, P::Text(sync)]).await?,
        None => tx.rows(&sql, &[limit]).await?,
    };
    rows.into_iter().map(listed).collect()
}

/// A person may change their mind until the choice is written.
pub(crate) async fn choose<T: Tx>(
    tx: &mut T,
    sync: &str,
    key: &Key,
    field: Option<&str>,
    choice: &Choice,
) -> Result<bool> {
    if field == Some("") {
        return Err(Error::config("the field of a conflict cannot be empty"));
    }
    let Some(sync) = locked_sync_id(tx, sync).await? else { return Ok(false) };
    let choice = json("a choice", choice)?;
    let sql = "UPDATE conflicts SET state = 'chosen', choice = $4 \
               WHERE sync = $1 AND key = $2 AND field = $3 AND state <> 'decided'";
    let params = [P::Int(sync), P::Key(key.as_str()), P::Text(field.unwrap_or("")), P::Text(&choice)];
    Ok(tx.exec(sql, &params).await? > 0)
}
