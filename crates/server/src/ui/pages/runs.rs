//! All runs, each with its log behind it.

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use crate::api::Api;
use crate::desk::{OfSyncAsk, RunAnswer, RunsAsk};
use crate::ui::parts::{ago, badge, duration, empty, escaped, grouped, head, pager};
use crate::ui::visit::{Place, Shown, Visit};

/// The words of the contract, in the order in which people look for them.
const STATUSES: [&str; 6] = ["running", "succeeded", "partial", "failed", "cancelled", "unbalanced"];

/// Which runs.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    sync: String,
    #[serde(default)]
    status: String,
    after: Option<String>,
}

/// Of which sync, and from where on: how a list of one or all is asked for in the address of its page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OfSync {
    #[serde(default)]
    pub(super) sync: String,
    pub(super) after: Option<String>,
}

impl OfSync {
    /// As the desk takes it.
    pub(super) fn ask(&self, limit: Option<u32>) -> OfSyncAsk {
        OfSyncAsk { sync: given(&self.sync), limit, after: self.after.clone() }
    }
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Query(asked): Query<Asked>) -> Shown {
    let ask =
        RunsAsk { sync: given(&asked.sync), status: given(&asked.status), limit: None, after: asked.after.clone() };
    let runs = api.desk.runs(&ask).await?;
    let pairs = [("sync", asked.sync.as_str()), ("status", asked.status.as_str())];
    let body = html! {
        (head(&[], "Runs", html! { "Every run with its books and its log, newest first." }, html! {}))
        form.filters method="get" action="/runs" {
            (sync_filter(&visit, &asked.sync))
            div.slim { label for="status" { "Ended as" }
                select id="status" name="status" data-submits {
                    option value="" { "Anything" }
                    @for status in STATUSES { option value=(status) selected[status == asked.status] { (status) } }
                }
            }
            noscript { button { "Show" } }
        }
        section.card.flush id="list" data-live=[asked.after.is_none().then_some("4000")] {
            @if runs.items.is_empty() {
                (empty("No runs here", "A run reads what changed on one side of a sync and brings it to the other. With another filter there may be some.", html! { a.button href="/" { "Go to the syncs" } }))
            } @else { (run_table(&visit, "runs", &runs.items, true)) }
            (pager("/runs", &pairs, asked.after.as_deref(), runs.next.as_deref()))
        }
    };
    Ok(visit.page(Place::Runs, "Runs", &body))
}

/// A choice of one sync or all.
pub(super) fn sync_filter(visit: &Visit, chosen: &str) -> Markup {
    html! {
        div.slim { label for="sync" { "Sync" }
            select id="sync" name="sync" data-submits {
                option value="" { "All syncs" }
                @for sync in &visit.syncs { option value=(sync.sync) selected[sync.sync == chosen] { (sync.sync) } }
            }
        }
    }
}

/// A table of runs.
pub(super) fn run_table(visit: &Visit, id: &str, runs: &[RunAnswer], named: bool) -> Markup {
    let number = |many: u64| html! { @if many == 0 { span.soft { "–" } } @else { (grouped(many)) } };
    html! {
        div.scroll {
            table.cards id=(id) data-sorts {
                thead { tr {
                    th scope="col" data-sort { "Run" }
                    @if named { th scope="col" data-sort { "Sync" } }
                    th scope="col" data-sort { "Started" } th.num scope="col" data-sort { "Took" }
                    th.num scope="col" data-sort { "Read" } th.num scope="col" data-sort { "Created" } th.num scope="col" data-sort { "Updated" }
                    th.num scope="col" data-sort { "Deleted" } th.num scope="col" data-sort { "Rejected" } th.num scope="col" data-sort { "Conflicts" }
                } }
                tbody {
                    @for run in runs {
                        tr {
                            th.nowrap scope="row" { a href={ "/runs/" (run.run) } { (badge(&run.status)) span.hidden-text { " run of " (run.sync) } } " " span.soft.small { (run.mode) } }
                            @if named { td data-label="Sync" { a href={ "/syncs/" (escaped(&run.sync)) } { (run.sync) } } }
                            td data-label="Started" data-value=(run.started_at) { (ago(&run.started_at, visit.now)) }
                            td.num data-label="Took" data-value=(run.duration_ms) { span.nowrap { (duration(run.duration_ms)) } }
                            td.num data-label="Read" data-value=(run.counts.read) { (number(run.counts.read)) }
                            td.num data-label="Created" data-value=(run.counts.created) { (number(run.counts.created)) }
                            td.num data-label="Updated" data-value=(run.counts.updated) { (number(run.counts.updated)) }
                            td.num data-label="Deleted" data-value=(run.counts.deleted) { (number(run.counts.deleted)) }
                            td.num data-label="Rejected" data-value=(run.counts.rejected) { (number(run.counts.rejected)) }
                            td.num data-label="Conflicts" data-value=(run.counts.conflicts) { (number(run.counts.conflicts)) }
                        }
                    }
                }
            }
        }
    }
}
