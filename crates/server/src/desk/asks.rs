//! What is asked of the desk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Entries of a page if nobody says otherwise.
pub const PAGE_DEFAULT: u32 = 50;
/// Most entries of a page: an answer stays below a few megabytes.
pub const PAGE_MAX: u32 = 500;

/// A piece of a list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListAsk {
    /// Most entries of the answer; more is given by `next`.
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub after: Option<String>,
}

/// A limit within its bounds.
pub(crate) fn bounded(limit: Option<u32>) -> u32 {
    limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX)
}

impl ListAsk {
    /// The limit, within its bounds.
    pub fn limit(&self) -> u32 {
        bounded(self.limit)
    }
}

macro_rules! paged {
    ($($name:ident),*) => {$(
        impl $name {
            /// The limit, within its bounds.
            pub fn limit(&self) -> u32 {
                bounded(self.limit)
            }
        }
    )*};
}
paged!(OfSyncAsk, RunsAsk, ConflictsAsk, RecordsAsk);

/// A piece of a list, of one sync or all.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OfSyncAsk {
    /// Of this sync only.
    pub sync: Option<String>,
    /// Most entries of the answer; more is given by `next`.
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub after: Option<String>,
}

/// Which runs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunsAsk {
    /// Of this sync only.
    pub sync: Option<String>,
    /// With this status only: `running`, `succeeded`, `partial`, `failed`, `cancelled`, `unbalanced`.
    pub status: Option<String>,
    /// Most entries of the answer; more is given by `next`.
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub after: Option<String>,
}

/// Which conflicts.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConflictsAsk {
    /// Of this sync only.
    pub sync: Option<String>,
    /// Only those that wait for a person or for the next run.
    pub open: bool,
    /// Most entries of the answer; more is given by `next`.
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub after: Option<String>,
}

/// What the set-up of a connection needs and its file does not say.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SetupAsk {
    /// The address of the person who signs in, for OAuth at Snowflake.
    pub email: Option<String>,
    /// Where the browser comes back to, for OAuth at Snowflake; else `/oauth/callback` at `serve.public_url`.
    pub redirect_uri: Option<String>,
    /// The schema that is read, at Snowflake, where no sync names a table.
    pub schema: Option<String>,
}

/// Which records of a platform.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct RecordsAsk {
    /// The model, series or dataset.
    pub model: String,
    /// `FIELD=VALUE`: only those with this value.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// Most entries of the answer; more is given by `next`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

/// How a plan is asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PlanAsk {
    /// As a full run would do it.
    pub full: bool,
    /// Changes that are listed; the summary counts all.
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
}

/// How a run is asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartAsk {
    /// Read everything, whatever `changes` says.
    pub full: bool,
    /// One direction only: `to_platform` or `to_warehouse`.
    pub direction: Option<Way>,
    /// Guards that this run may pass, by name.
    pub force_guards: Vec<String>,
    /// Only the records with open rejects.
    pub retry: bool,
    /// With `retry`: only the record with this key.
    pub key: Option<String>,
    /// What starts it; filled in by the server.
    // Nor is it written: a queued wish says it beside itself, and what reads it knows no such field.
    #[serde(skip)]
    #[schemars(skip)]
    pub trigger: String,
}

/// A direction of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From the warehouse to the platform.
    ToPlatform,
    /// From the platform to the warehouse.
    ToWarehouse,
}

/// A decision about a conflict.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveAsk {
    /// The sync.
    pub sync: String,
    /// The record's key.
    pub key: String,
    /// The field, by its platform name; left out: the record as a whole.
    #[serde(default)]
    pub field: Option<String>,
    /// `warehouse`, `platform`, or `value`.
    #[serde(rename = "use")]
    pub choice: Pick,
    /// With `value`: what both sides get.
    #[serde(default)]
    pub value: Option<String>,
}

/// Whose value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// The warehouse's.
    Warehouse,
    /// The platform's.
    Platform,
    /// The one that is given.
    Value,
}

/// A file of the project that can be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileName {
    /// `connections/NAME.yaml`.
    Connection(String),
    /// `syncs/NAME.yaml`.
    Sync(String),
}

/// A new text of a file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveAsk {
    /// The text.
    pub text: String,
    /// `hash` of the file as it was read; left out: the file must be new.
    #[serde(default)]
    pub hash: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_that_was_written_to_the_queue_is_read_back() {
        let ask =
            StartAsk { retry: true, key: Some("a".to_owned()), trigger: "retry".to_owned(), ..StartAsk::default() };
        let text = serde_json::to_string(&ask).expect("text");
        let back: StartAsk = serde_json::from_str(&text).expect("what we wrote ourselves");
        assert!(back.retry && back.key.as_deref() == Some("a"));
    }
}
