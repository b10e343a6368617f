//! `GET /runs/{run}/log`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/runs/{run}/log",
        Scope::Read,
        "log",
        "Lines of the log of a run; `next` also finds what is written later",
    )
    .served(|call: Call<OfRun, ListAsk, Nothing>| async move { call.desk().log(&call.path.run, &call.query).await })
}
