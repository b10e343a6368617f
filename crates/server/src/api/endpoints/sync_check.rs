//! `POST /syncs/{sync}/check`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post("/syncs/{sync}/check", Scope::Run, "check_sync", "Whether a sync would run, and what to mend")
        .quiet()
        .served(|call: Call<OfSync, Nothing, Nothing>| async move {
            Ok(Page { items: call.desk().check_sync(&call.path.sync).await?, next: None })
        })
}
