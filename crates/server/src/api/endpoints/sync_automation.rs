//! `POST /syncs/{sync}/automation`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/syncs/{sync}/automation",
        Scope::Run,
        "sync_automation",
        "Turn the automation of a sync on or off, or leave it to its file",
    )
    .served(|call: Call<OfSync, Nothing, Switch>| async move {
        call.desk().automation(&call.path.sync, call.body.on).await?;
        Ok(Done::yes())
    })
}
