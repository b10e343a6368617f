//! `hub list|set|unset|delete`

use clap::Subcommand;
use serde_json::Value as Json;
use tidegate_model::config::Project;
use tidegate_model::sync::{Condition, Op};
use tidegate_model::{Error, Result};
use tidegate_platforms::hub::Hub;

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::workshop::Workshop;

/// The `type:` of the connections that these commands work on.
const KIND: &str = "hub";

/// No limit, as large as a database takes it.
const ALL: usize = usize::MAX >> 1;

/// Which hub.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate hub list company --where phase=Trial
  tidegate hub list user_activity --limit 10
  tidegate hub set company C00001 phase=Adoption custom.ARR=12.50
  tidegate hub unset company C00001 phase
  tidegate hub delete enduser email:ada@example.com
")]
pub struct Args {
    /// The connection, where there are several hubs
    #[arg(long, global = true, value_name = "NAME")]
    connection: Option<String>,
    #[command(subcommand)]
    what: What,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum What {
    /// List records, events or rows
    List {
        /// `company`, `user_activity`, `dataset:revenue`, …
        #[arg(value_name = "MODEL")]
        model: String,
        /// Only those with this value in this field; several must all hold
        #[arg(long = "where", value_name = "f=v")]
        conditions: Vec<String>,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Create a record, or change fields of it
    Set {
        /// The model
        #[arg(value_name = "MODEL")]
        model: String,
        /// The externalId, or `sourceId:X`, `_id:X`, `email:X`
        #[arg(value_name = "KEY")]
        key: String,
        /// Fields with their values
        #[arg(value_name = "f=v", required = true)]
        fields: Vec<String>,
    },
    /// Clear fields
    Unset {
        /// The model
        #[arg(value_name = "MODEL")]
        model: String,
        /// The externalId, or `sourceId:X`, `_id:X`, `email:X`
        #[arg(value_name = "KEY")]
        key: String,
        /// Fields
        #[arg(value_name = "f", required = true)]
        fields: Vec<String>,
    },
    /// Delete a record
    Delete {
        /// The model
        #[arg(value_name = "MODEL")]
        model: String,
        /// The externalId, or `sourceId:X`, `_id:X`, `email:X`
        #[arg(value_name = "KEY")]
        key: String,
    },
}

/// Names of the project's hubs.
pub fn hubs(project: &Project) -> Vec<String> {
    let is_hub = |connection: &&tidegate_model::config::Connection| connection.kind == KIND;
    project.connections.values().filter(is_hub).map(|connection| connection.name.clone()).collect()
}

/// Splits `name=value` words into conditions.
pub fn conditions(words: &[String]) -> Result<Vec<Condition>> {
    let split = |word: &String| match word.split_once('=') {
        Some((field, value)) if !field.is_empty() => {
            Ok(Condition { field: field.to_owned(), op: Op::Eq, value: value.to_owned() })
        }
        _ => {
            Err(Error::config(format!("`{word}` is not FIELD=VALUE")).hint("write for example --where phase=Adoption"))
        }
    };
    words.iter().map(split).collect()
}

/// Looks into the hub, or edits it.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let hub = shop.hub(&pick(&shop, args.connection.as_deref())?)?;
        act(app, &hub, &args.what).await?;
        Ok(0)
    })
}

/// The hub that is meant.
fn pick(shop: &Workshop, named: Option<&str>) -> Result<String> {
    let hubs = hubs(&shop.project);
    match (named, hubs.as_slice()) {
        (Some(name), _) if hubs.iter().any(|hub| hub == name) => Ok(name.to_owned()),
        (Some(name), _) => Err(crate::project::unknown("hub", name, hubs.iter().map(String::as_str))),
        (None, [only]) => Ok(only.clone()),
        (None, []) => {
            Err(Error::config("the project has no connection of type hub").hint("add one as connections/NAME.yaml"))
        }
        (None, several) => Err(Error::config(format!("there are several hubs: {}", several.join(", ")))
            .hint("name one with --connection NAME")),
    }
}

async fn act(app: &App, hub: &Hub, what: &What) -> Result<()> {
    match what {
        What::List { model, conditions: words, limit } => {
            let records = hub.list(model, &conditions(words)?, limit.unwrap_or(ALL)).await?;
            if records.is_empty() {
                app.out.note(&format!("no {model}"));
            }
            records.into_iter().try_for_each(|record| app.out.json(&in_order(record)))
        }
        What::Set { model, key, fields } => app.out.json(&in_order(hub.set(model, key, fields).await?)),
        What::Unset { model, key, fields } => app.out.json(&in_order(hub.unset(model, key, fields).await?)),
        What::Delete { model, key } => {
            let record = hub.delete(model, key).await?;
            app.out.note(&format!("deleted {model} {key}, which was:"));
            app.out.json(&in_order(record))
        }
    }
}

/// A record with its ids first, then its fields by name, its custom fields and its times.
fn in_order(record: Json) -> Object {
    let mut object = Object::default();
    let Json::Object(mut fields) = record else { return object };
    for first in ["_id", "externalId", "sourceId"] {
        if let Some(value) = fields.remove(first) {
            object.put(first, value);
        }
    }
    let last: Vec<_> = ["custom", "createdAt", "updatedAt"].map(|name| (name, fields.remove(name))).into();
    for (name, value) in fields {
        object.put(name, value);
    }
    for (name, value) in last {
        if let Some(value) = value {
            object.put(name, value);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_split_at_its_first_equals_sign() {
        let split = conditions(&["a=b=c".to_owned(), "x=".to_owned()]).expect("conditions");
        assert_eq!((split[0].field.as_str(), split[0].value.as_str(), split[1].value.as_str()), ("a", "b=c", ""));
        assert!(conditions(&["oops".to_owned()]).is_err());
    }

    #[test]
    fn ids_come_first_and_times_last() {
        let record = serde_json::json!({
            "createdAt": "t", "custom": {"b": 1}, "name": "n", "_id": "1", "externalId": "e", "arr": "1.50"
        });
        let text = serde_json::to_string(&in_order(record)).expect("json");
        assert_eq!(text, r#"{"_id":"1","externalId":"e","arr":"1.50","name":"n","custom":{"b":1},"createdAt":"t"}"#);
    }
}
