//! `secrets set|list|rm|rotate`

use clap::Subcommand;
use tidegate_model::Error;
use tidegate_model::config::Project;

use crate::app::{App, Ending, block_on};
use crate::out::{Object, Table};
use crate::secret_input;
use crate::workshop::Workshop;

/// What to do.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate secrets set pg_password         asks for it; or: pass show pg | tidegate secrets set pg_password
  tidegate secrets list                    names and dates, never values
  tidegate secrets rotate                  encrypts all with a new key

  In a connection's file: password: secret:pg_password
")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Keep a secret; it is read from the prompt or a pipe, never from an argument
    Set {
        /// Its name, as in `secret:NAME`
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List names
    List,
    /// Remove a secret
    Rm {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Encrypt all secrets with a new key
    Rotate,
}

/// Sets, lists, removes, rotates.
pub fn run(app: &App, args: &Args) -> Ending {
    // Asked for before anything is opened: a person who types should not wait.
    let value = match &args.what {
        What::Set { name } => Some(secret_input::read(name)?),
        What::List | What::Rm { .. } | What::Rotate => None,
    };
    block_on(async {
        let shop = Workshop::open(app).await?;
        let mut line = Object::default();
        match &args.what {
            What::Set { name } => {
                if let Some(value) = &value {
                    shop.store.set_secret(name, value).await?;
                }
                line.put("secret", name.clone()).put("set", true);
                app.out.note(&format!("kept, encrypted; use it as `secret:{name}` in a connection's file"));
            }
            What::List => return list(app, &shop).await,
            What::Rm { name } => {
                if !shop.store.remove_secret(name).await? {
                    return Err(Error::config(format!("there is no secret `{name}`"))
                        .hint("`tidegate secrets list` lists them")
                        .into());
                }
                line.put("secret", name.clone()).put("removed", 1);
                app.out.note(&format!("removed {name}"));
                for connection in using(&shop.project, name) {
                    app.out.warn(&format!("the connection {connection} still names secret:{name}"));
                }
            }
            What::Rotate => {
                let count = rotate(app, &shop).await?;
                line.put("rotated", count);
            }
        }
        if app.out.json {
            app.out.json(&line)?;
        }
        Ok(0)
    })
}

/// Connections that name a secret.
pub fn using(project: &Project, name: &str) -> Vec<String> {
    let reference = serde_json::Value::from(format!("secret:{name}")).to_string();
    let names = |connection: &&tidegate_model::config::Connection| connection.settings.to_string().contains(&reference);
    project.connections.values().filter(names).map(|connection| connection.name.clone()).collect()
}

async fn list(app: &App, shop: &Workshop) -> Ending {
    let mut table = Table::new(&["secret", "key", "set at"]);
    for secret in shop.store.list_secrets().await? {
        if app.out.json {
            let mut line = Object::default();
            line.put("secret", secret.name)
                .put("key_id", secret.key_id)
                .put("updated_at", secret.updated_at.to_string());
            app.out.json(&line)?;
        } else {
            table.row(vec![secret.name, secret.key_id, secret.updated_at.to_string()]);
        }
    }
    if !app.out.json {
        if table.is_empty() {
            app.out.note("no secrets");
        } else {
            app.out.table(&table)?;
        }
    }
    Ok(0)
}

/// A key that the environment gives is replaced by its owner: the new one is then read like a secret.
async fn rotate(app: &App, shop: &Workshop) -> Result<u64, crate::app::Failure> {
    let from_environment = std::env::var("TIDEGATE_KEY").is_ok_and(|key| !key.is_empty());
    let new = if from_environment {
        app.out.note("TIDEGATE_KEY is set: give the new key now (make one with `openssl rand -base64 32`)");
        secret_input::read("new TIDEGATE_KEY")?
    } else {
        tidegate_store::new_key()?
    };
    let count = shop.store.rotate_secrets(&new).await?;
    app.out.note(&format!("{count} secrets are encrypted with the new key"));
    if from_environment {
        app.out.note("set TIDEGATE_KEY to the new key now: the old one opens nothing any more");
    }
    Ok(count)
}
