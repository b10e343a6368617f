//! Switches and small settings.

use std::collections::BTreeMap;

use tidegate_model::error::Result;

use crate::tx::{P, Tx};

pub(crate) async fn set<T: Tx>(tx: &mut T, name: &str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => {
            let sql = "INSERT INTO switches (name, value) VALUES ($1, $2) \
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            tx.exec(sql, &[P::Text(name), P::Text(value)]).await?;
        }
        None => {
            tx.exec("DELETE FROM switches WHERE name = $1", &[P::Text(name)]).await?;
        }
    }
    Ok(())
}

pub(crate) async fn by_prefix<T: Tx>(tx: &mut T, prefix: &str) -> Result<BTreeMap<String, String>> {
    let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
    // Not LIKE: a prefix may hold its wildcards. There are few settings.
    let sql = "SELECT name, value FROM switches WHERE substr(name, 1, $2) = $1";
    let rows = tx.rows(sql, &[P::Text(prefix), P::Int(length)]).await?;
    rows.into_iter().map(|mut row| Ok((row.text(0)?, row.text(1)?))).collect()
}
