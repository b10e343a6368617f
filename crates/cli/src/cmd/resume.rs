//! `resume SYNC`

use crate::app::{App, Ending};
use crate::cmd::pause::switch;

/// Which sync.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate resume companies
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
}

/// Lets a sync run by itself again.
pub fn run(app: &App, args: &Args) -> Ending {
    switch(app, &args.sync, false)
}
