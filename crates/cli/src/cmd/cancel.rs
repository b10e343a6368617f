//! `cancel RUN`

use tidegate_model::Error;

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::workshop::Workshop;

/// Which run.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate cancel 01KAJ2…                  it stops at its next safe point
")]
pub struct Args {
    /// The run's id
    #[arg(value_name = "RUN")]
    run: String,
}

/// Asks a run to stop.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let record = shop.run_record(&args.run).await?;
        if !shop.memory().request_cancel(&args.run).await? {
            let status = record.status.as_str();
            return Err(Error::config(format!("the run {} is not running: {status}", args.run))
                .hint("`tidegate runs` lists runs with their status")
                .into());
        }
        if app.out.json {
            let mut line = Object::default();
            line.put("run", args.run.clone()).put("cancel_requested", true);
            app.out.json(&line)?;
        } else {
            app.out.note(&format!("asked {} to stop at its next safe point", args.run));
        }
        Ok(0)
    })
}
