//! `retry SYNC [--key K]`

use tidegate_engine::RunOptions;
use tidegate_model::record::Key;

use crate::app::{App, Ending, block_on};
use crate::cmd::rejects::{LISTED_MAX, list};
use crate::cmd::run::Report;
use crate::signals::Signals;
use crate::workshop::Workshop;

/// Which rejects.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate retry licenses                  all open rejects of this sync
  tidegate retry licenses --key L01200     this one
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// Only the record with this key
    #[arg(long, value_name = "K")]
    key: Option<String>,
}

/// Reads the source rows of open rejects again and runs just these; lists what is still rejected.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let signals = Signals::listen()?;
        let job = shop.job(&args.sync).await?;
        let options =
            RunOptions { trigger: "retry".to_owned(), cancel: signals.cancel.clone(), ..RunOptions::default() };
        let key = args.key.as_deref().map(Key::new);
        let ran = shop.engine.retry(&job, key.as_ref(), &options).await;
        shop.watcher.done();
        let run = ran?;
        let mut left = shop.memory().rejects(Some(&args.sync), LISTED_MAX).await?;
        left.retain(|listed| key.is_none() || listed.reject.key == key);
        if !app.out.json {
            let mut report = Report::new(&app.out);
            report.run(&run, job.sync.direction)?;
            report.finish()?;
        }
        list(&app.out, &left)?;
        Ok(signals.exit_code().unwrap_or(run.status.exit_code()))
    })
}
