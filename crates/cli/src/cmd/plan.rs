//! `plan SYNC [--full] [--out FILE]`

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tidegate_engine::{Job, PlanFile, PlanSink, PlanSummary, PlannedChange, RunOptions};
use tidegate_model::sync::Sync;
use tidegate_model::{Error, Result};

use crate::app::{App, Ending, block_on};
use crate::out::{Out, cell, count};
use crate::shape;
use crate::signals::Signals;
use crate::surroundings::now;
use crate::workshop::Workshop;

/// Changes that are spelled out for a person; `--json` prints all.
const SHOWN_MAX: u64 = 50;
/// The format of plan files.
const PLAN_VERSION: u32 = 1;

/// Why a plan has no counts.
const WHOLE_COLUMNS: &str = "whole columns are moved, and which rows are new only the run finds";

/// Which sync, and where to keep the plan.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate plan companies                      what would a run do?
  tidegate plan companies --out plan.json      keep it, look at it, then: tidegate apply plan.json
  tidegate plan companies --json | head        one line per change
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// As a full run would do it
    #[arg(long)]
    full: bool,
    /// Keep the plan in this file, for `apply` (readable by you alone)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints each change as it comes, and keeps them if there is a file to write.
struct Printer<'a> {
    out: &'a Out,
    sync: &'a Sync,
    shown: u64,
    all: u64,
    kept: Option<Vec<PlannedChange>>,
}

impl PlanSink for Printer<'_> {
    fn change(&mut self, change: PlannedChange) -> Result<()> {
        self.all += 1;
        if self.out.json {
            self.out.json(&shape::change(&shape::hidden(self.sync, &change)))?;
        } else if self.shown < SHOWN_MAX {
            self.shown += 1;
            print(self.out, self.sync, &change)?;
        }
        if let Some(kept) = &mut self.kept {
            kept.push(change);
        }
        Ok(())
    }
}

/// Plans and prints.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let signals = Signals::listen()?;
        let job = shop.job(&args.sync).await?;
        let options = RunOptions {
            trigger: "plan".to_owned(),
            full: args.full,
            cancel: signals.cancel.clone(),
            ..RunOptions::default()
        };
        let kept = args.out.as_ref().map(|_| Vec::new());
        let mut printer = Printer { out: &app.out, sync: &job.sync, shown: 0, all: 0, kept };
        let planned = shop.engine.plan(&job, &options, &mut printer).await;
        shop.watcher.done();
        if let Some(code) = signals.exit_code() {
            return Ok(code);
        }
        let summary = planned?;
        if summary.whole_columns && args.out.is_some() {
            return Err(Error::config(format!("{}: {WHOLE_COLUMNS}: there is no change to keep in a file", args.sync))
                .hint("leave `--out` away")
                .into());
        }
        if printer.all > printer.shown && !app.out.json {
            app.out.data(&format!("… and {} more; `--json` prints all", printer.all - printer.shown))?;
        }
        print_summary(&app.out, &args.sync, &summary)?;
        if let (Some(path), Some(changes)) = (&args.out, printer.kept) {
            write_file(path, &job, changes, summary)?;
            app.out.note(&format!("kept in {}; carry it out with `tidegate apply {0}`", path.display()));
        }
        Ok(0)
    })
}

/// One change for a person.
pub fn print(out: &Out, sync: &Sync, change: &PlannedChange) -> Result<()> {
    let change = shape::hidden(sync, change);
    let why = change.why.as_ref().map_or_else(String::new, |why| format!("  ({why})"));
    out.data(&format!("{:<7} {:<10} {}{why}", change.action, shape::side(change.side), change.key))?;
    for field in &change.fields {
        let to = field.to.as_ref().map_or_else(|| "∅".to_owned(), |value| quoted(&value.to_json()));
        let from = field.from.as_ref().map_or_else(|| "?".to_owned(), |value| quoted(&value.to_json()));
        let line = if change.action == "create" { to } else { format!("{from} → {to}") };
        out.data(&format!("          {}: {line}", field.field))?;
    }
    Ok(())
}

/// A value within a line of text.
pub fn quoted(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "∅".to_owned(),
        other => cell(other).chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
    }
}

/// What a plan adds up to.
pub fn print_summary(out: &Out, sync: &str, summary: &PlanSummary) -> Result<()> {
    if out.json {
        return out.json(&shape::summary(sync, summary));
    }
    if summary.whole_columns {
        out.data(&format!("{sync}: {WHOLE_COLUMNS}; nothing was written"))?;
        out.data(&format!("it would be {}", summary.based_on))?;
        return summary.cost().map_or(Ok(()), |cost| out.data(&cost));
    }
    let total = summary.books.total();
    out.data(&format!(
        "{sync}: {} to create, {} to update, {} to delete, {} unchanged, {} rejected, {} held, {}",
        total.created,
        total.updated,
        total.deleted,
        total.unchanged,
        total.rejected,
        total.held,
        count(total.conflicts, "conflict")
    ))?;
    let share =
        summary.quota_share.map_or_else(String::new, |share| format!(", {:.1} % of the day's quota", share * 100.0));
    let time = if summary.minutes < 1.0 {
        "less than a minute of waiting".to_owned()
    } else {
        format!("at least {:.0} minutes", summary.minutes)
    };
    out.data(&format!("{}, {time}{share}; nothing was written", count(summary.calls, "call")))?;
    if !summary.based_on.is_empty() {
        out.data(&format!("found by {}", summary.based_on))?;
    }
    if let Some(cost) = summary.cost() {
        out.data(&cost)?;
    }
    for guard in &summary.guards {
        out.data(&format!("guard: {guard} would stop the run"))?;
    }
    Ok(())
}

/// Writes a plan file that only its owner can read: it holds values of records.
fn write_file(path: &Path, job: &Job, changes: Vec<PlannedChange>, summary: PlanSummary) -> Result<()> {
    let plan = PlanFile {
        version: PLAN_VERSION,
        sync: job.sync.name.clone(),
        config_hash: job.config_hash.clone(),
        planned_at: now(),
        changes,
        summary,
    };
    let text =
        serde_json::to_string_pretty(&plan).map_err(|error| Error::internal("the plan has no text").cause(error))?;
    let trouble = |error: std::io::Error| {
        Error::new(crate::scratch::kind_of(&error), format!("cannot write the plan to {}", path.display()))
            .hint("name another file with --out")
            .cause(error)
    };
    // A file that is there already may be open to others; a new one never is.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(trouble(error)),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(trouble)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(trouble)
}
