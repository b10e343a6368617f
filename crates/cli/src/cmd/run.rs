//! `run [SYNC…]`

use tidegate_engine::RunOptions;
use tidegate_model::Error;
use tidegate_model::run::RunRecord;
use tidegate_model::sync::Direction;

use crate::app::{App, Ending, Failure, block_on};
use crate::out::{Out, RUN_HEADS, RunLine, Table, Tint, not_started, run_row};
use crate::signals::Signals;
use crate::surroundings::now;
use crate::workshop::Workshop;

/// Which syncs, and how.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate run                             all syncs, in the order of their references
  tidegate run companies endusers          these two
  tidegate run companies --full            a complete read, whatever `changes:` says
  tidegate run companies --direction to_platform
  tidegate run companies --force-guard max_delete_pct
")]
pub struct Args {
    /// The syncs; all whose connections are enabled, if none is named
    #[arg(value_name = "SYNC")]
    pub syncs: Vec<String>,
    /// Read everything, not only what changed
    #[arg(long)]
    pub full: bool,
    /// Write one side only
    #[arg(long, value_name = "D", value_enum)]
    pub direction: Option<Way>,
    /// Read at most so many rows (the read then does not count as complete)
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Pass this guard, in this run only
    #[arg(long, value_name = "NAME", value_parser = GUARDS)]
    pub force_guard: Vec<String>,
}

/// The guards, by name.
pub const GUARDS: [&str; 5] = ["max_delete_pct", "max_clear_pct", "max_shrink_pct", "max_reject_pct", "max_change_pct"];

/// `--direction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Way {
    /// From the warehouse to the platform
    ToPlatform,
    /// From the platform to the warehouse
    ToWarehouse,
    /// Both ways
    Both,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::ToPlatform => Direction::ToPlatform,
            Way::ToWarehouse => Direction::ToWarehouse,
            Way::Both => Direction::Both,
        }
    }
}

/// The worse of two exit codes: 4, 1, 3, 0, in this order; a sync whose configuration is refused (2) is no better than
/// one with rejects and no worse than one that failed.
pub fn worse(a: u8, b: u8) -> u8 {
    let rank = |code: u8| match code {
        0 => 0,
        3 => 1,
        2 => 2,
        1 => 3,
        4 => 4,
        // 130 and 143: somebody ended it.
        _ => 5,
    };
    if rank(b) > rank(a) { b } else { a }
}

/// Runs syncs one after the other.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let signals = Signals::listen()?;
        let options = RunOptions {
            trigger: "manual".to_owned(),
            full: args.full,
            direction: args.direction.map(Direction::from),
            limit: args.limit,
            force_guards: args.force_guard.clone(),
            cancel: signals.cancel.clone(),
            shards: None,
        };
        let order = shop.order(&args.syncs).await?;
        if order.is_empty() {
            return Err(nothing_to_run(&shop).into());
        }
        if let Some(way) = options.direction {
            check_direction(&shop, &order, way)?;
        }
        let mut report = Report::new(&app.out);
        let mut code = 0;
        for name in &order {
            if options.cancel.is_cancelled() {
                break;
            }
            code = worse(code, one(&shop, &mut report, name, &options).await?);
        }
        report.finish()?;
        shop.sweep().await?;
        Ok(signals.exit_code().unwrap_or(code))
    })
}

fn nothing_to_run(shop: &Workshop) -> Error {
    if shop.project.syncs.is_empty() {
        Error::config("the project has no syncs yet").hint("write one as syncs/NAME.yaml; docs/config.md shows how")
    } else {
        Error::config("every sync has a connection that is switched off (`enabled: false`)")
            .hint("set `enabled: true` in a connection's file")
    }
}

fn check_direction(shop: &Workshop, order: &[String], way: Direction) -> Result<(), Failure> {
    let flows_not = |name: &&String| {
        let flows = shop.sync(name).map_or(Direction::Both, |sync| sync.direction);
        flows != Direction::Both && flows != way
    };
    match order.iter().find(flows_not) {
        Some(name) => Err(Error::config(format!("the sync {name} does not flow in the direction asked for"))
            .hint("leave --direction out, or name two-way syncs only")
            .into()),
        None => Ok(()),
    }
}

/// Runs one sync and reports it; its exit code. What stops this sync does not stop the next one.
pub async fn one(shop: &Workshop, report: &mut Report<'_>, name: &str, options: &RunOptions) -> Ending {
    let direction = shop.sync(name)?.direction;
    let ran = match shop.job(name).await {
        Ok(job) => shop.engine.run(&job, options).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    shop.watcher.done();
    match ran {
        Ok(run) => {
            report.run(&run, direction)?;
            Ok(run.status.exit_code())
        }
        Err(failure) => {
            report.failed(name, direction, &failure)?;
            Ok(failure.code)
        }
    }
}

/// Prints runs: JSON lines as they end, or one table at the end with the errors below.
pub struct Report<'a> {
    out: &'a Out,
    table: Table,
    errors: Vec<Error>,
}

impl<'a> Report<'a> {
    /// A report without runs.
    pub fn new(out: &'a Out) -> Self {
        Self { out, table: Table::new(RUN_HEADS), errors: Vec::new() }
    }

    /// A run that was recorded.
    pub fn run(&mut self, run: &RunRecord, direction: Direction) -> Result<(), Failure> {
        if self.out.json {
            self.out.json(&RunLine::new(run, Some(direction), now()))?;
        }
        self.table.row(run_row(run, now()));
        if let Some(error) = &run.error {
            let mut told = Error::internal(format!("{}: {}", run.sync, error.message));
            told.hint.clone_from(&error.hint);
            self.errors.push(told);
        }
        Ok(())
    }

    /// A run that could not be recorded.
    pub fn failed(&mut self, sync: &str, direction: Direction, failure: &Failure) -> Result<(), Failure> {
        if let (true, Some(first)) = (self.out.json, failure.errors.first()) {
            self.out.json(&not_started(sync, direction, first, now()))?;
        }
        self.errors.extend(failure.errors.iter().map(|error| error.clone().at(sync)));
        Ok(())
    }

    /// Prints what is left to print.
    pub fn finish(&self) -> Result<(), Failure> {
        if !self.out.json && !self.out.quiet && !self.table.is_empty() {
            for (number, line) in self.table.lines().iter().enumerate() {
                self.out.data(&if number == 0 { self.out.paint(Tint::Dim, line) } else { tinted(self.out, line) })?;
            }
        }
        self.errors.iter().for_each(|error| self.out.error(error));
        Ok(())
    }
}

/// Colours the status; the word itself says it too.
fn tinted(out: &Out, line: &str) -> String {
    for (word, tint) in [
        (" succeeded ", Tint::Green),
        (" partial ", Tint::Yellow),
        (" failed ", Tint::Red),
        (" cancelled ", Tint::Yellow),
        (" unbalanced ", Tint::Red),
    ] {
        if let Some(at) = line.find(word) {
            let end = at + word.len();
            return format!("{}{}{}", &line[..at], out.paint(tint, word), &line[end..]);
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::worse;

    #[test]
    fn the_worst_exit_code_wins() {
        assert_eq!([0, 3, 1, 0].into_iter().fold(0, worse), 1);
        assert_eq!([3, 4, 1].into_iter().fold(0, worse), 4);
        assert_eq!([0, 3, 0].into_iter().fold(0, worse), 3);
        assert_eq!([1, 143].into_iter().fold(0, worse), 143);
    }
}
