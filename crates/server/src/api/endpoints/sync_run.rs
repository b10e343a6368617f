//! `POST /syncs/{sync}/run`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/syncs/{sync}/run",
        Scope::Run,
        "run",
        "Queue a run: by what changed, full, one direction, or open rejects only",
    )
    .served(|call: Call<OfSync, Nothing, StartAsk>| async move { queue(call).await })
}

async fn queue(call: Call<OfSync, Nothing, StartAsk>) -> Result<Queued> {
    let mut ask = call.body.clone();
    ask.trigger = if ask.retry { "retry" } else { "manual" }.to_owned();
    let queued = call.desk().start(&call.path.sync, &ask).await?;
    call.api.wake.notify_one();
    Ok(queued)
}
