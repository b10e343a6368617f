//! `POST /syncs/{sync}/resume`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post("/syncs/{sync}/resume", Scope::Run, "resume", "Let a sync run by itself again").served(
        |call: Call<OfSync, Nothing, Nothing>| async move {
            call.desk().pause(&call.path.sync, false, &call.caller.who).await?;
            Ok(Done::yes())
        },
    )
}
