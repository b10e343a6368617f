//! The demo's course, told in plain words.

use std::collections::BTreeMap;
use std::path::Path;

use tidegate_engine::RunOptions;
use tidegate_model::run::RunRecord;

use super::{Lake, edits, lake as data};
use crate::app::Failure;
use crate::cmd::rejects::LISTED_MAX;
use crate::cmd::run::{Report, one, worse};
use crate::out::{Out, Table, cell};
use crate::shape;
use crate::workshop::Workshop;

/// Conflicts that are spelled out.
const CONFLICTS_SHOWN: usize = 7;

/// Tells the story, unless nobody wants to hear it.
struct Teller<'a> {
    /// Where to.
    out: &'a Out,
}

impl Teller<'_> {
    fn say(&self, line: &str) -> Result<(), Failure> {
        if !self.out.json && !self.out.quiet {
            self.out.data(line)?;
        }
        Ok(())
    }

    fn chapter(&self, title: &str) -> Result<(), Failure> {
        self.say("")?;
        self.say(&format!("── {title}"))
    }

    fn table(&self, table: &Table) -> Result<(), Failure> {
        if !self.out.json && !self.out.quiet {
            self.out.table(table)?;
        }
        Ok(())
    }
}

/// Runs the demo in a project made by [`super::make`]. The exit code is 0 if it went as it should: its rejects and
/// conflicts are part of the story.
pub async fn tell(out: &Out, shop: &Workshop, dir: &Path, lake: &Lake) -> Result<u8, Failure> {
    let teller = Teller { out };
    teller.chapter("A project")?;
    teller.say(&format!(
        "{}: a warehouse with {} companies, {} people and {} usage events (made up, with the dirt of real data),",
        dir.display(),
        data::COMPANIES,
        data::END_USERS,
        data::EVENTS
    ))?;
    teller.say(&format!(
        "an empty CRM (the embedded hub), and {} syncs: short files in syncs/.",
        shop.project.syncs.len()
    ))?;

    teller.chapter("First run: tidegate run")?;
    let first = run_all(out, shop).await?;

    teller.chapter("Then life goes on, on both sides")?;
    teller.say("In the warehouse: 20 companies renamed, a missing company found, invoices paid, 5000 new events.")?;
    teller.say("In the CRM: health scores given, a person renamed, a company created.")?;
    teller.say("On both: the phase of 4 companies and the position of 3 people, changed to different values.")?;
    lake.run(&edits::in_the_warehouse()).await?;
    let hub = shop.hub("crm")?;
    for (model, key, fields) in edits::in_the_crm() {
        let words: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        hub.set(model, &key, &words).await?;
    }

    teller.chapter("Second run: only what changed")?;
    let second = run_all(out, shop).await?;

    teller.chapter("Conflicts: tidegate conflicts")?;
    conflicts(&teller, shop).await?;
    teller.chapter("Rejects: tidegate rejects")?;
    rejects(&teller, shop).await?;
    teller.chapter("What happened")?;
    summary(&teller, &second)?;
    teller.chapter("Try next")?;
    for line in next(dir) {
        teller.say(&line)?;
    }
    Ok(if worse(first.0, second.0) == 3 { 0 } else { worse(first.0, second.0) })
}

async fn run_all(out: &Out, shop: &Workshop) -> Result<(u8, Vec<RunRecord>), Failure> {
    let options = RunOptions { trigger: "demo".to_owned(), ..RunOptions::default() };
    let mut report = Report::new(out);
    let mut code = 0;
    for name in shop.order(&[]).await? {
        code = worse(code, one(shop, &mut report, &name, &options).await?);
    }
    report.finish()?;
    let syncs = u32::try_from(shop.project.syncs.len()).unwrap_or(u32::MAX);
    Ok((code, shop.engine.memory.runs(None, syncs).await?))
}

async fn conflicts(teller: &Teller<'_>, shop: &Workshop) -> Result<(), Failure> {
    let listed = shop.engine.memory.conflicts(None, false, LISTED_MAX).await?;
    let names = ["sync", "key", "field", "warehouse", "platform", "winner", "state"];
    let mut table = Table::new(&names);
    for conflict in listed.iter().take(CONFLICTS_SHOWN) {
        let line = shape::conflict(conflict, &[]);
        table.row(names.iter().map(|name| line.get(name).map(cell).unwrap_or_default()).collect());
    }
    teller.table(&table)?;
    teller.say("Companies go by `conflict: warehouse`: it won. People go by `hold`: neither side is touched until")?;
    teller.say("somebody decides, and the other fields of the same person went on.")
}

async fn rejects(teller: &Teller<'_>, shop: &Workshop) -> Result<(), Failure> {
    let mut by_rule: BTreeMap<(String, String), (u64, String)> = BTreeMap::new();
    for listed in shop.engine.memory.rejects(None, LISTED_MAX).await? {
        let why = listed.reject.why;
        let entry = by_rule.entry((listed.sync, why.rule)).or_insert((0, why.reason));
        entry.0 += 1;
    }
    let mut table = Table::new(&["sync", "rule", "#rows", "for example"]);
    for ((sync, rule), (rows, reason)) in by_rule {
        table.row(vec![sync, rule, rows.to_string(), reason]);
    }
    teller.table(&table)?;
    teller.say("Each bad row is listed and retried; none stops the others, none is cut or guessed.")
}

fn summary(teller: &Teller<'_>, second: &(u8, Vec<RunRecord>)) -> Result<(), Failure> {
    let total = |name: &str| second.1.iter().find(|run| run.sync == name).map(|run| run.books);
    if let Some(books) = total("companies") {
        teller.say(&format!(
            "companies: {} written to the CRM, {} to the warehouse, {} conflicts; the books balance.",
            books.to_platform.sent,
            books.to_warehouse.sent,
            books.to_platform.conflicts + books.to_warehouse.conflicts
        ))?;
    }
    if let Some(books) = total("activities") {
        teller.say(&format!("activities: {} new events, each delivered once.", books.to_platform.created))?;
    }
    if let Some(books) = total("revenue") {
        teller.say(&format!(
            "revenue: {} of {} invoices were read again, because their cursor moved.",
            books.to_platform.read,
            data::INVOICES
        ))?;
    }
    Ok(())
}

fn next(dir: &Path) -> Vec<String> {
    let mut lines = vec![format!("  cd {}", dir.display())];
    lines.extend(
        [
            "tidegate run                             # nothing changed: nothing is written",
            "tidegate why endusers U000201            # all about a record that is held",
            "tidegate conflicts resolve endusers U000201 --field position --use platform && tidegate run endusers",
            "tidegate hub list company --where phase=Churning",
            "tidegate hub set company C00007 phase=Adoption && tidegate plan companies",
            "tidegate rejects licenses                # mend the rows in the warehouse, then: tidegate retry licenses",
            "tidegate runs companies                  # take a run's id, then: tidegate undo RUN",
            "tidegate serve                           # from now on by the schedules in syncs/",
        ]
        .map(|line| format!("  {line}")),
    );
    lines
}
