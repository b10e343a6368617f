//! `logs RUN [--follow]`

use std::time::Duration;

use tidegate_model::run::RunStatus;

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::workshop::Workshop;

/// Between two looks with `--follow`: a person does not notice, the store neither.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Which run.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate logs 01KAJ2…                    the log of a run
  tidegate logs 01KAJ2… --follow           until it ends
")]
pub struct Args {
    /// The run's id
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on until the run ends
    #[arg(long, short)]
    follow: bool,
}

/// Prints a run's log.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let (mut after, mut lines) = (0, 0_u64);
        loop {
            // The status is read before the lines: what is written in between is still printed.
            let status = shop.run_record(&args.run).await?.status;
            for (number, at, line) in shop.memory().log_lines(&args.run, after).await? {
                after = after.max(number);
                lines += 1;
                if app.out.json {
                    let mut object = Object::default();
                    object.put("run", args.run.clone()).put("at", at.to_string()).put("line", line);
                    app.out.json(&object)?;
                } else {
                    app.out.data(&format!("{at}  {line}"))?;
                }
            }
            if !args.follow || !matches!(status, RunStatus::Queued | RunStatus::Running) {
                if lines == 0 {
                    app.out.note("this run had nothing to tell; `tidegate runs` shows what it did");
                }
                return Ok(0);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
}
