//! `GET /conflicts`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/conflicts", Scope::Read, "conflicts", "Conflicts, newest first")
        .served(|call: Call<Nothing, ConflictsAsk, Nothing>| async move { call.desk().conflicts(&call.query).await })
}
