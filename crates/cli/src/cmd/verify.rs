//! `verify SYNC [--repair]`

use crate::app::{App, Ending, block_on};
use crate::cmd::apply::report;
use crate::out::{Table, cell, count};
use crate::shape;
use crate::workshop::Workshop;

/// Which sync.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate verify companies            does each side still hold what the ledger says?
  tidegate verify companies --repair   and put it right
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// Put the ledger's values back
    #[arg(long)]
    repair: bool,
}

/// Reports drift; exit code 3 if there is some that was not repaired.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let job = shop.job(&args.sync).await?;
        let found = shop.engine.verify(&job).await;
        shop.watcher.done();
        let drift = found?;
        let mut table = Table::new(&["side", "key", "field", "expected", "found", "likely cause"]);
        for one in &drift {
            if app.out.json {
                app.out.json(&shape::drift(&job.sync, one))?;
            }
            let hidden = one.field.as_ref().is_some_and(|field| shape::hides(&job.sync, field));
            let shown = |value: &Option<tidegate_model::value::Value>| match value {
                _ if hidden => "***".to_owned(),
                None => String::new(),
                Some(value) => cell(&value.to_json()),
            };
            table.row(vec![
                shape::side(one.side).to_owned(),
                one.key.clone(),
                one.field.clone().unwrap_or_default(),
                shown(&one.expected),
                shown(&one.found),
                one.cause.clone(),
            ]);
        }
        if drift.is_empty() {
            app.out.note(&format!("{}: both sides hold what the ledger says", args.sync));
            return Ok(0);
        }
        if !app.out.json {
            app.out.table(&table)?;
        }
        if !args.repair {
            app.out.note(&format!(
                "{}; `tidegate verify {} --repair` puts back what the ledger says",
                count(drift.len() as u64, "difference"),
                args.sync
            ));
            return Ok(3);
        }
        let repaired = shop.engine.repair(&job, &drift).await;
        shop.watcher.done();
        report(&shop, &app.out, &job.sync, &repaired?).await
    })
}
