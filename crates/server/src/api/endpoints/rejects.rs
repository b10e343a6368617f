//! `GET /rejects`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/rejects", Scope::Read, "rejects", "Open rejects")
        .served(|call: Call<Nothing, OfSyncAsk, Nothing>| async move { call.desk().rejects(&call.query).await })
}
