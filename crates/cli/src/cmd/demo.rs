//! `demo [DIR]`

use std::path::PathBuf;

use crate::app::{App, Ending, block_on};
use crate::demo::{make, tell};
use crate::workshop::Workshop;

/// Where.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate demo                            in the new folder tidegate-demo
  tidegate demo /tmp/demo
")]
pub struct Args {
    /// The folder, which must be new
    #[arg(value_name = "DIR", default_value = "tidegate-demo")]
    dir: PathBuf,
}

/// Makes the project, runs it, edits both sides, runs it again.
pub fn run(app: &App, args: &Args) -> Ending {
    make(&args.dir)?;
    let inside = App { project: Some(args.dir.clone()), out: crate::out::Out::new(app.out.json, app.out.quiet) };
    block_on(async {
        let shop = Workshop::open(&inside).await?;
        tell(&app.out, &shop, &args.dir).await
    })
}
