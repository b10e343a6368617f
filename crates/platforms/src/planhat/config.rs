//! The configuration of a connection to Planhat.

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};

use crate::list::OpenContext;

const MAIN: &str = "https://api.planhat.com";
const ANALYTICS: &str = "https://analytics.planhat.com";

/// `type: planhat`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "planhat")]
pub(super) struct Config {
    /// The API access token of a service account (Settings, Service Accounts): `"${PLANHAT_TOKEN}"` or `secret:NAME`.
    #[schemars(with = "String")]
    pub(super) token: Secret,
    /// The tenant's UUID; needed for user activities and custom metrics alone.
    pub(super) tenant: Option<String>,
    /// The API's address where it is not https://api.planhat.com: a region, such as https://api-us2.planhat.com, or a twin.
    #[serde(default = "main")]
    pub(super) url: String,
    /// The analytics host's address where it is not https://analytics.planhat.com.
    #[serde(default = "analytics")]
    pub(super) analytics_url: String,
    /// How an emptied field is sent: `null` (default), as `empty` text, or not at all (`omit`: it is listed instead).
    #[serde(default)]
    #[schemars(with = "Option<ClearAs>")]
    pub(super) clear_as: ClearAs,
    /// How user activities are sent: `bulk` (default) or one by one (`single`).
    #[serde(default)]
    #[schemars(with = "Option<Usage>")]
    pub(super) usage: Usage,
    /// Which names link an activity in the bulk shape: `current` (default: euExtId, companyExternalId) or `old` (id, cId).
    #[serde(default)]
    #[schemars(with = "Option<UsageNames>")]
    pub(super) usage_names: UsageNames,
}

fn main() -> String {
    MAIN.to_owned()
}

fn analytics() -> String {
    ANALYTICS.to_owned()
}

/// How an emptied field is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClearAs {
    /// As null.
    #[default]
    Null,
    /// As empty text (an empty list for lists).
    Empty,
    /// Not at all.
    Omit,
}

/// How user activities are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Usage {
    /// Many in a call.
    #[default]
    Bulk,
    /// One in a call.
    Single,
}

/// Names of the bulk shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum UsageNames {
    /// euExtId, companyExternalId.
    #[default]
    Current,
    /// id, cId.
    Old,
}

/// Reads the configuration of a connection.
pub(super) fn read(config: &serde_json::Value, context: &OpenContext) -> Result<Config> {
    // The cause may repeat what stands in the file, the token among it.
    serde_json::from_value(config.clone()).map_err(|_| {
        Error::config(format!("the connection {} is not one to Planhat", context.name))
            .hint("it takes: token, tenant, url, analytics_url, clear_as (null, empty, omit), usage (bulk, single), usage_names (current, old)")
    })
}
