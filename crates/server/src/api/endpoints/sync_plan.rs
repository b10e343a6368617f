//! `POST /syncs/{sync}/plan`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post("/syncs/{sync}/plan", Scope::Read, "plan", "What a run would do; writes nothing").served(
        |call: Call<OfSync, Nothing, PlanAsk>| async move { call.desk().plan(&call.path.sync, &call.body).await },
    )
}
