//! Short rights to do a thing that only one process may do at a time. They stand among the switches, as
//! `UNTIL HOLDER`, and end by themselves.

use tidegate_model::error::Result;
use tidegate_model::time::Instant;

use crate::tx::{P, Tx};

/// Takes a right; false while another holder has it.
pub(crate) async fn take<T: Tx>(tx: &mut T, name: &str, holder: &str, now: Instant, until: Instant) -> Result<bool> {
    let value = format!("{} {holder}", until.0);
    let made = "INSERT INTO switches (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    if tx.exec(made, &[P::Text(name), P::Text(&value)]).await? == 1 {
        return Ok(true);
    }
    // Of several who find an old one only the first may take it: the others wait for its row.
    let Some(mut row) = tx.row("SELECT value FROM switches WHERE name = $1 FOR UPDATE", &[P::Text(name)]).await? else {
        return Ok(false); // given back in this very moment: the caller asks again
    };
    let held = row.text(0)?;
    let (end, other) = held.split_once(' ').unwrap_or_default();
    if other != holder && end.parse::<i64>().is_ok_and(|end| end > now.0) {
        return Ok(false);
    }
    super::switches::set(tx, name, Some(&value)).await?;
    Ok(true)
}

/// Gives a right back, unless another holder has it by now.
pub(crate) async fn give_back<T: Tx>(tx: &mut T, name: &str, holder: &str) -> Result<()> {
    let row = tx.row("SELECT value FROM switches WHERE name = $1 FOR UPDATE", &[P::Text(name)]).await?;
    let held = row.map(|mut row| row.text(0)).transpose()?;
    if held.is_some_and(|held| held.split_once(' ').is_some_and(|(_, other)| other == holder)) {
        super::switches::set(tx, name, None).await?;
    }
    Ok(())
}
