//! `demo [DIR]`

use std::path::PathBuf;

use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};

use crate::app::{App, Ending, block_on};
use crate::demo::{Lake, PG_URL, make, tell};
use crate::workshop::Workshop;

/// Where.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate demo                            in the new folder tidegate-demo
  tidegate demo /tmp/demo
  tidegate demo --serve                    and then its pages, on http://127.0.0.1:8080
  PG_URL=postgres://me@localhost/demo tidegate demo --postgres    all of it in an empty database
")]
pub struct Args {
    /// The folder, which must be new
    #[arg(value_name = "DIR", default_value = "tidegate-demo")]
    dir: PathBuf,
    /// Put warehouse, hub and state into the Postgres database that PG_URL names; it must be empty
    #[arg(long)]
    postgres: bool,
    /// Serve it afterwards: its pages in the browser, with conflicts and rejects waiting
    #[arg(long)]
    serve: bool,
    /// With --serve: address and port, on this machine
    #[arg(long, value_name = "A", requires = "serve")]
    listen: Option<String>,
}

/// Makes the project, runs it, edits both sides, runs it again.
pub fn run(app: &App, args: &Args) -> Ending {
    let lake = if args.postgres { Lake::Postgres(postgres_url()?) } else { Lake::file(&args.dir) };
    block_on(async { Ok(make(&args.dir, &lake).await?) })?;
    let inside = App { project: Some(args.dir.clone()), out: crate::out::Out::new(app.out.json, app.out.quiet) };
    let told = block_on(async {
        let shop = Workshop::open(&inside).await?;
        tell(&app.out, &shop, &args.dir, &lake).await
    })?;
    if !args.serve || told != 0 {
        return Ok(told);
    }
    super::serve::run(&inside, &super::serve::Args::at(args.listen.clone()))
}

/// From the environment, where the project's files read it too: a URL with a password is no argument.
fn postgres_url() -> Result<Secret> {
    match std::env::var(PG_URL) {
        Ok(url) if !url.is_empty() => Ok(Secret::new(url)),
        _ => Err(Error::config(format!("the environment variable {PG_URL} is not set"))
            .hint(format!("make an empty database, then: export {PG_URL}=postgres://user:password@host/database"))),
    }
}
