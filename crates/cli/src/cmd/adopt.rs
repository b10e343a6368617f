//! `adopt SYNC`

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::workshop::Workshop;

/// Which sync.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate adopt companies                 this project drives it from now on, no other
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
}

/// Takes a sync's targets over from another store.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let job = shop.job(&args.sync).await?;
        shop.engine.adopt(&job).await?;
        if app.out.json {
            let mut line = Object::default();
            line.put("sync", args.sync.clone()).put("adopted", 1);
            app.out.json(&line)?;
        } else {
            app.out.note(&format!(
                "{} belongs to this project now; the other one is stopped at its next write",
                args.sync
            ));
        }
        Ok(0)
    })
}
