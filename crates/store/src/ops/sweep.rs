//! Retention.

use tidegate_model::error::Result;
use tidegate_model::time::Instant;

use crate::tx::{P, Tx};

pub(crate) async fn sweep<T: Tx>(tx: &mut T, runs: Instant, logs: Instant, history: Instant) -> Result<u64> {
    let mut gone = tx.exec("DELETE FROM logs WHERE at < $1", &[P::Int(logs.0)]).await?;
    gone += tx.exec("DELETE FROM history WHERE at < $1", &[P::Int(history.0)]).await?;
    gone += tx.exec("DELETE FROM conflicts WHERE state = 'decided' AND at < $1", &[P::Int(history.0)]).await?;
    // A run that never ended goes once its sync has a newer one; the newest may still be at work.
    let old = "FROM runs r WHERE started_at < $1 AND (finished_at IS NOT NULL OR EXISTS \
               (SELECT 1 FROM runs n WHERE n.sync = r.sync AND n.started_at > r.started_at))";
    let runs = [P::Int(runs.0)];
    gone += tx.exec(&format!("DELETE FROM logs WHERE run IN (SELECT r.run {old})"), &runs).await?;
    gone += tx.exec(&format!("DELETE FROM history WHERE run IN (SELECT r.id {old})"), &runs).await?;
    gone += tx.exec(&format!("DELETE FROM runs WHERE id IN (SELECT r.id {old})"), &runs).await?;
    Ok(gone)
}
