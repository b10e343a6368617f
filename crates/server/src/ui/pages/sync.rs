//! One sync: its switches, how it went, its mapping.

use axum::extract::{Path, State};
use maud::{Markup, html};
use serde_json::Value as Json;

use super::overview::next;
use super::runs::run_table;
use crate::access::Scope;
use crate::api::Api;
use crate::desk::{RunAnswer, RunsAsk, SyncDetail};
use crate::ui::chart::{Bar, history};
use crate::ui::parts::{
    Act, ago, badge, direction, duration, empty, escaped, grouped, head, health, link, plural, sentence, value_text,
};
use crate::ui::visit::{Place, Shown, Visit};

/// Runs in the chart.
const HISTORY_RUNS: u32 = 60;
/// Runs in the table below it.
const TABLE_RUNS: usize = 10;

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Path(name): Path<String>) -> Shown {
    let detail = api.desk.sync(&name).await?;
    let runs = api
        .desk
        .runs(&RunsAsk { sync: Some(name.clone()), limit: Some(HISTORY_RUNS), ..RunsAsk::default() })
        .await?
        .items;
    let sync = &detail.sync;
    let path = escaped(&name);
    let lead = html! {
        (sync.warehouse) " · " (sync.relation) " " (direction(&sync.direction)) " " (sync.platform) " · " (sync.model)
    };
    let acts = html! {
        a.button href={ "/syncs/" (path) "/plan" } { "Plan" }
        a.button href={ "/syncs/" (path) "/edit" } { @if visit.edits() { "Edit" } @else { "Mapping" } }
    };
    let body = html! {
        (head(&[("/", "Overview")], &name, lead, acts))
        @for problem in &detail.problems { div.note.is-failed { p { (problem.message) " (" code { (problem.file) ":" (problem.line) } ")" } @if let Some(hint) = &problem.hint { p { (hint) } } } }
        div id="state" data-live="2500" { (now(&visit, &detail)) }
        section.card { h2 { "History" }
            div id="chart" data-live="5000" {
                @if runs.is_empty() { (empty("Nothing has run yet", "Each run will stand here as a bar: as high as what it changed, coloured by how it ended.", html! {})) }
                @else { (history(&bars(&runs), "records changed")) (legend()) }
            }
        }
        @if !runs.is_empty() {
            section.card.flush { div.row.apart { h2 { "Last runs" } a href=(link("/runs", &[("sync", &name)])) { "All runs of it" } }
                div id="runs" data-live="4000" { (run_table(&visit, "last", &runs[..runs.len().min(TABLE_RUNS)], false)) }
            }
        }
        section.card.flush { div.row { h2 { "Mapping" } } (mapping(&detail.settings)) }
        (record_search(&name))
    };
    Ok(visit.page(Place::Overview, &name, &body))
}

fn now(visit: &Visit, detail: &SyncDetail) -> Markup {
    let sync = &detail.sync;
    html! {
        div.cols {
            section.card { h2 { "Now" }
                dl.facts {
                    dt { "Health" } dd { (health(&sync.health)) }
                    dt { "Next run" } dd { (next(visit, sync)) @if sync.next_at.is_some() && sync.waits_text.is_some() { " " } }
                    dt { "Schedule" } dd { (sync.schedule.as_deref().unwrap_or("by hand only")) }
                    dt { "Last run" } dd { @if let Some(run) = &sync.last_run { a href={ "/runs/" (run.run) } { (badge(&run.status)) } " " (ago(&run.started_at, visit.now)) ", " (duration(run.duration_ms)) } @else { "never" } }
                    @if sync.failures > 1 { dt { "In a row" } dd { (plural(u64::from(sync.failures), "failure", "failures")) ": it waits longer each time" } }
                    dt { "Linked" } dd { (plural(detail.linked, "record", "records")) }
                    dt { "Open" } dd {
                        @if sync.conflicts == 0 && sync.rejects == 0 { "nothing" }
                        @if sync.conflicts > 0 { a href=(link("/conflicts", &[("sync", &sync.sync)])) { (plural(sync.conflicts, "conflict", "conflicts")) } }
                        @if sync.conflicts > 0 && sync.rejects > 0 { ", " }
                        @if sync.rejects > 0 { a href=(link("/rejects", &[("sync", &sync.sync)])) { (plural(sync.rejects, "reject", "rejects")) } }
                    }
                }
                @if let Some(why) = &sync.not_begun {
                    div.note.is-failed { p { "A run could not begin: " (why.get("message").map(value_text).unwrap_or_default()) } @if let Some(hint) = why.get("hint").filter(|hint| !hint.is_null()) { p { (value_text(hint)) } } }
                }
                @if let Some(error) = sync.last_run.as_ref().and_then(|run| run.error.as_ref()) {
                    div.note.is-failed { p { (sentence(&error.message)) } @if let Some(hint) = &error.hint { p { (sentence(hint)) } } }
                }
            }
            section.card { h2 { "Switches" } (switches(visit, detail)) }
        }
    }
}

fn switches(visit: &Visit, detail: &SyncDetail) -> Markup {
    let sync = &detail.sync;
    if !visit.may(Scope::Run) {
        return html! { p.soft { "Automation is " (if sync.automation { "on" } else { "off" }) ". You may look; starting runs needs the role operator." } };
    }
    let path = escaped(&sync.sync);
    let (run, automation) = (format!("/syncs/{path}/run"), format!("/syncs/{path}/automation"));
    let running = sync.last_run.as_ref().filter(|run| run.status == "running");
    html! {
        p { (Act { call: &automation, label: "Runs by itself", done: Some("The switch is turned."), ..Act::default() }.switch(visit, sync.automation)) }
        @if !detail.full_settled && sync.direction == "both" {
            p.soft.small { "A sync of both directions runs by itself once a full run has been settled." }
        }
        @if sync.paused {
            div.note.is-held { p { "It is paused: it does not run by itself until somebody resumes it." }
                (Act { call: &format!("/syncs/{path}/resume"), label: "Resume", done: Some("It goes on."), ..Act::default() }.show(visit)) }
        }
        div.row {
            @if let Some(run) = running {
                a.button.main-act href={ "/runs/" (run.run) } { "Watch the run" }
            } @else if sync.queued {
                span { "A run waits for a worker. " }
                (Act { call: &run, label: "Take it back", method: Some("DELETE"), done: Some("It waits no longer."), ..Act::default() }.show(visit))
            } @else {
                (Act { call: &run, label: "Run now", class: "main-act", done: Some("The run is queued."), ..Act::default() }.show(visit))
                (Act { call: &run, label: "Full sync", fields: &[("full", "true")], done: Some("A full run is queued."), ask: Some("A full run reads everything on both sides, whatever changed. On a large table it takes a while. Start it?"), ..Act::default() }.show(visit))
            }
            @if !sync.paused { (Act { call: &format!("/syncs/{path}/pause"), label: "Pause", done: Some("It is paused."), ..Act::default() }.show(visit)) }
        }
        @if sync.direction == "both" && running.is_none() && !sync.queued {
            details { summary { "One direction only" }
                div.row {
                    (Act { call: &run, label: "Full, to the platform", class: "small", fields: &[("full", "true"), ("direction", "to_platform")], done: Some("The run is queued."), ..Act::default() }.show(visit))
                    (Act { call: &run, label: "Full, to the warehouse", class: "small", fields: &[("full", "true"), ("direction", "to_warehouse")], done: Some("The run is queued."), ..Act::default() }.show(visit))
                }
            }
        }
    }
}

fn bars(runs: &[RunAnswer]) -> Vec<Bar> {
    let bar = |run: &RunAnswer| {
        let amount = run.counts.created + run.counts.updated + run.counts.deleted;
        let title = format!(
            "{}, {}: {} changed of {} read",
            run.started_at,
            run.status,
            grouped(amount),
            grouped(run.counts.read)
        );
        Bar { to: format!("/runs/{}", run.run), status: run.status.clone(), amount, title }
    };
    runs.iter().rev().map(bar).collect()
}

fn legend() -> Markup {
    html! { ul.legend { @for status in ["succeeded", "partial", "failed", "unbalanced", "cancelled"] { li { (badge(status)) } } } }
}

/// The mapping as a table, with every default filled in.
fn mapping(settings: &Json) -> Markup {
    let Some(fields) = settings.pointer("/fields/list").and_then(Json::as_array) else {
        return empty("All columns", "The fields follow the relation: every column has a field of its name.", html! {});
    };
    let rule = settings.get("conflict").map(value_text).unwrap_or_default();
    html! {
        div.scroll { table.cards {
            thead { tr { th scope="col" { "Warehouse" } th scope="col" { "Direction" } th scope="col" { "Platform" } th scope="col" { "Made to fit" } th scope="col" { "In a conflict" } } }
            tbody { @for field in fields {
                @let way = text(field, "direction").unwrap_or_default();
                tr {
                    td data-label="Warehouse" {
                        @if let Some(column) = field.pointer("/source/column") { code { (value_text(column)) } }
                        @else { span.soft { "always " } code { (field.pointer("/source/value").map(value_text).unwrap_or_default()) } }
                    }
                    td data-label="Direction" { (direction(&way)) }
                    td data-label="Platform" { code { (text(field, "platform").unwrap_or_default()) } }
                    td data-label="Made to fit" { (made_to_fit(field)) }
                    td data-label="In a conflict" { @if way == "both" { (text(field, "conflict").unwrap_or_else(|| rule.clone())) } @else { span.soft { "–" } } }
                }
            } }
        } }
    }
}

fn text(field: &Json, name: &str) -> Option<String> {
    field.get(name).filter(|value| !value.is_null()).map(value_text)
}

/// What becomes of a value on its way, in words.
fn made_to_fit(field: &Json) -> String {
    let steps = field.get("transform").and_then(Json::as_array).into_iter().flatten().map(value_text);
    let pairs = field.get("map").and_then(Json::as_object).into_iter().flatten();
    let pairs = pairs.map(|(from, to)| format!("{from} ⇒ {}", value_text(to)));
    let hint = text(field, "hint").map(|kind| format!("as {kind}"));
    let skips = text(field, "nulls").filter(|nulls| nulls == "skip").map(|_| "NULL says nothing".to_owned());
    steps.chain(pairs).chain(hint).chain(skips).collect::<Vec<_>>().join(", ")
}

fn record_search(sync: &str) -> Markup {
    html! {
        section.card { h2 { "Look up a record" }
            form.filters method="get" action="/record" {
                input type="hidden" name="sync" value=(sync);
                div.slim { label for="key" { "Key" } input id="key" name="key" required; }
                button { "Why is it as it is?" }
            }
        }
    }
}
