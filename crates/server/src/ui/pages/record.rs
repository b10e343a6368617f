//! One record: why it is as it is.

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value as Json;

use super::plan::changes;
use crate::access::Scope;
use crate::api::Api;
use crate::desk::{WhyAnswer, WhyFieldAnswer};
use crate::ui::parts::{Act, at, direction, empty, escaped, head, link, sentence, value, value_text};
use crate::ui::visit::{Place, Shown, Visit};

/// Which record.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    sync: String,
    #[serde(default)]
    key: String,
}

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Query(asked): Query<Asked>) -> Shown {
    let why = api.desk.why(&asked.sync, &asked.key).await?;
    let own = format!("/syncs/{}", escaped(&asked.sync));
    let lead = html! { "A record of " a href=(own) { (why.sync) } @if let Some(remote) = &why.remote { ", on the platform " code { (remote) } } };
    let run = format!("{own}/run");
    let acts = html! {
        @if !why.conflicts.is_empty() { a.button.main-act[why.rejects.is_empty()] href=(link("/conflicts", &[("sync", &why.sync)])) { "Decide the conflict" } }
        @if !why.rejects.is_empty() && visit.may(Scope::Run) {
        (Act { call: &run, label: "Retry it", class: "main-act", fields: &[("retry", "true"), ("key", &why.key)], done: Some("A run that reads it again is queued."), ..Act::default() }.show(&visit))
    } };
    let body = html! {
        (head(&[("/", "Overview"), (&own, &why.sync)], &why.key, lead, acts))
        div class=(if why.rejects.is_empty() && why.conflicts.is_empty() { "note is-ok" } else { "note is-partial" }) { p { strong { (sentence(&why.verdict)) } } p.soft { "Link: " (link_words(&why.link)) } }
        (sides(&why))
        @for (title, list) in [("Open rejects", &why.rejects), ("Open conflicts", &why.conflicts)] {
            @if !list.is_empty() { section.card { h2 { (title) } @for entry in list { (object(entry)) } } }
        }
        section.card.flush { div.row { h2 { "What the next run would do" } }
            @if why.next.is_empty() { (empty("Nothing", "Both sides are as they should be, or nothing may be written.", html! {})) } @else { (changes(&why.sync, &why.next)) }
        }
        section.card { h2 { "Last writes" }
            @if why.history.is_empty() { p.soft { "None is kept." } }
            @for entry in &why.history { (object(entry)) }
        }
    };
    Ok(visit.page(Place::Overview, &format!("{} of {}", why.key, why.sync), &body))
}

fn link_words(link: &str) -> &str {
    match link {
        "linked" => "the two belong together",
        "new" => "not linked yet",
        "gone_warehouse" => "gone in the warehouse",
        "gone_platform" => "gone on the platform",
        other => other,
    }
}

fn sides(why: &WhyAnswer) -> Markup {
    let cell =
        |of: &Option<Json>| html! { @match of { Some(known) => (value(known)), None => span.soft { "not known" } } };
    let differs = |field: &WhyFieldAnswer| {
        field.warehouse.is_some() && field.platform.is_some() && field.warehouse != field.platform
    };
    html! {
        section.card.flush { div.row { h2 { "Field by field" } }
            @if why.fields.is_empty() { (empty("Nothing is known of it", "Neither side has a record of this key, and none was linked.", html! {})) } @else {
                div.scroll { table.cards {
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Warehouse now" } th scope="col" { "as last seen" } th scope="col" { span.hidden-text { "Direction" } } th scope="col" { "Platform now" } th scope="col" { "as last seen" } } }
                    tbody { @for field in &why.fields {
                        tr {
                            th scope="row" { (field.field) @if differs(field) { " " span.state.is-partial { i aria-hidden="true" { "≠" } "differs" } } }
                            td data-label="Warehouse now" { (cell(&field.warehouse)) } td.soft data-label="as last seen" { (cell(&field.warehouse_image)) }
                            td data-label="Direction" { (direction(&field.direction)) }
                            td data-label="Platform now" { (cell(&field.platform)) } td.soft data-label="as last seen" { (cell(&field.platform_image)) }
                        }
                    } }
                } }
            }
        }
    }
}

/// An object as a list of its entries.
fn object(entry: &Json) -> Markup {
    let Some(map) = entry.as_object() else { return html! { p { (value(entry)) } } };
    html! {
        div.card { dl.facts {
            @for (name, of) in map.iter().filter(|(_, of)| !of.is_null()) {
                dt { (name.replace('_', " ")) }
                dd { @if name == "at" { (at(&value_text(of))) } @else if name == "run" { a href={ "/runs/" (value_text(of)) } { code { (value_text(of)) } } } @else if let Some(inner) = of.as_object() {
                    @for (field, change) in inner { div { span.soft { (field) ": " } span.value { (value_text(change)) } } }
                } @else { (value(of)) } }
            }
        } }
    }
}
