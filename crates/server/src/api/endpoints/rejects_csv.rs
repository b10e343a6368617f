//! `GET /rejects.csv`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/rejects.csv", Scope::Read, "rejects_csv", "Open rejects as CSV; formulas stay text").csv().gives(
        |call: Call<Nothing, OfSyncAsk, Nothing>| async move {
            let text = call.desk().rejects_csv(call.query.sync.as_deref()).await?;
            Ok(Download { name: "rejects".to_owned(), body: text.into() })
        },
    )
}
