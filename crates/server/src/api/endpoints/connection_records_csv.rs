//! `GET /connections/{connection}/records.csv`

use super::prelude::*;
use crate::export;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/connections/{connection}/records.csv",
        Scope::Read,
        "records_csv",
        "Records, events or rows of a platform as CSV, the first 100,000; formulas stay text",
    )
    .csv()
    .gives(|call: Call<OfConnection, RecordsAsk, Nothing>| async move {
        let records = export::records(call.desk(), &call.path.connection, &call.query).await?;
        let bytes = export::csv(&export::columns(&records), &records).into_bytes();
        Ok(Download { name: call.query.model, bytes })
    })
}
