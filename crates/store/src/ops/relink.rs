//! A record that got another key keeps its entry.

use tidegate_model::error::Result;
use tidegate_model::ports::Lease;
use tidegate_model::record::Key;

use super::leases;
use crate::tx::{P, Tx};

pub(crate) async fn relink<T: Tx>(tx: &mut T, lease: &Lease, old: &Key, new: &Key) -> Result<bool> {
    let held = leases::verify(tx, lease).await?;
    let sql = "SELECT 1 FROM ledger WHERE sync = $1 AND key = $2";
    if old == new || tx.row(sql, &[P::Int(held.sync), P::Key(new.as_str())]).await?.is_some() {
        return Ok(false);
    }
    let params = [P::Int(held.sync), P::Key(old.as_str()), P::Key(new.as_str())];
    if tx.exec("UPDATE ledger SET key = $3 WHERE sync = $1 AND key = $2", &params).await? == 0 {
        return Ok(false);
    }
    tx.exec("UPDATE details SET key = $3 WHERE sync = $1 AND key = $2", &params).await?;
    Ok(true)
}
