//! `POST /hooks/{sync}`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/hooks/{sync}",
        Scope::Run,
        "hook",
        "Queue a run for whatever calls: the body is not read. For webhooks of other systems",
    )
    .any_body()
    .served(|call: Call<OfSync, Nothing, Nothing>| async move { queue(call).await })
}

async fn queue(call: Call<OfSync, Nothing, Nothing>) -> Result<Queued> {
    let ask = StartAsk { trigger: "webhook".to_owned(), ..StartAsk::default() };
    let queued = call.desk().start(&call.path.sync, &ask).await?;
    call.api.wake.notify_one();
    Ok(queued)
}
