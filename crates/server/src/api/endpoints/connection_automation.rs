//! `POST /connections/{connection}/automation`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/connections/{connection}/automation",
        Scope::Run,
        "connection_automation",
        "Turn the automation of a connection on or off, or leave it to its file",
    )
    .served(|call: Call<OfConnection, Nothing, Switch>| async move {
        call.desk().connection_automation(&call.path.connection, call.body.on).await?;
        Ok(Done::yes())
    })
}
