//! Failed tries to sign in.

use tidegate_model::error::Result;
use tidegate_model::time::Instant;

use crate::accounts::Wait;
use crate::tx::{P, Tx};

/// Names and addresses that are remembered; past it those of the oldest tries go.
const REMEMBERED_MAX: i64 = 10_000;

/// Counts a try by all of these, unless one has to wait: then how long.
pub(crate) async fn count<T: Tx>(
    tx: &mut T,
    by: &[Vec<u8>],
    now: Instant,
    forget: Instant,
    wait: Wait,
) -> Result<Option<i64>> {
    tx.exec("DELETE FROM tries WHERE last_at < $1", &[P::Int(forget.0)]).await?;
    let mut longest = None;
    for hash in by {
        // Made first: what is not there cannot be locked, and two tries at once would both be the first.
        let made = "INSERT INTO tries (hash, failed, last_at) VALUES ($1, 0, $2) ON CONFLICT (hash) DO NOTHING";
        tx.exec(made, &[P::Blob(hash), P::Int(now.0)]).await?;
        let sql = "SELECT failed, last_at FROM tries WHERE hash = $1 FOR UPDATE";
        if let Some(mut row) = tx.row(sql, &[P::Blob(hash)]).await? {
            let failed = u32::try_from(row.int(0)?).unwrap_or(u32::MAX);
            longest = longest.max(wait(failed, Instant(row.int(1)?), now));
        }
    }
    if longest.is_some() {
        return Ok(longest);
    }
    for hash in by {
        let sql = "UPDATE tries SET failed = failed + 1, last_at = $2 WHERE hash = $1";
        tx.exec(sql, &[P::Blob(hash), P::Int(now.0)]).await?;
    }
    let oldest = format!(
        "DELETE FROM tries WHERE hash IN (SELECT hash FROM tries ORDER BY last_at DESC LIMIT 1000 OFFSET {REMEMBERED_MAX})"
    );
    tx.exec(&oldest, &[]).await?;
    Ok(None)
}

pub(crate) async fn forget<T: Tx>(tx: &mut T, by: &[Vec<u8>]) -> Result<()> {
    for hash in by {
        tx.exec("DELETE FROM tries WHERE hash = $1", &[P::Blob(hash)]).await?;
    }
    Ok(())
}
