//! `check [CONNECTION…] [SYNC…] [--rows]`

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tidegate_model::config::Side;
use tidegate_model::finding::{Finding, Severity};
use tidegate_model::ports::Need;
use tidegate_model::{Error, Result};

use crate::app::{App, Ending, Failure, block_on};
use crate::out::{Out, Tint, count};
use crate::workshop::Workshop;

/// What to check.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate check                           all connections and syncs
  tidegate check lake companies            this connection, this sync
  tidegate check companies --rows          and every row against the rules of its target
")]
pub struct Args {
    /// Connections and syncs by name; all, if none is named
    #[arg(value_name = "CONNECTION|SYNC")]
    names: Vec<String>,
    /// Read all rows and list what would be rejected
    #[arg(long)]
    rows: bool,
}

/// One finding in the frozen shape.
#[derive(Debug, Serialize)]
struct Line<'a> {
    connection: Option<&'a str>,
    sync: Option<&'a str>,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Rows with the same fault that are spelled out for a person; `--json` prints all.
const ROWS_SHOWN: u64 = 10;

struct Checker<'a> {
    out: &'a Out,
    rows: BTreeMap<(Option<String>, String), u64>,
    critical: u32,
    seen: BTreeSet<(Option<String>, Option<String>, String, String)>,
}

impl Checker<'_> {
    /// Prints a finding, once.
    fn tell(&mut self, connection: Option<&str>, sync: Option<&str>, finding: &Finding) -> Result<()> {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        let mark = (owned(connection), owned(sync), finding.finding.clone(), finding.why.clone());
        if !self.seen.insert(mark) {
            return Ok(());
        }
        if finding.severity == Severity::Critical {
            self.critical += 1;
        }
        if self.out.json {
            return self.out.json(&Line { connection, sync, finding });
        }
        if finding.finding.starts_with("row_") {
            let seen = self.rows.entry((owned(sync), finding.finding.clone())).or_default();
            *seen += 1;
            if *seen > ROWS_SHOWN {
                return Ok(());
            }
        }
        let (word, tint) = match finding.severity {
            Severity::Info => ("info", Tint::Dim),
            Severity::Warning => ("warning", Tint::Yellow),
            Severity::Critical => ("critical", Tint::Red),
        };
        let whose = sync.or(connection).unwrap_or("project");
        self.out.data(&format!("{:<8}  {whose}: {} [{}]", self.out.paint(tint, word), finding.why, finding.finding))?;
        finding.fix.lines().try_for_each(|line| self.out.data(&format!("          {line}")))
    }
}

impl Checker<'_> {
    /// How many rows were not spelled out.
    fn rows_left(&self) -> Result<()> {
        for ((sync, finding), rows) in self.rows.iter().filter(|(_, rows)| **rows > ROWS_SHOWN) {
            let (sync, more) = (sync.as_deref().unwrap_or("project"), count(*rows - ROWS_SHOWN, "row"));
            self.out.data(&format!("          … and {more} of {sync} like them [{finding}]; `--json` prints all"))?;
        }
        Ok(())
    }
}

/// Checks; exit code 1 if anything is critical.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let (connections, syncs) = chosen(&shop, &args.names)?;
        let mut checker = Checker { out: &app.out, rows: BTreeMap::new(), critical: 0, seen: BTreeSet::new() };
        for name in &connections {
            connection(&shop, &mut checker, name).await?;
        }
        let all = args.names.is_empty();
        for found in shop.findings(None).await {
            let about = match &found.sync {
                Some(name) => syncs.contains(name),
                None => all || found.connection.as_ref().is_some_and(|name| connections.contains(name)),
            };
            if about {
                let mut finding = found.finding;
                finding.why = format!("{}: {}", found.place, finding.why);
                checker.tell(found.connection.as_deref(), found.sync.as_deref(), &finding)?;
            }
        }
        for name in &syncs {
            sync(&shop, &mut checker, name, args.rows).await?;
        }
        if all {
            orphaned(&shop, &mut checker).await?;
        }
        checker.rows_left()?;
        if checker.seen.is_empty() {
            let looked = (count(connections.len() as u64, "connection"), count(syncs.len() as u64, "sync"));
            app.out.note(&format!("{} and {}: all is well", looked.0, looked.1));
        } else if checker.critical == 0 {
            app.out.note("nothing critical");
        }
        Ok(u8::from(checker.critical > 0))
    })
}

/// What the state keeps of syncs that the project has no more.
async fn orphaned(shop: &Workshop, checker: &mut Checker<'_>) -> Result<()> {
    for (name, linked) in super::reset::orphans(shop).await? {
        let why = format!(
            "orphaned state: the project has no such sync any more, the state keeps what it was at ({})",
            count(linked, "linked record")
        );
        let fix = format!("put the sync's file back, or `tidegate reset {name} --yes` to forget it");
        checker.tell(None, Some(&name), &Finding { fix, ..Finding::info("orphaned_state", why) })?;
    }
    Ok(())
}

/// The connections and syncs that were named; all of them, if none was.
fn chosen(shop: &Workshop, names: &[String]) -> Result<(Vec<String>, Vec<String>)> {
    let project = &shop.project;
    if names.is_empty() {
        return Ok((project.connections.keys().cloned().collect(), project.syncs.keys().cloned().collect()));
    }
    let (mut connections, mut syncs) = (Vec::new(), Vec::new());
    for name in names {
        match (project.connections.contains_key(name), project.syncs.contains_key(name)) {
            (false, false) => {
                let known = project.connections.keys().chain(project.syncs.keys()).map(String::as_str);
                return Err(crate::project::unknown("connection or sync", name, known));
            }
            (is_connection, is_sync) => {
                connections.extend(is_connection.then(|| name.clone()));
                syncs.extend(is_sync.then(|| name.clone()));
            }
        }
    }
    Ok((connections, syncs))
}

async fn connection(shop: &Workshop, checker: &mut Checker<'_>, name: &str) -> Result<()> {
    let connection = shop.connection(name)?;
    if !connection.enabled {
        let finding = Finding::info("switched_off", "`enabled: false`: no run of any kind touches it");
        return checker.tell(Some(name), None, &finding);
    }
    if !connection.available {
        return Ok(()); // the files' own check tells it
    }
    let found = match connection.side {
        Side::Warehouse => match shop.warehouse(name).await {
            Ok(warehouse) => warehouse.check(&[Need::Connect]).await,
            Err(error) => vec![of_error(&error)],
        },
        Side::Platform => match shop.platform(name).await {
            Ok(platform) => platform.check(&[Need::Connect]).await,
            Err(error) => vec![of_error(&error)],
        },
    };
    found.iter().try_for_each(|finding| checker.tell(Some(name), None, finding))
}

async fn sync(shop: &Workshop, checker: &mut Checker<'_>, name: &str, rows: bool) -> Result<(), Failure> {
    let spec = shop.sync(name)?;
    for side in [&spec.warehouse_connection, &spec.platform_connection] {
        if shop.project.connections.get(side).is_some_and(|connection| !connection.enabled || !connection.available) {
            return Ok(()); // told with the connection
        }
    }
    let found = match shop.job(name).await {
        Ok(job) => match shop.engine.check(&job, rows).await {
            Ok(found) => found,
            Err(error) => vec![of_error(&error)],
        },
        // What the files refuse has been told above; a side that cannot be opened, with its connection.
        Err(failure) if checker.critical > 0 && failure.code == 2 => Vec::new(),
        Err(failure) => failure.errors.iter().map(of_error).collect(),
    };
    shop.watcher.done();
    found.iter().try_for_each(|finding| checker.tell(None, Some(name), finding))?;
    Ok(())
}

fn of_error(error: &Error) -> Finding {
    Finding::critical(error.code(), error.to_string(), error.hint.clone().unwrap_or_default())
}
