//! `relink SYNC OLD NEW`

use tidegate_model::record::Key;

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::workshop::Workshop;

/// Which record.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate relink companies C00001 C90001  the record held as `rekeyed` has this new key
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// The key that the ledger knows
    #[arg(value_name = "OLD")]
    old: String,
    /// The key that the record has now
    #[arg(value_name = "NEW")]
    new: String,
}

/// Renames a key in the ledger.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let job = shop.job(&args.sync).await?;
        shop.engine.relink(&job, &Key::new(args.old.as_str()), &Key::new(args.new.as_str())).await?;
        if app.out.json {
            let mut line = Object::default();
            line.put("sync", args.sync.clone()).put("relinked", 1);
            app.out.json(&line)?;
        } else {
            app.out.note(&format!("{}: {} is now {}", args.sync, args.old, args.new));
        }
        Ok(0)
    })
}
