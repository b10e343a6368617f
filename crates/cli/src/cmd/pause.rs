//! `pause SYNC`

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::workshop::Workshop;

/// Which sync.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate pause companies                 no schedule starts it any more; `tidegate run` still does
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
}

/// The setting that holds a sync's switch.
pub fn setting(sync: &str) -> String {
    format!("paused:{sync}")
}

/// Stops a sync from running by itself.
pub fn run(app: &App, args: &Args) -> Ending {
    switch(app, &args.sync, true)
}

/// Turns a sync's switch.
pub fn switch(app: &App, sync: &str, paused: bool) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        shop.sync(sync)?;
        shop.memory().set_setting(&setting(sync), paused.then_some("by hand")).await?;
        if app.out.json {
            let mut line = Object::default();
            line.put("sync", sync).put("paused", paused);
            app.out.json(&line)?;
        } else if paused {
            app.out.note(&format!("{sync} no longer runs by itself; `tidegate resume {sync}` lets it again"));
        } else {
            app.out.note(&format!("{sync} runs by itself again"));
        }
        Ok(0)
    })
}
