//! `tokens add|list|rm`

use clap::Subcommand;
use tidegate_model::Error;
use tidegate_server::{Scope, new_token};
use tidegate_store::Token;

use crate::app::{App, Ending, block_on};
use crate::out::{Object, Table};
use crate::surroundings::now;
use crate::workshop::Workshop;

/// What to do.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate tokens add ci --scope run       prints the token, this once
  tidegate tokens add prometheus           may look, and nothing else
  tidegate tokens list
  tidegate tokens rm ci                    it holds no longer
")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Make a token for programs that call the API of `serve`
    Add {
        /// Its name, for the list and the audit log
        #[arg(value_name = "NAME")]
        name: String,
        /// What it may do: `read`, `run` (and read), `edit` (and run)
        #[arg(long, value_name = "S", default_value = "read", value_parser = ["read", "run", "edit"])]
        scope: String,
        /// For so many days; without, until it is removed
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
    },
    /// List names, scopes and times
    List,
    /// Remove a token
    Rm {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Adds, lists, removes.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        match &args.what {
            What::Add { name, scope, days } => add(app, &shop, name, scope, *days).await,
            What::List => list(app, &shop).await,
            What::Rm { name } => {
                if !shop.store.remove_token(name).await? {
                    return Err(Error::config(format!("there is no token `{name}`"))
                        .hint("`tidegate tokens list` lists them")
                        .into());
                }
                let mut line = Object::default();
                line.put("token", name.clone()).put("removed", 1);
                app.out.note(&format!("removed {name}: it holds no longer"));
                if app.out.json {
                    app.out.json(&line)?;
                }
                Ok(0)
            }
        }
    })
}

async fn add(app: &App, shop: &Workshop, name: &str, scope: &str, days: Option<u32>) -> Ending {
    let scope = Scope::of_token(scope).ok_or_else(|| Error::config(format!("there is no scope `{scope}`")))?;
    let (secret, hash) = new_token()?;
    let at = now();
    let token = Token {
        name: name.to_owned(),
        scope: scope.as_str().to_owned(),
        created_by: "command line".to_owned(),
        created_at: at,
        expires_at: days.map(|days| at.plus_millis(i64::from(days) * 86_400_000)),
        used_at: None,
    };
    if !shop.store.add_token(&token, &hash).await? {
        return Err(Error::config(format!("there is a token `{name}` already"))
            .hint(format!("`tidegate tokens rm {name}` removes it"))
            .into());
    }
    if app.out.json {
        let mut line = Object::default();
        line.put("token", name).put("scope", scope.as_str()).put("secret", secret.expose());
        app.out.json(&line)?;
    } else {
        app.out.data(secret.expose())?;
        app.out.note("this is the only time it is shown; send it as `Authorization: Bearer TOKEN`");
    }
    Ok(0)
}

async fn list(app: &App, shop: &Workshop) -> Ending {
    let mut table = Table::new(&["token", "scope", "made by", "at", "until", "used"]);
    for token in shop.store.tokens().await? {
        let text = |at: Option<tidegate_model::Instant>| at.map(|at| at.to_string());
        if app.out.json {
            let mut line = Object::default();
            line.put("token", token.name)
                .put("scope", token.scope)
                .put("created_by", token.created_by)
                .put("created_at", token.created_at.to_string())
                .put("expires_at", text(token.expires_at))
                .put("used_at", text(token.used_at));
            app.out.json(&line)?;
        } else {
            table.row(vec![
                token.name,
                token.scope,
                token.created_by,
                token.created_at.to_string(),
                text(token.expires_at).unwrap_or_default(),
                text(token.used_at).unwrap_or_else(|| "never".to_owned()),
            ]);
        }
    }
    if !app.out.json {
        if table.is_empty() {
            app.out.note("no tokens; `tidegate tokens add NAME` makes one");
        } else {
            app.out.table(&table)?;
        }
    }
    Ok(0)
}
