//! `users add|list|rm`

use clap::Subcommand;
use tidegate_model::Error;
use tidegate_server::{Role, hash_password};
use tidegate_store::User;

use crate::app::{App, Ending, block_on};
use crate::out::{Object, Table};
use crate::secret_input;
use crate::surroundings::now;
use crate::workshop::Workshop;

/// What to do.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate users add ada --role admin      asks for a password of 12 characters or more
  pass show tidegate | tidegate users add ada
  tidegate users list
  tidegate users rm ada                    and ends their sessions
")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Add somebody who may sign in to `serve`, or give them another role and password; read from the prompt or a pipe
    Add {
        /// Their name
        #[arg(value_name = "NAME")]
        name: String,
        /// `viewer` looks, `operator` runs too, `admin` does everything
        #[arg(long, value_name = "R", default_value = "viewer", value_parser = ["viewer", "operator", "admin"])]
        role: String,
    },
    /// List names and roles
    List,
    /// Remove somebody
    Rm {
        /// Their name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Adds, lists, removes.
pub fn run(app: &App, args: &Args) -> Ending {
    // Asked for before anything is opened: a person who types should not wait.
    let hashed = match &args.what {
        What::Add { .. } => Some(hash_password(&secret_input::read("the new password")?)?),
        What::List | What::Rm { .. } => None,
    };
    block_on(async {
        let shop = Workshop::open(app).await?;
        let mut line = Object::default();
        match &args.what {
            What::Add { name, role } => {
                let role = Role::parse(role).ok_or_else(|| Error::config(format!("there is no role `{role}`")))?;
                let user = User {
                    name: name.clone(),
                    role: role.as_str().to_owned(),
                    password: hashed.unwrap_or_default(),
                    created_at: now(),
                };
                shop.store.put_user(&user).await?;
                line.put("user", name.clone()).put("role", role.as_str());
                app.out.note(&format!("{name} may sign in as {}; from now on everybody has to", role.as_str()));
            }
            What::List => return list(app, &shop).await,
            What::Rm { name } => {
                if !shop.store.remove_user(name).await? {
                    return Err(Error::config(format!("there is no user `{name}`"))
                        .hint("`tidegate users list` lists them")
                        .into());
                }
                line.put("user", name.clone()).put("removed", 1);
                app.out.note(&format!("removed {name}, and ended their sessions"));
            }
        }
        if app.out.json {
            app.out.json(&line)?;
        }
        Ok(0)
    })
}

async fn list(app: &App, shop: &Workshop) -> Ending {
    let mut table = Table::new(&["user", "role", "since"]);
    for user in shop.store.users().await? {
        if app.out.json {
            let mut line = Object::default();
            line.put("user", user.name).put("role", user.role).put("created_at", user.created_at.to_string());
            app.out.json(&line)?;
        } else {
            table.row(vec![user.name, user.role, user.created_at.to_string()]);
        }
    }
    if !app.out.json {
        if table.is_empty() {
            app.out.note("no users: nobody has to sign in, and `serve` listens on this machine only");
        } else {
            app.out.table(&table)?;
        }
    }
    Ok(0)
}
