//! `runs [SYNC]`

use crate::app::{App, Ending, block_on};
use crate::out::{RUN_HEADS, RunLine, Table, run_row};
use crate::surroundings::now;
use crate::workshop::Workshop;

/// Which runs.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate runs                            the last runs
  tidegate runs companies --limit 100
")]
pub struct Args {
    /// Of this sync only
    #[arg(value_name = "SYNC")]
    sync: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

/// Lists runs, newest first.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        // A sync that is no longer configured may still have runs.
        let runs = shop.memory().runs(args.sync.as_deref(), args.limit).await?;
        if let (Some(sync), true) = (&args.sync, runs.is_empty()) {
            shop.sync(sync)?;
        }
        let mut table = Table::new(RUN_HEADS);
        for run in &runs {
            if app.out.json {
                let direction = shop.project.syncs.get(&run.sync).map(|sync| sync.direction);
                app.out.json(&RunLine::new(run, direction, now()))?;
            } else {
                table.row(run_row(run, now()));
            }
        }
        if !app.out.json {
            if table.is_empty() {
                app.out.note("no runs yet; `tidegate run` makes some");
            } else {
                app.out.table(&table)?;
            }
        }
        Ok(0)
    })
}
