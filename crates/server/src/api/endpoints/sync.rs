//! `GET /syncs/{sync}`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/syncs/{sync}", Scope::Read, "sync", "One sync with its mapping")
        .served(|call: Call<OfSync, Nothing, Nothing>| async move { call.desk().sync(&call.path.sync).await })
}
