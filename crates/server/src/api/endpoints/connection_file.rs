//! `GET /connections/{connection}/file`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/connections/{connection}/file", Scope::Edit, "connection_file", "The file of a connection").served(
        |call: Call<OfConnection, Nothing, Nothing>| async move {
            call.desk().file(&FileName::Connection(call.path.connection.clone())).await
        },
    )
}
