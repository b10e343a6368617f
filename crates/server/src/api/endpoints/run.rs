//! `GET /runs/{run}`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/runs/{run}", Scope::Read, "run_of", "One run with its books")
        .served(|call: Call<OfRun, Nothing, Nothing>| async move { call.desk().run(&call.path.run).await })
}
