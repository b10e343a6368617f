//! What the calls share: parameters of paths, small bodies, small answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
pub(super) use tidegate_model::Result;

pub(super) use crate::access::Scope;
pub(super) use crate::api::{Call, Download, Endpoint, Noted, Nothing, Spec};
pub(super) use crate::desk::{
    ConflictsAsk, FileName, ListAsk, OfSyncAsk, Page, PlanAsk, Queued, RecordsAsk, ResolveAsk, RunsAsk, SaveAsk,
    StartAsk,
};

impl Spec {
    /// It answers with CSV.
    pub(super) const fn csv(mut self) -> Self {
        self.file = Some("text/csv; charset=utf-8");
        self
    }
    /// It answers with Parquet.
    pub(super) const fn parquet(mut self) -> Self {
        self.file = Some("application/vnd.apache.parquet");
        self
    }
    /// Its body is not read.
    pub(super) const fn any_body(mut self) -> Self {
        self.any_body = true;
        self
    }
    /// It changes nothing.
    pub(super) const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }
}

macro_rules! in_path {
    ($name:ident, $field:ident, $about:literal) => {
        #[doc = $about]
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        pub(super) struct $name {
            #[doc = $about]
            pub(super) $field: String,
        }
    };
}
in_path!(OfSync, sync, "The sync.");
in_path!(OfRun, run, "The id of the run.");
in_path!(OfConnection, connection, "The connection.");
in_path!(OfSecret, secret, "The name of the secret.");
in_path!(OfToken, token, "The name of the token.");
in_path!(OfUser, user, "The name of the user.");

/// A record.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct OfKey {
    /// The key of the record.
    pub(super) key: String,
}

/// A place in a catalogue.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct AtPlace {
    /// A database, schema, relation (with dots) or model; left out: the top.
    #[serde(default)]
    pub(super) place: Option<String>,
}

/// A switch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    /// On or off; left out: as the file says.
    #[serde(default)]
    pub(super) on: Option<bool>,
}

impl Noted for Switch {
    fn noted(&self) -> Json {
        json!({ "on": self.on })
    }
}

/// The text of a file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileText {
    /// The text.
    pub(super) text: String,
}

impl Noted for FileText {}

/// The value of a secret.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretValue {
    /// The value; it is kept encrypted and never shown.
    pub(super) value: String,
}

impl Noted for SecretValue {}

impl Noted for StartAsk {
    fn noted(&self) -> Json {
        json!({
            "full": self.full, "direction": self.direction, "force_guards": self.force_guards,
            "retry": self.retry, "key": self.key
        })
    }
}

impl Noted for PlanAsk {
    fn noted(&self) -> Json {
        json!({ "full": self.full })
    }
}

// The key is named, the value is not.
impl Noted for ResolveAsk {
    fn noted(&self) -> Json {
        json!({ "sync": self.sync, "key": self.key, "field": self.field, "use": self.choice })
    }
}

impl Noted for SaveAsk {
    fn noted(&self) -> Json {
        json!({ "bytes": self.text.len(), "new": self.hash.is_none() })
    }
}

/// It was done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Done {
    /// Always true; what was not done is an error.
    done: bool,
}

impl Done {
    /// It was.
    pub(super) fn yes() -> Self {
        Self { done: true }
    }
}

/// A secret was kept or removed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct SecretDone {
    /// Always true; what was not done is an error.
    done: bool,
    /// Secrets that went with it: where it says how a connection is reached, that connection's others do not follow.
    secrets_cleared: Vec<String>,
}

impl SecretDone {
    /// It was, and these went.
    pub(super) fn and_gone(secrets_cleared: Vec<String>) -> Self {
        Self { done: true, secrets_cleared }
    }
}

/// Who calls.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Me {
    /// A user, `token:NAME`, or `local`.
    pub(super) who: String,
    /// `read`, `run`, `edit`, `admin`.
    pub(super) scope: String,
    /// What requests of this session that change something carry as `X-CSRF-Token`.
    pub(super) csrf: String,
}
