//! `GET /conflicts.csv`

use super::prelude::*;
use crate::export;

/// What stands in the file, in this order.
const COLUMNS: [&str; 10] = ["sync", "key", "field", "warehouse", "platform", "winner", "state", "note", "run", "at"];

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/conflicts.csv",
        Scope::Read,
        "conflicts_csv",
        "Conflicts as CSV, the newest 100,000; formulas stay text",
    )
    .csv()
    .gives(|call: Call<Nothing, ConflictsAsk, Nothing>| async move {
        let rows = export::conflicts(call.desk(), &call.query).await?;
        let text = export::csv(&COLUMNS.map(str::to_owned), &rows);
        Ok(Download { name: "conflicts".to_owned(), bytes: text.into_bytes() })
    })
}
