//! `POST /connections/{connection}/enabled`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/connections/{connection}/enabled",
        Scope::Run,
        "enable",
        "Turn a connection on or off, or leave it to its file; off: no run of any kind touches it",
    )
    .served(|call: Call<OfConnection, Nothing, Switch>| async move {
        call.desk().enable(&call.path.connection, call.body.on).await?;
        Ok(Done::yes())
    })
}
