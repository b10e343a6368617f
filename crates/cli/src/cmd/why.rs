//! `why SYNC KEY`

use serde_json::Value as Json;
use tidegate_engine::{Why, WhyField};
use tidegate_model::record::Key;
use tidegate_model::sync::Sync;

use crate::app::{App, Ending, block_on};
use crate::cmd::plan::{print, quoted};
use crate::out::{Out, Table, cell};
use crate::shape;
use crate::workshop::Workshop;

/// Which record.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate why companies C00001
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// The record's key
    #[arg(value_name = "KEY")]
    key: String,
}

/// One entry of a list as lines for a person.
type Lines = fn(&Json) -> Vec<String>;
/// One of a field's four values.
type ValueOf = fn(&WhyField) -> &Option<Json>;

/// Tells all about one record.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let job = shop.job(&args.sync).await?;
        let told = shop.engine.why(&job, &Key::new(args.key.as_str())).await;
        shop.watcher.done();
        let mut why = told?;
        for field in why.fields.iter_mut().filter(|field| shape::hides(&job.sync, &field.field)) {
            for value in
                [&mut field.warehouse, &mut field.warehouse_image, &mut field.platform, &mut field.platform_image]
            {
                *value = Some("***".into());
            }
        }
        if app.out.json {
            app.out.json(&shape::why(&job.sync, &why))?
        } else {
            tell(&app.out, &job.sync, &why)?
        }
        Ok(0)
    })
}

fn tell(out: &Out, sync: &Sync, why: &Why) -> tidegate_model::Result<()> {
    let remote = why.remote.as_ref().map_or_else(String::new, |id| format!(", on the platform {id}"));
    out.data(&format!("{} {} ({}{remote})", why.sync, why.key, why.link))?;
    out.data(&why.verdict)?;
    if !why.fields.is_empty() {
        out.data("")?;
        out.table(&values(&why.fields))?;
    }
    let parts: [(&str, &Vec<Json>, Lines); 3] = [
        ("last writes", &why.history, write_lines),
        ("rejects", &why.rejects, reject_lines),
        ("conflicts", &why.conflicts, conflict_lines),
    ];
    for (title, told, lines) in parts {
        if !told.is_empty() {
            out.data(&format!("\n{title}:"))?;
            told.iter().flat_map(lines).try_for_each(|line| out.data(&format!("  {line}")))?;
        }
    }
    if !why.next.is_empty() {
        out.data("\nthe next run would:")?;
        why.next.iter().try_for_each(|change| print(out, sync, change))?;
    }
    Ok(())
}

/// Fields and their values; a column that nothing is known of (a one-way sync does not read its target, a ledger of
/// fingerprints keeps no values) is left out.
fn values(fields: &[WhyField]) -> Table {
    let columns: [(&str, ValueOf); 4] = [
        ("warehouse now", |field| &field.warehouse),
        ("warehouse last", |field| &field.warehouse_image),
        ("platform now", |field| &field.platform),
        ("platform last", |field| &field.platform_image),
    ];
    let known: Vec<_> = columns.iter().filter(|(_, of)| fields.iter().any(|field| of(field).is_some())).collect();
    let heads: Vec<&str> = ["field", "direction"].into_iter().chain(known.iter().map(|(head, _)| *head)).collect();
    let mut table = Table::new(&heads);
    for field in fields {
        let shown = |value: &Option<Json>| value.as_ref().map_or_else(|| "-".to_owned(), cell);
        let mut row = vec![field.field.clone(), shape::direction(field.direction).to_owned()];
        row.extend(known.iter().map(|(_, of)| shown(of(field))));
        table.row(row);
    }
    table
}

fn word(of: &Json, name: &str) -> String {
    of.get(name).map(cell).unwrap_or_default()
}

/// A write: when, by which run, and each field as it was and became.
fn write_lines(write: &Json) -> Vec<String> {
    let on = if word(write, "side") == "platform" { "on the platform" } else { "in the warehouse" };
    let mut lines = vec![format!("{}  {} {on}, run {}", word(write, "at"), word(write, "effect"), word(write, "run"))];
    let before = write.get("before").and_then(Json::as_object);
    for (name, after) in write.get("after").and_then(Json::as_object).into_iter().flatten() {
        let from = before.and_then(|before| before.get(name)).map(|from| format!("{} → ", quoted(from)));
        lines.push(format!("        {name}: {}{}", from.unwrap_or_default(), quoted(after)));
    }
    lines
}

fn reject_lines(reject: &Json) -> Vec<String> {
    let field = reject.get("field").and_then(Json::as_str).map_or_else(String::new, |field| format!("{field}: "));
    let (rule, reason) = (word(reject, "rule"), word(reject, "reason"));
    vec![format!("{}  {field}{reason} [{rule}], run {}", word(reject, "at"), word(reject, "run"))]
}

fn conflict_lines(conflict: &Json) -> Vec<String> {
    let field = conflict.get("field").and_then(Json::as_str).unwrap_or("the record");
    let winner = conflict.get("winner").and_then(Json::as_str).map_or_else(String::new, |won| format!(", {won} won"));
    let (state, run) = (word(conflict, "state"), word(conflict, "run"));
    vec![format!("{}  {field}: {state}{winner}, run {run}", word(conflict, "at"))]
}
