//! `hub list|set|unset|delete`

use clap::Subcommand;
use tidegate_model::config::Project;
use tidegate_model::schema::ModelName;
use tidegate_model::{Error, Result};
use tidegate_platforms::hub::Hub;

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::workshop::Workshop;

/// The `type:` of the connections that these commands work on.
const KIND: &str = "hub";

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
        limit: Option<u64>,
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

/// Splits `name=value` words.
pub fn parse_fields(words: &[String]) -> Result<Vec<(String, String)>> {
    let split = |word: &String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::config(format!("`{word}` is not FIELD=VALUE"))
            .hint("write for example phase=Adoption; to clear a field: tidegate hub unset MODEL KEY FIELD")),
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
        What::List { model, conditions, limit } => list(app, hub, model, conditions, *limit).await,
        What::Set { model, key, fields } => {
            let record = hub.set(&ModelName(model.clone()), key, &parse_fields(fields)?).await?;
            app.out.data(&record.to_string())
        }
        What::Unset { model, key, fields } => {
            let record = hub.unset(&ModelName(model.clone()), key, fields).await?;
            app.out.data(&record.to_string())
        }
        What::Delete { model, key } => {
            if !hub.delete(&ModelName(model.clone()), key).await? {
                return Err(Error::config(format!("there is no {model} {key}"))
                    .hint(format!("`tidegate hub list {model}` lists them")));
            }
            if app.out.json {
                let mut line = Object::default();
                line.put("model", model.clone()).put("key", key.clone()).put("deleted", 1);
                app.out.json(&line)?;
            }
            app.out.note(&format!("deleted {model} {key}"));
            Ok(())
        }
    }
}

async fn list(app: &App, hub: &Hub, model: &str, conditions: &[String], _limit: Option<u64>) -> Result<()> {
    for record in hub.list(&ModelName(model.to_owned()), &parse_fields(conditions)?).await? {
        app.out.data(&record.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_split_at_its_first_equals_sign() {
        let words = ["a=b=c".to_owned(), "x=".to_owned()];
        let split = parse_fields(&words).expect("fields");
        assert_eq!(split, [("a".to_owned(), "b=c".to_owned()), ("x".to_owned(), String::new())]);
        assert!(parse_fields(&["oops".to_owned()]).is_err());
    }
}
