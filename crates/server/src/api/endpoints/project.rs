//! `GET /project`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/project", Scope::Read, "project", "The project as a whole")
        .served(|call: Call<Nothing, Nothing, Nothing>| async move { call.desk().project().await })
}
