//! `POST /syncs/{sync}/file/check`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/syncs/{sync}/file/check",
        Scope::Read,
        "check_sync_file",
        "What would be wrong with the project if the file of a sync had this text",
    )
    .quiet()
    .served(|call: Call<OfSync, Nothing, FileText>| async move {
        Ok(Page {
            items: call.desk().check_file(&FileName::Sync(call.path.sync.clone()), &call.body.text).await?,
            next: None,
        })
    })
}
