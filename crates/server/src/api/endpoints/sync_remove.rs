//! `DELETE /syncs/{sync}/file`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::delete("/syncs/{sync}/file", Scope::Edit, "remove_sync", "Remove the file of a sync; its state stays").served(
        |call: Call<OfSync, Nothing, Nothing>| async move {
            call.desk().remove_file(&FileName::Sync(call.path.sync.clone())).await?;
            Ok(Done::yes())
        },
    )
}
