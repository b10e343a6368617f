//! `POST /connections/{connection}/file/check`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/connections/{connection}/file/check",
        Scope::Read,
        "check_connection_file",
        "What would be wrong with the project if the file of a connection had this text",
    )
    .quiet()
    .served(|call: Call<OfConnection, Nothing, FileText>| async move {
        Ok(Page {
            items: call.desk().check_file(&FileName::Connection(call.path.connection.clone()), &call.body.text).await?,
            next: None,
        })
    })
}
