//! `PUT /syncs/{sync}/file`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::put(
        "/syncs/{sync}/file",
        Scope::Edit,
        "save_sync",
        "Write the file of a sync, if the project stays well formed and nobody changed the file since",
    )
    .served(|call: Call<OfSync, Nothing, SaveAsk>| async move {
        call.desk().save_file(&FileName::Sync(call.path.sync.clone()), &call.body).await
    })
}
