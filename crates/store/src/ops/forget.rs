//! Removing a person from the state.

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::time::Instant;

use super::state::locked_sync_id;
use crate::code::{from_json, json};
use crate::tx::{P, Tx};

/// What stands in the place of a log line that named the key.
const REMOVED: &str = "(removed by forget)";

pub(crate) async fn forget<T: Tx>(tx: &mut T, sync: &str, key: &Key, now: Instant) -> Result<u64> {
    let Some(id) = locked_sync_id(tx, sync).await? else { return Ok(0) };
    idle(tx, sync, id, now).await?;
    let one = std::slice::from_ref(key);
    let known = tx.entries(id, one).await?.into_iter().flatten().count();
    let linked = tx.remove_ledger(id, one).await?;
    tx.exec("UPDATE syncs SET linked = linked + $2 WHERE id = $1", &[P::Int(id), P::Int(linked)]).await?;
    let mut gone = u64::try_from(known).unwrap_or(u64::MAX);
    let params = [P::Int(id), P::Key(key.as_str())];
    for sql in [
        "DELETE FROM history WHERE sync = $1 AND key = $2",
        "DELETE FROM rejects WHERE sync = $1 AND key = $2",
        "DELETE FROM conflicts WHERE sync = $1 AND key = $2",
    ] {
        gone += tx.exec(sql, &params).await?;
    }
    gone += logs(tx, sync, key).await?;
    gone += run_errors(tx, sync, key).await?;
    Ok(gone)
}

/// Intents are opaque here, and a run at work would bring the record back: both are refused.
async fn idle<T: Tx>(tx: &mut T, sync: &str, id: i64, now: Instant) -> Result<()> {
    let busy = "SELECT 1 FROM syncs WHERE id = $1 AND holder IS NOT NULL AND expires_at > $2";
    if tx.row(busy, &[P::Int(id), P::Int(now.0)]).await?.is_some() {
        return Err(Error::new(ErrorKind::Locked, format!("sync {sync} is running: nothing was forgotten"))
            .hint("wait for the run to end, or cancel it, then forget again"));
    }
    let open = "SELECT 1 FROM open_spans s WHERE s.sync = $1 AND (EXISTS (SELECT 1 FROM intents WHERE span = s.id \
                AND settled = 0) OR EXISTS (SELECT 1 FROM planned WHERE span = s.id)) LIMIT 1";
    if tx.row(open, &[P::Int(id)]).await?.is_some() {
        let message = format!("sync {sync} has writes in hand whose end is not known: nothing was forgotten");
        return Err(Error::new(ErrorKind::Locked, message)
            .hint(format!("run `tidegate run {sync}` first, so that they are settled, then forget again")));
    }
    Ok(())
}

/// Whether the text names the key: as a word of its own, so that key 7 is not found in 70.
fn names(text: &str, key: &str) -> bool {
    text.match_indices(key).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Log lines read at a time.
const LINES: i64 = 10_000;

async fn logs<T: Tx>(tx: &mut T, sync: &str, key: &Key) -> Result<u64> {
    let mut gone = 0;
    let mut after = 0;
    loop {
        let sql = "SELECT l.id, l.line FROM logs l JOIN runs r ON r.run = l.run WHERE r.sync = $1 AND l.id > $2 \
                   ORDER BY l.id LIMIT $3";
        let rows = tx.rows(sql, &[P::Text(sync), P::Int(after), P::Int(LINES)]).await?;
        if rows.is_empty() {
            return Ok(gone);
        }
        for mut row in rows {
            after = row.int(0)?;
            if names(&row.text(1)?, key.as_str()) {
                let params = [P::Int(after), P::Text(REMOVED)];
                gone += tx.exec("UPDATE logs SET line = $2 WHERE id = $1", &params).await?;
            }
        }
    }
}

/// Errors of runs name keys too, sometimes.
async fn run_errors<T: Tx>(tx: &mut T, sync: &str, key: &Key) -> Result<u64> {
    let mut gone = 0;
    for mut row in tx.rows("SELECT id, record FROM runs WHERE sync = $1", &[P::Text(sync)]).await? {
        let (id, mut run): (_, RunRecord) = (row.int(0)?, from_json("a run", &row.text(1)?)?);
        let Some(error) = &mut run.error else { continue };
        let hint = error.hint.as_deref().unwrap_or_default();
        if names(&error.message, key.as_str()) || names(hint, key.as_str()) {
            REMOVED.clone_into(&mut error.message);
            error.hint = None;
            let record = json("a run", &run)?;
            gone += tx.exec("UPDATE runs SET record = $2 WHERE id = $1", &[P::Int(id), P::Text(&record)]).await?;
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_key_is_found_as_a_word_only() {
        assert!(names("key c-7: rejected", "c-7") && names("7", "7") && names("(7)", "7"));
        assert!(!names("70 rows, 17 keys", "7") && !names("xc-7", "c-7"));
    }
}
