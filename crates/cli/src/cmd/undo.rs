//! `undo RUN`

use crate::app::{App, Ending, block_on};
use crate::cmd::apply::report;
use crate::workshop::Workshop;

/// Which run.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate runs companies              find the run
  tidegate undo 01KAJ2…                put back what it overwrote
")]
pub struct Args {
    /// The run's id
    #[arg(value_name = "RUN")]
    run: String,
}

/// Puts before-images back where nobody changed the value since.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let record = shop.run_record(&args.run).await?;
        let job = shop.job(&record.sync).await?;
        let applied = shop.engine.undo(&job, &args.run).await;
        shop.watcher.done();
        let code = report(&shop, &app.out, &job.sync, &applied?).await?;
        app.out.note(&format!("{0} no longer runs by itself; `tidegate resume {0}` lets it again", record.sync));
        Ok(code)
    })
}
