//! One run: live while it works, then its books, its log and what it wrote.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::plan::fields;
use crate::access::Scope;
use crate::api::Api;
use crate::desk::{CountsAnswer, ListAsk, LogLine, Page, RunAnswer, WriteAnswer};
use crate::ui::parts::{Act, ago, at, badge, duration, empty, escaped, grouped, head, link, pager, plural};
use crate::ui::visit::{Place, Shown, Visit};

/// Lines of the log that are shown at once.
const LOG_LINES: u32 = 500;
/// How often a run at work is looked at.
const LIVE_MS: &str = "1000";

/// Which part of the writes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    after: Option<String>,
    log: Option<String>,
}

/// The page.
pub(super) async fn page(
    State(api): State<Api>,
    visit: Visit,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Shown {
    let run = api.desk.run(&id).await?;
    let log = api.desk.log(&id, &ListAsk { limit: Some(LOG_LINES), after: asked.log.clone() }).await?;
    let writes = api.desk.writes(&id, &ListAsk { limit: None, after: asked.after.clone() }).await?;
    let works = run.status == "running";
    let live = if works { LIVE_MS } else { "" };
    let sync = format!("/syncs/{}", escaped(&run.sync));
    let lead = html! { "Run " code { (run.run) } ", " (run.mode) ", started by " (run.trigger) };
    let body = html! {
        (head(&[("/runs", "Runs"), (&sync, &run.sync)], &format!("Run of {}", run.sync), lead, html! {}))
        div id="now" data-live=(live) aria-live="polite" { (now(&visit, &run)) }
        div id="books" data-live=(live) { (books(&run)) }
        section.card { h2 { "Log" } div id="log" data-live=(live) { (log_part(&run.run, works, &log, asked.log.is_some())) } }
        section.card.flush id="writes" data-live=[asked.after.is_none().then_some(live)] { (writes_part(&run, &writes, asked.after.as_deref())) }
    };
    Ok(visit.page(Place::Runs, &format!("Run of {}", run.sync), &body))
}

fn now(visit: &Visit, run: &RunAnswer) -> Markup {
    let call = |what: &str| format!("/runs/{}/{what}", escaped(&run.run));
    let works = run.status == "running";
    let (cancel, undo) = (call("cancel"), call("undo"));
    let changed = run.counts.created + run.counts.updated + run.counts.deleted;
    html! {
        section.card {
            div.row.apart {
                div.row { (badge(&run.status)) span { (ago(&run.started_at, visit.now)) ", " (duration(run.duration_ms)) } }
                div.row {
                    @if works && visit.may(Scope::Run) {
                        (Act { call: &cancel, label: "Cancel", class: "danger", done: Some("It stops after the batch in hand."), ..Act::default() }.show(visit))
                    }
                    @if !works && changed > 0 && run.mode != "undo" && visit.may(Scope::Run) {
                        (Act { call: &undo, label: "Undo", class: "danger", done: Some("Undone; what somebody changed since was left alone."), ask: Some("This puts back what the run overwrote, where nobody changed it since, and pauses the sync. Undo it?"), ..Act::default() }.show(visit))
                    }
                }
            }
            @if works { progress aria-label="The run is at work" {} p.soft { (plural(run.counts.read, "row", "rows")) " read, " (plural(run.counts.sent, "change", "changes")) " sent, " (grouped(run.counts.acknowledged)) " acknowledged" } }
            @if let Some(error) = &run.error {
                div.note.is-failed { p { strong { (error.message) } } @if let Some(hint) = &error.hint { p { (hint) } } p.soft.small { "Code: " code { (error.code) } } }
            }
            @if run.status == "unbalanced" {
                div.note.is-unbalanced { p { "The books of this run do not balance: what was sent is not the sum of what came back. Nothing was guessed; the next run asks the target again." } }
            }
        }
    }
}

/// What the counts mean, in the order of the work.
fn lines(counts: &CountsAnswer) -> [(&'static str, &'static str, u64); 16] {
    [
        ("read", "rows that were looked at", counts.read),
        ("unchanged", "as they should be already", counts.unchanged),
        ("created", "new at the target", counts.created),
        ("updated", "changed at the target", counts.updated),
        ("deleted", "removed at the target", counts.deleted),
        ("rejected", "cannot be delivered as they are", counts.rejected),
        ("held", "wait for a decision or the other side", counts.held),
        ("unknown", "without an answer; looked up by the next run", counts.unknown),
        ("ahead", "left for a later run", counts.ahead),
        ("conflicts", "changed on both sides", counts.conflicts),
        ("dropped fields", "left out of their record", counts.dropped_fields),
        ("normalised", "stored by the target in its own form", counts.normalised),
        ("sent", "changes sent", counts.sent),
        ("acknowledged", "of these, taken", counts.acknowledged),
        ("refused", "of these, refused", counts.refused),
        ("requests", "calls made", counts.requests),
    ]
}

fn books(run: &RunAnswer) -> Markup {
    let sums = lines(&run.counts);
    let there = run.to_platform.as_ref().map(lines);
    let back = run.to_warehouse.as_ref().map(lines);
    let both = there.is_some() && back.is_some();
    let of = |side: &Option<[(&str, &str, u64); 16]>, row: usize| side.map(|lines| lines[row].2);
    html! {
        section.card.flush { div.row.apart { h2 { "Books" }
            div.row.small {
                @if run.counts.rejected > 0 { a href=(link("/rejects", &[("sync", &run.sync)])) { "Rejects" } }
                @if run.counts.conflicts > 0 { a href=(link("/conflicts", &[("sync", &run.sync)])) { "Conflicts" } }
                @if let Some(ms) = run.warehouse_ms { span.soft { "warehouse " (duration(i64::try_from(ms).unwrap_or(i64::MAX))) } }
                @if let Some(bytes) = run.bytes_billed { span.soft { (grouped(bytes)) " bytes billed" } }
            } }
            div.scroll tabindex="0" role="region" aria-label="Books" { table.cards {
                thead { tr { th scope="col" { "What" }
                    @if both { th.num scope="col" { "To platform" } th.num scope="col" { "To warehouse" } } th.num scope="col" { @if both { "Sum" } @else { "Records" } } } }
                tbody { @for (row, (what, meaning, many)) in sums.iter().enumerate() {
                    @if *many > 0 || row < 5 {
                        tr { th scope="row" { span.what-row { (what) } " " span.meaning.soft.small { (meaning) } }
                            @if both { td.num data-label="To platform" { (grouped(of(&there, row).unwrap_or(0))) } td.num data-label="To warehouse" { (grouped(of(&back, row).unwrap_or(0))) } }
                            td.num data-label=(if both { "Sum" } else { "Records" }) { (grouped(*many)) } }
                    }
                } }
            } }
        }
    }
}

fn log_part(run: &str, works: bool, log: &Page<LogLine>, later: bool) -> Markup {
    let path = format!("/runs/{}", escaped(run));
    html! {
        @if log.items.is_empty() { p.soft { @if later { "No more lines." } @else if works { "No lines yet." } @else { "It had nothing to say." } } }
        @else {
            pre.log tabindex="0" aria-label="Lines of the log" {
                @for line in &log.items { time datetime=(line.at) { (line.at.get(11..19).unwrap_or(&line.at)) } "  " (line.line) "\n" }
            }
            @if log.items.len() >= LOG_LINES as usize { @if let Some(next) = &log.next { p { a href=(link(&path, &[("log", next)])) { "Later lines" } } } }
        }
        @if later { p { a href=(path) { "From the start" } } }
    }
}

fn writes_part(run: &RunAnswer, writes: &Page<WriteAnswer>, after: Option<&str>) -> Markup {
    html! {
        div.row { h2 { "What it wrote" } }
        @if writes.items.is_empty() {
            (empty("Nothing to list", "Writes of records are listed field by field for as long as their before-images are kept. Events and rows that are appended are counted, not listed.", html! {}))
        } @else {
            div.scroll { table.cards {
                thead { tr { th scope="col" { "Record" } th scope="col" { "What" } th scope="col" { "Where" } th scope="col" { "When" } th scope="col" { "Fields" } } }
                tbody { @for write in &writes.items {
                    tr {
                        th scope="row" { a.wrap href=(link("/record", &[("sync", &run.sync), ("key", &write.key)])) { (write.key) } }
                        td data-label="What" { (write.action) } td data-label="Where" { (write.side) } td data-label="When" { (at(&write.at)) }
                        td data-label="Fields" { (fields(&write.fields)) }
                    }
                } }
            } }
            (pager(&format!("/runs/{}", escaped(&run.run)), &[], after, writes.next.as_deref()))
        }
    }
}
