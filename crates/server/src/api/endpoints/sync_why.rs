//! `GET /syncs/{sync}/record`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/syncs/{sync}/record",
        Scope::Read,
        "why",
        "Everything about one record: values and images on both sides, last writes, what comes next",
    )
    .served(|call: Call<OfSync, OfKey, Nothing>| async move { call.desk().why(&call.path.sync, &call.query.key).await })
}
