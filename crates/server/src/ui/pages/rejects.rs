//! Rejects: what cannot be delivered as it is, and why.

use axum::extract::{Query, State};
use maud::{Markup, html};

use super::runs::{OfSync, sync_filter};
use crate::access::Scope;
use crate::api::Api;
use crate::desk::RejectAnswer;
use crate::ui::parts::{Act, ago, empty, escaped, filter_box, head, link, pager, sentence, value};
use crate::ui::visit::{Place, Shown, Visit};

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Query(asked): Query<OfSync>) -> Shown {
    let rejects = api.desk.rejects(&asked.ask(None)).await?;
    let retry = format!("/syncs/{}/run", escaped(&asked.sync));
    let acts = html! {
        @if !rejects.items.is_empty() {
            a.button href=(link("/api/v1/rejects.csv", &[("sync", &asked.sync)])) download { "Export as CSV" }
            @if !asked.sync.is_empty() && visit.may(Scope::Run) {
                (Act { call: &retry, label: "Retry all of this sync", class: "main-act", fields: &[("retry", "true")], done: Some("A run that reads them again is queued."), ..Act::default() }.show(&visit))
            }
        }
    };
    let body = html! {
        (head(&[], "Rejects", html! { "Records, or fields of them, that cannot be delivered as they are. Mend the value at its source, then retry; a later run that delivers it closes it too." }, acts))
        form.filters method="get" action="/rejects" {
            (sync_filter(&visit, &asked.sync)) noscript { button { "Show" } }
            @if rejects.items.len() > 10 { (filter_box("rejects", "Find on this page")) }
        }
        section.card.flush id="list" data-live=[asked.after.is_none().then_some("5000")] {
            @if rejects.items.is_empty() {
                (empty("Nothing is rejected", "A value that does not fit its field (too long, no date, not one of the choices) is never cut or dropped in silence: it stands here with the rule that it breaks, and everything else goes on.", html! {}))
            } @else { (table(&visit, &rejects.items)) }
            (pager("/rejects", &[("sync", &asked.sync)], asked.after.as_deref(), rejects.next.as_deref()))
        }
    };
    Ok(visit.page(Place::Rejects, "Rejects", &body))
}

fn table(visit: &Visit, rejects: &[RejectAnswer]) -> Markup {
    html! {
        div.scroll { table.cards id="rejects" data-sorts {
            thead { tr {
                th scope="col" data-sort { "Record" } th scope="col" data-sort { "Sync" } th scope="col" data-sort { "Field" }
                th scope="col" data-sort { "Why" } th scope="col" { "Value" } th scope="col" data-sort { "Seen" } th scope="col" { span.hidden-text { "Actions" } }
            } }
            tbody { @for reject in rejects {
                tr {
                    th scope="row" { @if let Some(key) = &reject.key { a.wrap href=(link("/record", &[("sync", &reject.sync), ("key", key)])) { (key) } } @else { span.soft { "a row without a key" } } }
                    td data-label="Sync" { a href={ "/syncs/" (escaped(&reject.sync)) } { (reject.sync) } }
                    td data-label="Field" { @if let Some(field) = &reject.field { code { (field) } } @else { span.soft { "the whole record" } } }
                    td data-label="Why" { (sentence(&reject.reason)) br; code.soft.small { (reject.rule) } }
                    td data-label="Value" { @if reject.value.is_null() { span.soft { "–" } } @else { (value(&reject.value)) } }
                    td data-label="Seen" data-value=(reject.at) { a href={ "/runs/" (reject.run) } { (ago(&reject.at, visit.now)) } }
                    td { @if let (Some(key), true) = (&reject.key, visit.may(Scope::Run)) {
                        (Act { call: &format!("/syncs/{}/run", escaped(&reject.sync)), label: "Retry", class: "small", fields: &[("retry", "true"), ("key", key)], about: Some(key), done: Some("A run that reads it again is queued."), ..Act::default() }.show(visit))
                    } }
                }
            } }
        } }
    }
}
