//! `PUT /connections/{connection}/file`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::put(
        "/connections/{connection}/file",
        Scope::Edit,
        "save_connection",
        "Write the file of a connection; where its address changes, its secrets go",
    )
    .served(|call: Call<OfConnection, Nothing, SaveAsk>| async move {
        call.desk().save_file(&FileName::Connection(call.path.connection.clone()), &call.body).await
    })
}
