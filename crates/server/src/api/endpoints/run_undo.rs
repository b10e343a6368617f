//! `POST /runs/{run}/undo`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/runs/{run}/undo",
        Scope::Run,
        "undo",
        "Put back what a run overwrote, where nobody changed it since; pauses the sync",
    )
    .served(|call: Call<OfRun, Nothing, Nothing>| async move { call.desk().undo(&call.path.run).await })
}
