//! `POST /syncs/{sync}/file/preview`

use super::prelude::*;

/// The call. A text may name any relation or query, so it is for those who may save one.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/syncs/{sync}/file/preview",
        Scope::Edit,
        "preview_sync_file",
        "Ten rows through the mapping that a sync would have with this text; writes nothing",
    )
    .quiet()
    .served(|call: Call<OfSync, Nothing, FileText>| async move {
        call.desk().preview(&call.path.sync, &call.body.text).await
    })
}
