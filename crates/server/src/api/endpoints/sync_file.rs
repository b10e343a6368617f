//! `GET /syncs/{sync}/file`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/syncs/{sync}/file", Scope::Read, "sync_file", "The file of a sync").served(
        |call: Call<OfSync, Nothing, Nothing>| async move {
            call.desk().file(&FileName::Sync(call.path.sync.clone())).await
        },
    )
}
