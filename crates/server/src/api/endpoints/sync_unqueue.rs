//! `DELETE /syncs/{sync}/run`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::delete("/syncs/{sync}/run", Scope::Run, "unqueue", "Take a waiting run out of the queue").served(
        |call: Call<OfSync, Nothing, Nothing>| async move {
            call.desk().unqueue(&call.path.sync).await?;
            Ok(Done::yes())
        },
    )
}
