//! `POST /runs/{run}/cancel`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post("/runs/{run}/cancel", Scope::Run, "cancel", "Ask a run to stop; it finishes the batch in hand").served(
        |call: Call<OfRun, Nothing, Nothing>| async move {
            call.desk().cancel(&call.path.run).await?;
            Ok(Done::yes())
        },
    )
}
