//! The overview: the health of every sync, what ran last and what runs next.

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::connections::signed_in;
use super::runs::run_table;
use crate::access::Scope;
use crate::api::Api;
use crate::desk::{ConnectionAnswer, RunsAsk, SyncAnswer};
use crate::ui::parts::{Act, ago, badge, direction, empty, escaped, filter_box, grouped, head, health, link, plural};
use crate::ui::visit::{Place, Shown, Visit};

/// Runs that are shown below the syncs.
const LAST_RUNS: u32 = 8;
/// Above this a filter helps.
const FILTER_FROM: usize = 8;

/// Which syncs.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    health: String,
}

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Query(asked): Query<Asked>) -> Shown {
    if visit.syncs.is_empty() {
        let connections = api.desk.connections().await?.len();
        return Ok(visit.page(Place::Overview, "Overview", &first_steps(&visit, connections)));
    }
    let connections = api.desk.connections().await?;
    let runs = api.desk.runs(&RunsAsk { limit: Some(LAST_RUNS), ..RunsAsk::default() }).await?;
    let shown: Vec<&SyncAnswer> =
        visit.syncs.iter().filter(|sync| asked.health.is_empty() || sync.health == asked.health).collect();
    let acts = html! { @if visit.edits() { a.button.main-act href="/syncs/new" { "New sync" } } };
    let body = html! {
        (head(&[], "Overview", html! { (plural(visit.syncs.len() as u64, "sync", "syncs")) " between your warehouses and platforms" }, acts))
        (sign_ins(&visit, &connections))
        div id="tiles" data-live="4000" { (tiles(&visit.syncs)) }
        section.card.flush aria-labelledby="syncs-title" {
            div.row.apart {
                h2 id="syncs-title" { "Syncs" @if !asked.health.is_empty() { " · " (asked.health) " " a.small href="/" { "show all" } } }
                @if shown.len() >= FILTER_FROM { div.row { (filter_box("syncs", "Find a sync")) } }
            }
            div id="syncs-live" data-live="4000" {
                div.scroll { (table(&visit, &shown)) }
            }
        }
        section.card.flush aria-labelledby="runs-title" {
            div.row.apart { h2 id="runs-title" { "Last runs" } a href="/runs" { "All runs" } }
            div id="runs-live" data-live="4000" {
                @if runs.items.is_empty() {
                    (empty("Nothing has run yet", "A run reads what changed on one side and brings it to the other. Start one with “Run now”.", html! {}))
                } @else { (run_table(&visit, "last", &runs.items, true)) }
            }
        }
    };
    Ok(visit.page(Place::Overview, "Overview", &body))
}

/// Sign-ins that end soon, before they end.
fn sign_ins(visit: &Visit, connections: &[ConnectionAnswer]) -> Markup {
    let due = |one: &&ConnectionAnswer| one.sign_in.as_ref().is_some_and(|sign_in| sign_in.needs_a_person);
    html! {
        @for one in connections.iter().filter(due) {
            @if let Some(sign_in) = &one.sign_in {
                div.note.is-partial { p { a href={ "/connections/" (escaped(&one.connection)) } { (one.connection) } ": " (signed_in(visit, sign_in)) ". An admin signs in on its page." } }
            }
        }
    }
}

fn tiles(syncs: &[SyncAnswer]) -> Markup {
    let of = |health: &str| syncs.iter().filter(|sync| sync.health == health).count() as u64;
    let tile = |to: String, what: &str, many: u64, class: &str| {
        let class = if many > 0 { class } else { "" };
        html! { a class={ "tile " (class) } href=(to) { span.many { (grouped(many)) } span.what { (what) } } }
    };
    let conflicts = syncs.iter().map(|sync| sync.conflicts).sum();
    let rejects = syncs.iter().map(|sync| sync.rejects).sum();
    html! {
        div.tiles {
            (tile("/?health=healthy".to_owned(), "healthy", of("healthy"), "is-ok"))
            (tile("/?health=attention".to_owned(), "need a look", of("attention"), "is-partial"))
            (tile("/?health=failing".to_owned(), "failing", of("failing"), "is-failed"))
            (tile("/?health=running".to_owned(), "running", of("running"), ""))
            (tile("/conflicts".to_owned(), "open conflicts", conflicts, "is-partial"))
            (tile("/rejects".to_owned(), "open rejects", rejects, "is-partial"))
        }
    }
}

fn table(visit: &Visit, syncs: &[&SyncAnswer]) -> Markup {
    html! {
        table.cards id="syncs" data-sorts {
            thead { tr {
                th scope="col" data-sort { "Sync" } th scope="col" data-sort { "Health" } th scope="col" { "From and to" }
                th scope="col" data-sort { "Last run" } th scope="col" data-sort { "Next run" } th.num scope="col" data-sort { "Open" }
                th scope="col" { span.hidden-text { "Actions" } }
            } }
            tbody { @for sync in syncs { (row(visit, sync)) } }
        }
    }
}

fn row(visit: &Visit, sync: &SyncAnswer) -> Markup {
    let open = sync.conflicts + sync.rejects;
    let started = sync.last_run.as_ref().map_or("", |run| run.started_at.as_str());
    html! {
        tr {
            th scope="row" { a href={ "/syncs/" (escaped(&sync.sync)) } { (sync.sync) } }
            td data-label="Health" { (health(&sync.health)) }
            td data-label="From and to" { span.wrap { (sync.warehouse) " · " (sync.relation) " " (direction(&sync.direction)) " " (sync.platform) " · " (sync.model) } }
            td data-label="Last run" data-value=(started) {
                @if let Some(run) = &sync.last_run {
                    a href={ "/runs/" (run.run) } { (badge(&run.status)) } " " span.soft.small { (ago(&run.started_at, visit.now)) }
                } @else { span.soft { "never" } }
            }
            td data-label="Next run" data-value=[sync.next_at.as_deref()] { (next(visit, sync)) }
            td.num data-label="Open" data-value=(open) {
                @if sync.conflicts > 0 { a.nowrap href=(link("/conflicts", &[("sync", &sync.sync)])) { (plural(sync.conflicts, "conflict", "conflicts")) } br; }
                @if sync.rejects > 0 { a.nowrap href=(link("/rejects", &[("sync", &sync.sync)])) { (plural(sync.rejects, "reject", "rejects")) } }
                @if open == 0 { span.soft { "–" } }
            }
            td { @if visit.may(Scope::Run) { (run_now(visit, &sync.sync, sync.queued || sync.health == "running")) } }
        }
    }
}

/// When a sync runs next, or why not.
pub(super) fn next(visit: &Visit, sync: &SyncAnswer) -> Markup {
    html! {
        @if sync.queued { "waits for a worker" }
        @else if let Some(at) = &sync.next_at { (ago(at, visit.now)) }
        @else if let Some(why) = &sync.waits_text { span.soft.small { (why) } }
        @else { span.soft.small { "by hand only" } }
    }
}

fn run_now(visit: &Visit, sync: &str, busy: bool) -> Markup {
    if busy {
        return html! {};
    }
    let call = format!("/syncs/{}/run", escaped(sync));
    Act {
        call: &call,
        label: "Run now",
        class: "small",
        about: Some(sync),
        done: Some("The run is queued."),
        ..Act::default()
    }
    .show(visit)
}

fn first_steps(visit: &Visit, connections: usize) -> Markup {
    let step = |done: bool, title: &str, what: &str, to: &str, act: &str| {
        html! {
            section.card {
                h2 { @if done { "✓ " } (title) }
                p { (what) }
                @if visit.edits() { a class={ "button " (if done { "" } else { "main-act" }) } href=(to) { (act) } }
            }
        }
    };
    html! {
        (head(&[], "Welcome", html! { "Two steps to the first sync." }, html! {}))
        @if !visit.edits() { div.note.is-held { p { "You may look, but not change files here. Ask an admin, or edit the project's files where they live." } } }
        div.cols {
            (step(connections > 1, "Connect both sides", "A connection is one account on one system: a warehouse such as Postgres or Snowflake, a platform such as the built-in hub. Credentials are kept by reference and never written into files.", "/connections", "Go to connections"))
            (step(false, "Pair a relation with a model", "A sync pairs one table with one kind of record, says which column belongs to which field, and when it runs. You see what it would do before anything is written.", "/syncs/new", "Make a sync"))
        }
    }
}
