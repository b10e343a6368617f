//! `rejects [SYNC] [--csv]`

use tidegate_model::ports::ListedReject;
use tidegate_server::csv_cell;

use crate::app::{App, Ending, Failure, block_on};
use crate::out::{Out, Table, cell};
use crate::shape;
use crate::workshop::Workshop;

/// Rejects that are listed.
pub const LISTED_MAX: u32 = 100_000;

/// The columns of the list.
pub const COLUMNS: [&str; 7] = ["sync", "key", "field", "rule", "reason", "run", "at"];

/// Which rejects, and how.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate rejects                         what could not be delivered, and why
  tidegate rejects licenses --csv > rejects.csv
")]
pub struct Args {
    /// Of this sync only
    #[arg(value_name = "SYNC")]
    sync: Option<String>,
    /// As CSV, for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Lists open rejects.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        if let Some(sync) = &args.sync {
            shop.sync(sync)?;
        }
        let rejects = shop.memory().rejects(args.sync.as_deref(), LISTED_MAX).await?;
        if args.csv {
            csv(&app.out, &rejects)?;
        } else {
            list(&app.out, &rejects)?;
        }
        Ok(0)
    })
}

/// Prints rejects as JSON lines or as a table.
pub fn list(out: &Out, rejects: &[ListedReject]) -> Result<(), Failure> {
    let mut table = Table::new(&COLUMNS);
    for listed in rejects {
        let line = shape::reject(listed);
        if out.json {
            out.json(&line)?;
        } else {
            table.row(COLUMNS.iter().map(|name| line.get(name).map(cell).unwrap_or_default()).collect());
        }
    }
    if out.json {
        return Ok(());
    }
    if table.is_empty() {
        out.note("no rejects");
    } else {
        out.table(&table)?;
    }
    Ok(())
}

fn csv(out: &Out, rejects: &[ListedReject]) -> Result<(), Failure> {
    out.data(&COLUMNS.join(","))?;
    for listed in rejects {
        let line = shape::reject(listed);
        let cells: Vec<String> =
            COLUMNS.iter().map(|name| csv_cell(&line.get(name).map(cell).unwrap_or_default())).collect();
        out.data(&cells.join(","))?;
    }
    Ok(())
}
