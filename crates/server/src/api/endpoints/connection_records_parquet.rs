//! `GET /connections/{connection}/records.parquet`

use super::prelude::*;
use crate::export;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/connections/{connection}/records.parquet",
        Scope::Read,
        "records_parquet",
        "Records, events or rows of a platform as Parquet, the first 100,000",
    )
    .parquet()
    .gives(|call: Call<OfConnection, RecordsAsk, Nothing>| async move {
        let records = export::records(call.desk(), &call.path.connection, &call.query).await?;
        let mut names = export::columns(&records);
        if names.is_empty() {
            // A file without columns is none.
            names.push("_id".to_owned());
        }
        let bytes = export::parquet::file(&names, &records, export::cell);
        Ok(Download { name: call.query.model, bytes })
    })
}
