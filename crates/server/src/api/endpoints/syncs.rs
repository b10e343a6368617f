//! `GET /syncs`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/syncs", Scope::Read, "syncs", "All syncs and how they are, in the order in which they run")
        .served(|call: Call<Nothing, Nothing, Nothing>| async move { Ok(Page { items: call.desk().syncs().await?, next: None }) })
}
