//! `POST /syncs/{sync}/file/plan`

use schemars::JsonSchema;
use serde::Deserialize;

use super::prelude::*;
use crate::desk::PlanAnswer;

/// A text, and how its plan is asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DraftAsk {
    /// The text of the file.
    text: String,
    /// As a full run would do it.
    #[serde(default)]
    full: bool,
    /// Changes that are listed; the summary counts all.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

impl Noted for DraftAsk {}

/// The call. A text may name any relation or query, so it is for those who may save one.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/syncs/{sync}/file/plan",
        Scope::Edit,
        "plan_sync_file",
        "What the next run would do if a sync had this text; writes nothing",
    )
    .quiet()
    .served(|call: Call<OfSync, Nothing, DraftAsk>| async move { plan(call).await })
}

async fn plan(call: Call<OfSync, Nothing, DraftAsk>) -> Result<PlanAnswer> {
    let ask = PlanAsk { full: call.body.full, limit: call.body.limit };
    call.desk().plan_draft(&call.path.sync, &call.body.text, &ask).await
}
