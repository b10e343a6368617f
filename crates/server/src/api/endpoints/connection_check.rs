//! `POST /connections/{connection}/check`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/connections/{connection}/check",
        Scope::Run,
        "check_connection",
        "Whether a connection works, and what to mend",
    )
    .quiet()
    .served(|call: Call<OfConnection, Nothing, Nothing>| async move {
        Ok(Page { items: call.desk().check_connection(&call.path.connection).await?, next: None })
    })
}
