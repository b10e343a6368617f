//! `GET /connections/{connection}/usage`

use schemars::JsonSchema;
use serde::Deserialize;

use super::prelude::*;

/// Days that are told of if nobody says otherwise.
const DAYS: u32 = 60;
/// Most days: some years of them are a chart.
const DAYS_MAX: u32 = 1_000;

/// Which series, and how far back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct UsageAsk {
    /// The series.
    series: String,
    /// So many days that have entries, the last ones.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    days: Option<u32>,
}

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/connections/{connection}/usage",
        Scope::Read,
        "usage",
        "Entries per day of a series of a platform, oldest first; none where nobody knows",
    )
    .served(|call: Call<OfConnection, UsageAsk, Nothing>| async move {
        let days = call.query.days.unwrap_or(DAYS).clamp(1, DAYS_MAX);
        Ok(Page { items: call.desk().usage(&call.path.connection, &call.query.series, days).await?, next: None })
    })
}
