//! `GET /kinds`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/kinds", Scope::Read, "kinds", "Types of connections, with the settings of each as JSON Schema")
        .served(|call: Call<Nothing, Nothing, Nothing>| async move { Ok(Page { items: call.desk().kinds().await?, next: None }) })
}
