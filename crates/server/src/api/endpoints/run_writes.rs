//! `GET /runs/{run}/writes`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/runs/{run}/writes", Scope::Read, "writes", "What a run wrote, with what stood there before").served(
        |call: Call<OfRun, ListAsk, Nothing>| async move { call.desk().writes(&call.path.run, &call.query).await },
    )
}
