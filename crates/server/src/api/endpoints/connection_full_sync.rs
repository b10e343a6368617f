//! `POST /connections/{connection}/full-sync`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/connections/{connection}/full-sync",
        Scope::Run,
        "full_sync",
        "Queue a full run of every sync of a connection, in the order of references",
    )
    .served(|call: Call<OfConnection, Nothing, Nothing>| async move { queue(call).await })
}

async fn queue(call: Call<OfConnection, Nothing, Nothing>) -> Result<Page<Queued>> {
    let items = call.desk().full_sync(&call.path.connection, &call.caller.who).await?;
    call.api.wake.notify_one();
    Ok(Page { items, next: None })
}
