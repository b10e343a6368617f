//! Facts about the store itself.

use tidegate_model::error::{Error, Result};

use crate::tx::{P, Tx, damaged};

/// The store's id and the key of its fingerprints, if they have been made.
pub(crate) async fn identity<T: Tx>(tx: &mut T) -> Result<Option<(String, Vec<u8>)>> {
    let (mut id, mut print_key) = (None, None);
    for mut row in tx.rows("SELECT name, value FROM store_meta", &[]).await? {
        match row.text(0)?.as_str() {
            "id" => id = Some(row.blob(1)?),
            "print_key" => print_key = Some(row.blob(1)?),
            _ => {}
        }
    }
    let (Some(id), Some(print_key)) = (id, print_key) else { return Ok(None) };
    let id = String::from_utf8(id).map_err(|_| damaged("the id of the store is not text"))?;
    Ok(Some((id, print_key)))
}

/// Makes both, unless somebody else was faster; what is stored counts.
pub(crate) async fn make_identity<T: Tx>(tx: &mut T, id: &str, print_key: &[u8]) -> Result<(String, Vec<u8>)> {
    let sql = "INSERT INTO store_meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    tx.exec(sql, &[P::Text("id"), P::Blob(id.as_bytes())]).await?;
    tx.exec(sql, &[P::Text("print_key"), P::Blob(print_key)]).await?;
    identity(tx).await?.ok_or_else(|| Error::internal("the store's id vanished while it was made"))
}
