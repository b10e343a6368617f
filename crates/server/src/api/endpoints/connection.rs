//! `GET /connections/{connection}`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/connections/{connection}", Scope::Read, "connection", "One connection with its settings as written")
        .served(|call: Call<OfConnection, Nothing, Nothing>| async move {
            call.desk().connection(&call.path.connection).await
        })
}
