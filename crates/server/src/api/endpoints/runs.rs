//! `GET /runs`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/runs", Scope::Read, "runs", "Runs, newest first")
        .served(|call: Call<Nothing, RunsAsk, Nothing>| async move { call.desk().runs(&call.query).await })
}
