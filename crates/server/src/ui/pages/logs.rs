//! The logs of all runs in one list.

use axum::extract::{Query, State};
use maud::html;

use super::runs::{OfSync, sync_filter};
use crate::api::Api;
use crate::ui::parts::{at, empty, escaped, head, pager};
use crate::ui::visit::{Place, Shown, Visit};

/// Lines of a page: more than fit a screen, fewer than anybody reads.
const LINES: u32 = 100;

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Query(asked): Query<OfSync>) -> Shown {
    let lines = api.desk.logs(&asked.ask(Some(LINES))).await?;
    let body = html! {
        (head(&[], "Logs", html! { "What runs had to say, newest first. Each line leads to its run." }, html! {}))
        form.filters method="get" action="/logs" { (sync_filter(&visit, &asked.sync)) noscript { button { "Show" } } }
        section.card.flush id="list" data-live=[asked.after.is_none().then_some("4000")] {
            @if lines.items.is_empty() {
                (empty("No lines here", "Runs write a line where something is worth knowing: a retry, a takeover, a new column, what was read instead. Quiet runs have nothing to say.", html! { a.button href="/runs" { "Go to the runs" } }))
            } @else {
                div.scroll { table.cards {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Sync" } th scope="col" { "Line" } } }
                    tbody { @for line in &lines.items {
                        tr {
                            th scope="row" { a href={ "/runs/" (line.run) } { (at(&line.at)) } }
                            td data-label="Sync" { a href={ "/syncs/" (escaped(&line.sync)) } { (line.sync) } }
                            td data-label="Line" { span.wrap { (line.line) } }
                        }
                    } }
                } }
            }
            (pager("/logs", &[("sync", &asked.sync)], asked.after.as_deref(), lines.next.as_deref()))
        }
    };
    Ok(visit.page(Place::Logs, "Logs", &body))
}
