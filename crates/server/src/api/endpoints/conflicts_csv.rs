//! `GET /conflicts.csv`

use super::prelude::*;
use crate::export;

/// What stands in the file, in this order.
const COLUMNS: [&str; 10] = ["sync", "key", "field", "warehouse", "platform", "winner", "state", "note", "run", "at"];

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/conflicts.csv", Scope::Read, "conflicts_csv", "All conflicts as CSV, newest first; formulas stay text")
        .csv()
        .gives(|call: Call<Nothing, ConflictsAsk, Nothing>| async move {
            let body = export::conflicts(call.api.desk, &COLUMNS, call.query).await?;
            Ok(Download { name: "conflicts".to_owned(), body })
        })
}
