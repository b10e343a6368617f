//! `POST /syncs/{sync}/pause`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post("/syncs/{sync}/pause", Scope::Run, "pause", "Stop a sync from running by itself").served(
        |call: Call<OfSync, Nothing, Nothing>| async move {
            call.desk().pause(&call.path.sync, true, &call.caller.who).await?;
            Ok(Done::yes())
        },
    )
}
