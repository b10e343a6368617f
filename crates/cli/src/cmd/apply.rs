//! `apply FILE`

use std::path::PathBuf;

use tidegate_engine::{Applied, PlanFile};
use tidegate_model::Error;
use tidegate_model::sync::Sync;

use crate::app::{App, Ending, Failure, block_on};
use crate::cmd::plan::print;
use crate::cmd::run::Report;
use crate::out::{Out, count};
use crate::shape;
use crate::workshop::Workshop;

/// Entries of a run's history that are read at once.
const HISTORY_PAGE: u32 = 1_000;

/// Which plan.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate plan companies --out plan.json && tidegate apply plan.json
")]
pub struct Args {
    /// A file written by `plan --out`
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Carries a plan out, as far as its before-values still hold.
pub fn run(app: &App, args: &Args) -> Ending {
    let shown = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|error| {
        Error::config(format!("cannot read the plan {shown}"))
            .hint("make one with `tidegate plan SYNC --out FILE`")
            .cause(error)
    })?;
    let plan: PlanFile = serde_json::from_str(&text).map_err(|error| {
        Error::config(format!("{shown} is not a plan of tidegate"))
            .hint("make one with `tidegate plan SYNC --out FILE`")
            .cause(error)
    })?;
    block_on(async {
        let shop = Workshop::open(app).await?;
        let job = shop.job(&plan.sync).await?;
        let applied = shop.engine.apply(&job, &plan).await;
        shop.watcher.done();
        report(&shop, &app.out, &job.sync, &applied?).await
    })
}

/// Prints what was done, change by change, and what was left out; the exit code. `apply`, `undo` and `verify --repair`
/// share it.
pub async fn report(shop: &Workshop, out: &Out, sync: &Sync, applied: &Applied) -> Result<u8, Failure> {
    let mut after = 0;
    if out.json {
        loop {
            let page = shop.memory().history(&applied.run.run, after, HISTORY_PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (_, entry) in &page {
                out.json(&shape::done(sync, entry))?;
            }
        }
    }
    for change in &applied.stale {
        let mut stale = change.clone();
        "stale".clone_into(&mut stale.action);
        if out.json {
            out.json(&shape::change(&shape::hidden(sync, &stale)))?;
        } else {
            print(out, sync, &stale)?;
        }
    }
    for line in &applied.not_possible {
        out.warn(line);
    }
    if out.json {
        out.json(&shape::books(&sync.name, &applied.run.books))?;
    } else {
        let mut report = Report::new(out);
        report.run(&applied.run, sync.direction)?;
        report.finish()?;
    }
    if !applied.stale.is_empty() {
        let left = count(applied.stale.len() as u64, "change");
        out.note(&format!("left out: {left}, because somebody changed the values since"));
    }
    Ok(applied.run.status.exit_code())
}
