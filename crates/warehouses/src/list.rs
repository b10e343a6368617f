//! The list of warehouses. A connector is one folder and one line here.

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_model::ports::Warehouse;
use tidegate_model::{Error, Result};
use tidegate_net::oauth::{Login, Vault};
use tidegate_net::targets::Targets;

use crate::near::{did_you_mean, near};
use crate::{bigquery, postgres, snowflake, sqlite};

/// What a connector is told besides its own settings.
#[derive(Debug, Clone)]
pub struct OpenContext {
    /// The project's folder: relative paths start here.
    pub project_dir: PathBuf,
    /// `access: write`. Without it nothing is ever created or written.
    pub access_write: bool,
    /// Where fence, span and staging tables go.
    pub work_schema: String,
    /// The connection's name, for messages.
    pub name: String,
    /// Where the tokens of a connection are kept that a person signs in to.
    pub vault: Arc<dyn Vault>,
    /// Where its calls over HTTP may go, if not everywhere.
    pub targets: Option<Targets>,
}

/// A kind of warehouse, for people and editors.
#[derive(Debug, Clone)]
pub struct KindInfo {
    /// The `type:` of its connections.
    pub name: &'static str,
    /// JSON Schema of its settings.
    pub schema: serde_json::Value,
    /// What it promises of its deliveries, one line.
    pub promise: &'static str,
}

struct Kind {
    name: &'static str,
    schema: fn() -> schemars::Schema,
    promise: &'static str,
    open: fn(&serde_json::Value, &OpenContext) -> Result<Arc<dyn Warehouse>>,
    login: fn(&serde_json::Value, &OpenContext) -> Result<Option<Login>>,
}

/// For kinds that no person signs in to.
fn nobody(_: &serde_json::Value, _: &OpenContext) -> Result<Option<Login>> {
    Ok(None)
}

const LIST: &[Kind] = &[
    Kind { name: "sqlite", schema: sqlite::schema, promise: sqlite::PROMISE, open: sqlite::open, login: nobody },
    Kind {
        name: "postgres",
        schema: postgres::schema,
        promise: postgres::PROMISE,
        open: postgres::open,
        login: nobody,
    },
    Kind {
        name: "snowflake",
        schema: snowflake::schema,
        promise: snowflake::PROMISE,
        open: snowflake::open,
        login: snowflake::login,
    },
    Kind {
        name: "bigquery",
        schema: bigquery::schema,
        promise: bigquery::PROMISE,
        open: bigquery::open,
        login: bigquery::login,
    },
];

/// Opens a warehouse of a kind with the settings of its connection. Cheap: nothing is connected to yet, so an address
/// that does not answer is told by the first call.
pub fn open(kind: &str, config: &serde_json::Value, context: &OpenContext) -> Result<Arc<dyn Warehouse>> {
    (of(kind, context)?.open)(config, context).map_err(|error| error.at(format!("connection {}", context.name)))
}

/// The login of a connection that a person signs in to with a browser; `None` if it logs in by itself.
pub fn login(kind: &str, config: &serde_json::Value, context: &OpenContext) -> Result<Option<Login>> {
    (of(kind, context)?.login)(config, context).map_err(|error| error.at(format!("connection {}", context.name)))
}

fn of(kind: &str, context: &OpenContext) -> Result<&'static Kind> {
    LIST.iter().find(|entry| entry.name == kind).ok_or_else(|| {
        let known: Vec<&str> = LIST.iter().map(|entry| entry.name).collect();
        let meant = did_you_mean(&near(kind, known.iter().copied()), "name one of them");
        Error::config(format!("connection {}: there is no warehouse of type {kind}", context.name))
            .hint(format!("known types: {}; {meant}", known.join(", ")))
    })
}

/// All kinds of warehouses.
pub fn kinds() -> Vec<KindInfo> {
    LIST.iter()
        .map(|entry| KindInfo { name: entry.name, schema: (entry.schema)().to_value(), promise: entry.promise })
        .collect()
}
