//! Secrets, sealed.

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::secret::Secret;
use tidegate_model::time::Instant;

use crate::seal::SealKey;
use crate::secrets::SecretInfo;
use crate::tx::{P, Tx};

pub(crate) async fn set<T: Tx>(tx: &mut T, key: &SealKey, name: &str, secret: &Secret, now: Instant) -> Result<()> {
    let sealed = key.seal(name, secret)?;
    let sql = "INSERT INTO secrets (name, key_id, sealed, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) \
               DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed, updated_at = excluded.updated_at";
    tx.exec(sql, &[P::Text(name), P::Text(key.id()), P::Blob(&sealed), P::Int(now.0)]).await?;
    Ok(())
}

/// A secret as it is stored: the id of its key and its sealed bytes.
pub(crate) async fn sealed<T: Tx>(tx: &mut T, name: &str) -> Result<Option<(String, Vec<u8>)>> {
    match tx.row("SELECT key_id, sealed FROM secrets WHERE name = $1", &[P::Text(name)]).await? {
        Some(mut row) => Ok(Some((row.text(0)?, row.blob(1)?))),
        None => Ok(None),
    }
}

pub(crate) async fn list<T: Tx>(tx: &mut T) -> Result<Vec<SecretInfo>> {
    let rows = tx.rows("SELECT name, key_id, updated_at FROM secrets ORDER BY name", &[]).await?;
    rows.into_iter()
        .map(|mut row| Ok(SecretInfo { name: row.text(0)?, key_id: row.text(1)?, updated_at: Instant(row.int(2)?) }))
        .collect()
}

pub(crate) async fn remove<T: Tx>(tx: &mut T, name: &str) -> Result<bool> {
    Ok(tx.exec("DELETE FROM secrets WHERE name = $1", &[P::Text(name)]).await? > 0)
}

/// Seals every secret with another key; all or none.
pub(crate) async fn rotate<T: Tx>(tx: &mut T, old: &SealKey, new: &SealKey) -> Result<u64> {
    let rows = tx.rows("SELECT name, key_id, sealed FROM secrets ORDER BY name FOR UPDATE", &[]).await?;
    let mut count = 0;
    for mut row in rows {
        let (name, key_id, sealed) = (row.text(0)?, row.text(1)?, row.blob(2)?);
        if key_id == new.id() {
            continue;
        }
        let sealed = new.seal(&name, &old.open(&name, &key_id, &sealed)?)?;
        let sql = "UPDATE secrets SET key_id = $2, sealed = $3 WHERE name = $1";
        count += tx.exec(sql, &[P::Text(&name), P::Text(new.id()), P::Blob(&sealed)]).await?;
    }
    Ok(count)
}

/// A name that can stand in `secret:NAME`.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(good) {
        return Err(Error::new(ErrorKind::Config, "a secret's name has 1 to 128 letters, digits, _, - or .")
            .hint("choose another name, such as crm_api_key"));
    }
    Ok(())
}

/// Long enough for any name that a person types.
const NAME_MAX: usize = 128;
