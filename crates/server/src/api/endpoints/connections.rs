//! `GET /connections`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/connections", Scope::Read, "connections", "All connections").served(
        |call: Call<Nothing, Nothing, Nothing>| async move {
            Ok(Page { items: call.desk().connections().await?, next: None })
        },
    )
}
