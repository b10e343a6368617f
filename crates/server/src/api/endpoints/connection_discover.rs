//! `GET /connections/{connection}/discover`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/connections/{connection}/discover",
        Scope::Read,
        "discover",
        "Databases, schemas, relations and columns of a warehouse; models and fields of a platform",
    )
    .served(|call: Call<OfConnection, AtPlace, Nothing>| async move {
        call.desk().discover(&call.path.connection, call.query.place.as_deref()).await
    })
}
