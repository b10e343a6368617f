//! `GET /secrets`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/secrets", Scope::Read, "secrets", "Names of secrets, never values")
        .served(|call: Call<Nothing, Nothing, Nothing>| async move { Ok(Page { items: call.desk().secrets().await?, next: None }) })
}
