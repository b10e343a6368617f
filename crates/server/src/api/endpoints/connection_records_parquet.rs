//! `GET /connections/{connection}/records.parquet`

use super::prelude::*;
use crate::export;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/connections/{connection}/records.parquet",
        Scope::Read,
        "records_parquet",
        "Records, events or rows of a platform as Parquet, all of them",
    )
    .parquet()
    .gives(|call: Call<OfConnection, RecordsAsk, Nothing>| async move {
        let records = export::Records::read(call.desk(), &call.path.connection, &call.query).await?;
        Ok(Download { name: call.query.model, body: records.parquet() })
    })
}
