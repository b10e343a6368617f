//! `DELETE /connections/{connection}/file`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::delete("/connections/{connection}/file", Scope::Edit, "remove_connection", "Remove the file of a connection")
        .served(|call: Call<OfConnection, Nothing, Nothing>| async move {
            call.desk().remove_file(&FileName::Connection(call.path.connection.clone())).await?;
            Ok(Done::yes())
        })
}
