//! `GET /logs`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/logs", Scope::Read, "logs", "Lines of the logs of all runs, newest first")
        .served(|call: Call<Nothing, OfSyncAsk, Nothing>| async move { call.desk().logs(&call.query).await })
}
