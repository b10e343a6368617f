//! `GET /connections/{connection}/records.csv`

use super::prelude::*;
use crate::export;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/connections/{connection}/records.csv",
        Scope::Read,
        "records_csv",
        "Records, events or rows of a platform as CSV, all of them; formulas stay text",
    )
    .csv()
    .gives(|call: Call<OfConnection, RecordsAsk, Nothing>| async move {
        let records = export::Records::read(call.desk(), &call.path.connection, &call.query).await?;
        Ok(Download { name: call.query.model, body: records.csv() })
    })
}
