//! `setup snowflake|bigquery|batch-sync`: SQL and commands for an administrator to read and run.

mod batch_sync;
mod bigquery;
mod snowflake;

use clap::{Parser, Subcommand};
use tidegate_model::config::Connection;
use tidegate_model::{Error, Result};
use tidegate_server::desk::SetupAsk;
use tidegate_warehouses::snowflake::setup::{Setup, Step, WarehouseSize, print};

use crate::app::{App, Ending};
use crate::out::{Object, Out};

/// For what.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate setup snowflake --database ANALYTICS --schema CRM             a user that reads a schema
  tidegate setup snowflake --connection lake --public-key keys/lake.pub  filled in from connections/lake.yaml
  tidegate setup snowflake --access write --database ANALYTICS --schema CRM --target CRM.SCORES
  tidegate setup bigquery --project-id acme-data --dataset crm              a service account that reads a dataset
  tidegate setup batch-sync --project-key KEY --database ANALYTICS --table CRM.PROFILES --id-column CUSTOM_ID
")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What can be set up.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Print the SQL of a user for tidegate: role, grants, warehouse, key pair or OAuth, change tracking, network policy
    Snowflake(Box<snowflake::Args>),
    /// Print the SQL of the container job for Batch: role, view, stream, network, compute pool, images, task
    BatchSync(Box<batch_sync::Args>),
    /// Print the commands that set up a project of BigQuery: APIs, login, roles, datasets
    Bigquery(Box<bigquery::Args>),
    /// Comes with a later part
    #[command(hide = true)]
    Duckdb(super::later::Rest),
}

/// `--size`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Size {
    /// One credit an hour
    #[value(name = "xsmall")]
    XSmall,
    /// Two
    Small,
    /// Four
    Medium,
    /// Eight
    Large,
}

impl Size {
    fn of(self) -> WarehouseSize {
        match self {
            Self::XSmall => WarehouseSize::XSmall,
            Self::Small => WarehouseSize::Small,
            Self::Medium => WarehouseSize::Medium,
            Self::Large => WarehouseSize::Large,
        }
    }
}

/// The set-up of a connection of the project, filled in from its files and from what else was given; `None`: there is
/// nothing to set up there.
pub fn text_of(
    root: &std::path::Path,
    public_url: Option<&str>,
    connection: &Connection,
    ask: &SetupAsk,
) -> Result<Option<String>> {
    match connection.kind.as_str() {
        "snowflake" => {}
        "bigquery" => return bigquery::text_of(connection).map(Some),
        _ => return Ok(None),
    }
    let mut words = vec!["setup".to_owned(), "--connection".to_owned(), connection.name.clone()];
    let public = public_url.map(|url| format!("{}/oauth/callback", url.trim_end_matches('/')));
    for (flag, given) in
        [("email", &ask.email), ("schema", &ask.schema), ("redirect-uri", &ask.redirect_uri.clone().or(public))]
    {
        let given = given.as_deref().map(str::trim).filter(|given| !given.is_empty());
        words.extend(given.map(|given| format!("--{flag}={given}")));
    }
    let args = OfConnection::try_parse_from(words)
        .map_err(|error| Error::internal("the set-up was not asked for well").cause(error))?;
    let app = App { project: Some(root.to_owned()), out: Out::new(false, true) };
    let setup = snowflake::setup(&app, &args.args).map_err(crate::live::first)?;
    Ok(Some(print(&setup)))
}

/// The options of `setup snowflake`, as somebody would type them.
#[derive(clap::Parser)]
struct OfConnection {
    #[command(flatten)]
    args: snowflake::Args,
}

/// Prints the set-up. Nothing is connected to.
pub fn run(app: &App, args: &Args) -> Ending {
    let setup = match &args.what {
        What::Snowflake(args) => snowflake::setup(app, args)?,
        What::BatchSync(args) => batch_sync::setup(args)?,
        What::Bigquery(args) => return Ok(bigquery::run(app, args).map(|()| 0)?),
        What::Duckdb(_) => return Err(later("duckdb").into()),
    };
    if app.out.json {
        lines(app, &setup)?;
    } else {
        print(&setup).lines().try_for_each(|line| app.out.data(line))?;
        app.out.note("nothing was run: read the SQL, then run it as an administrator, in a worksheet for example");
    }
    Ok(0)
}

fn later(what: &str) -> Error {
    Error::config(format!("`tidegate setup {what}` comes with a later part and is not in this build"))
        .hint("today: `tidegate setup snowflake`, `tidegate setup bigquery` and `tidegate setup batch-sync`")
}

/// One JSON line a step.
fn lines(app: &App, setup: &Setup) -> Result<()> {
    for step in &setup.steps {
        let mut line = Object::default();
        match step {
            Step::Sql(statement) => {
                line.put("role", statement.role.as_str()).put("statement", statement.sql.as_str());
                line.put("why", statement.why.as_str());
            }
            Step::Do { what, commands } => {
                line.put("do", what.as_str()).put("commands", commands.clone());
            }
        }
        app.out.json(&line)?;
    }
    for blank in &setup.blanks {
        let mut line = Object::default();
        line.put("fill_in", blank.as_str());
        app.out.json(&line)?;
    }
    if let Some((file, text)) = &setup.file {
        let mut line = Object::default();
        line.put("file", file.as_str()).put("text", text.as_str());
        app.out.json(&line)?;
    }
    Ok(())
}
