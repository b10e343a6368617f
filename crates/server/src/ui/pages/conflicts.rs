//! Conflicts: both sides changed the same field, and somebody decides.

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::runs::sync_filter;
use crate::access::Scope;
use crate::api::Api;
use crate::desk::{ConflictAnswer, ConflictsAsk};
use crate::ui::parts::{Act, ago, back_field, empty, head, link, pager, value, value_text};
use crate::ui::visit::{Place, Shown, Visit};

/// Which conflicts.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    sync: String,
    #[serde(default)]
    all: bool,
    after: Option<String>,
}

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Query(asked): Query<Asked>) -> Shown {
    let sync = (!asked.sync.is_empty()).then(|| asked.sync.clone());
    let ask = ConflictsAsk { sync, open: !asked.all, limit: None, after: asked.after.clone() };
    let conflicts = api.desk.conflicts(&ask).await?;
    let all = if asked.all { "true" } else { "" };
    let open = if asked.all { "false" } else { "true" };
    let acts = html! {
        @if !conflicts.items.is_empty() {
            a.button href=(link("/api/v1/conflicts.csv", &[("sync", &asked.sync), ("open", open)])) download { "Export as CSV" }
        }
    };
    let body = html! {
        (head(&[], "Conflicts", html! { "Both sides changed the same field, each to something else. What you choose is written by the next run." }, acts))
        form.filters method="get" action="/conflicts" {
            (sync_filter(&visit, &asked.sync))
            div.slim { label for="all" { "State" }
                select id="all" name="all" data-submits { option value="false" { "Open" } option value="true" selected[asked.all] { "All, with those decided" } } }
            noscript { button { "Show" } }
        }
        div id="list" data-live="5000" {
            @if conflicts.items.is_empty() {
                div.card { (empty("No conflict is open", "When the warehouse and the platform change the same field between two runs, the rule of the field decides (conflict: warehouse, platform, newest). Under “hold” nothing is written, and the choice is yours: it then stands here.", html! {})) }
            } @else {
                div.stack { @for conflict in &conflicts.items { (card(&visit, conflict)) } }
            }
            (pager("/conflicts", &[("sync", &asked.sync), ("all", all)], asked.after.as_deref(), conflicts.next.as_deref()))
        }
    };
    Ok(visit.page(Place::Conflicts, "Conflicts", &body))
}

fn card(visit: &Visit, conflict: &ConflictAnswer) -> Markup {
    let field = conflict.field.as_deref();
    let about = format!("for {} of {}", field.unwrap_or("the record"), conflict.key);
    html! {
        article.card {
            div.row.apart {
                h2 { a href=(link("/record", &[("sync", &conflict.sync), ("key", &conflict.key)])) { (conflict.key) } " · " (field.unwrap_or("the record as a whole")) }
                span.soft.small { (conflict.sync) ", " (ago(&conflict.at, visit.now)) }
            }
            @if let Some(note) = &conflict.note { p.soft { (note) } }
            div.cols {
                (side(visit, conflict, "warehouse", &about))
                (side(visit, conflict, "platform", &about))
            }
            @if conflict.state == "open" && visit.may(Scope::Run) && field.is_some() { (other(visit, conflict)) }
            @else if conflict.state == "chosen" { p { span.state.is-running { "chosen" } " The next run writes it." } }
            @else if conflict.state == "decided" { p { span.state.is-ok { i aria-hidden="true" { "✓" } "decided" } } }
        }
    }
}

fn side(visit: &Visit, conflict: &ConflictAnswer, side: &str, about: &str) -> Markup {
    let shown = if side == "warehouse" { &conflict.warehouse } else { &conflict.platform };
    let won = conflict.winner.as_deref() == Some(side);
    let mut fields = vec![("sync", conflict.sync.as_str()), ("key", &conflict.key), ("use", side)];
    if let Some(field) = &conflict.field {
        fields.push(("field", field));
    }
    let label = if side == "warehouse" { "Use the warehouse’s" } else { "Use the platform’s" };
    html! {
        div {
            div.soft.small { "In the " (side) @if won { " · wins" } }
            p { (value(shown)) }
            @if conflict.state == "open" && visit.may(Scope::Run) {
                (Act { call: "/conflicts/resolve", label, fields: &fields, about: Some(about), done: Some("Chosen. The next run writes it."), ..Act::default() }.show(visit))
            }
        }
    }
}

fn other(visit: &Visit, conflict: &ConflictAnswer) -> Markup {
    let id = format!("value-{}-{}", conflict.key, conflict.field.as_deref().unwrap_or(""));
    html! {
        details { summary { "Something else" }
            form.filters method="post" action="/api/v1/conflicts/resolve" data-act data-done="Chosen. The next run writes it." {
                (back_field(visit))
                input type="hidden" name="sync" value=(conflict.sync); input type="hidden" name="key" value=(conflict.key);
                input type="hidden" name="use" value="value";
                @if let Some(field) = &conflict.field { input type="hidden" name="field" value=(field); }
                div.slim { label for=(id) { "Value for both sides" } input id=(id) name="value" value=(value_text(&conflict.warehouse)); }
                button { "Use this" }
            }
        }
    }
}
