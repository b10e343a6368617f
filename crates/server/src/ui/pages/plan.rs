//! What a run would do, before it does it.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use crate::access::Scope;
use crate::api::Api;
use crate::desk::{CountsAnswer, FieldChangeAnswer, PlanAnswer, PlanAsk, PlannedAnswer};
use crate::ui::parts::{Act, capital, empty, escaped, grouped, head, link, plural, value};
use crate::ui::visit::{Place, Shown, Visit};

/// Changes that a page lists.
const LISTED: u32 = 200;

/// How.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    full: bool,
}

/// The page.
pub(super) async fn page(
    State(api): State<Api>,
    visit: Visit,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Shown {
    let plan = api.desk.plan(&name, &PlanAsk { full: asked.full, limit: Some(LISTED) }).await?;
    let path = escaped(&name);
    let own = format!("/syncs/{path}");
    let run = format!("{own}/run");
    let full = if asked.full { "true" } else { "false" };
    let acts = html! {
        @if asked.full { a.button href={ (own) "/plan" } { "Plan only what changed" } } @else { a.button href={ (own) "/plan?full=true" } { "Plan a full run" } }
        @if visit.may(Scope::Run) {
            (Act { call: &run, label: "Run it", class: "main-act", fields: &[("full", full)], done: Some("The run is queued."), ..Act::default() }.show(&visit))
        }
    };
    let body = html! {
        (head(&[("/", "Overview"), (&own, &name)], "Plan", html! { "What a " @if asked.full { "full " } "run would do now. Nothing has been written." }, acts))
        (shown(&name, &plan))
    };
    Ok(visit.page(Place::Overview, &format!("Plan of {name}"), &body))
}

/// A plan: its sum, what would stop it, its changes.
pub(super) fn shown(sync: &str, plan: &PlanAnswer) -> Markup {
    html! {
        @for guard in &plan.guards { div.note.is-failed { h2 { "A guard would stop this run" } p { (guard) } } }
        @if plan.whole_columns { (columns(plan)) } @else { (records(sync, plan)) }
    }
}

/// Of a sync of columns there is no more to tell than what it reads, and what that costs.
fn columns(plan: &PlanAnswer) -> Markup {
    html! {
        div.note { h2 { "Whole columns are moved" }
            p { "Which rows are new only the run finds: it would be " (plan.based_on) "." }
            @if let Some(cost) = &plan.cost { p { (capital(cost)) "." } } }
    }
}

fn records(sync: &str, plan: &PlanAnswer) -> Markup {
    html! {
        (sums(&plan.counts))
        p.soft { (plural(plan.calls, "call", "calls"))
            @if plan.minutes >= 1.0 { ", at least " (format!("{:.0}", plan.minutes)) " minutes under the quota" }
            @if let Some(share) = plan.quota_share { ", " (format!("{:.1}", share * 100.0)) " % of the day's quota" }
            @if !plan.based_on.is_empty() { "; found by " (plan.based_on) } }
        @if let Some(cost) = &plan.cost { p.soft { (capital(cost)) "." } }
        section.card.flush {
            @if plan.changes.is_empty() { (empty("Nothing to do", "Both sides are as they should be.", html! {})) }
            @else { (changes(sync, &plan.changes)) }
            @if plan.total > plan.changes.len() as u64 { p.pager.soft { "The first " (plan.changes.len()) " of " (grouped(plan.total)) " changes." } }
        }
    }
}

fn sums(counts: &CountsAnswer) -> Markup {
    let all = [
        ("created", counts.created),
        ("updated", counts.updated),
        ("deleted", counts.deleted),
        ("unchanged", counts.unchanged),
        ("rejected", counts.rejected),
        ("held", counts.held),
    ];
    html! { dl.tiles { @for (what, many) in all { div.tile { dt { (what) } dd { (grouped(many)) } } } } }
}

/// Changes field by field.
pub(super) fn changes(sync: &str, all: &[PlannedAnswer]) -> Markup {
    html! {
        div.scroll { table.cards {
            thead { tr { th scope="col" { "Record" } th scope="col" { "What" } th scope="col" { "Where" } th scope="col" { "Fields" } } }
            tbody { @for change in all {
                tr {
                    th scope="row" { a.wrap href=(link("/record", &[("sync", sync), ("key", &change.key)])) { (change.key) } }
                    td data-label="What" { (change.action) }
                    td data-label="Where" { (change.side) }
                    td data-label="Fields" { @if let Some(why) = &change.why { p.soft.small { (why) } } (fields(&change.fields)) }
                }
            } }
        } }
    }
}

/// Old and new of each field.
pub(super) fn fields(all: &[FieldChangeAnswer]) -> Markup {
    html! {
        div.values { @for field in all {
            div.wrap { span.soft { (field.field) ": " }
                @if field.known { del { (value(&field.from)) } " → " } ins { (value(&field.to)) } }
        } }
    }
}
