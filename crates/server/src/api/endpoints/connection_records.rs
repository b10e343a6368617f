//! `GET /connections/{connection}/records`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/connections/{connection}/records",
        Scope::Read,
        "records",
        "Records, events or rows of a platform that can be looked into",
    )
    .served(|call: Call<OfConnection, RecordsAsk, Nothing>| async move {
        call.desk().records(&call.path.connection, &call.query).await
    })
}
