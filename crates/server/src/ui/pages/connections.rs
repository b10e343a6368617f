//! All connections.

use axum::extract::State;
use maud::{Markup, html};

use crate::api::Api;
use crate::desk::{ConnectionAnswer, KindAnswer, SignInState};
use crate::ui::parts::{ago, empty, escaped, head, link};
use crate::ui::visit::{Place, Shown, Visit};

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit) -> Shown {
    let connections = api.desk.connections().await?;
    let kinds = api.desk.kinds().await?;
    let body = html! {
        (head(&[], "Connections", html! { "One account on one system each. Credentials are kept by reference, never in files." }, html! {}))
        section.card.flush id="list" data-live="5000" {
            @if connections.is_empty() {
                (empty("No connections yet", "A sync needs two: a warehouse that your data team owns, and a platform that works with customers. Begin below with either.", html! {}))
            } @else { (table(&visit, &connections)) }
        }
        @if visit.edits() { (add(&kinds)) }
    };
    Ok(visit.page(Place::Connections, "Connections", &body))
}

fn table(visit: &Visit, connections: &[ConnectionAnswer]) -> Markup {
    html! {
        div.scroll { table.cards data-sorts {
            thead { tr { th scope="col" data-sort { "Connection" } th scope="col" data-sort { "Type" } th scope="col" data-sort { "Last test" } th scope="col" { "May write" } th scope="col" { "Used by" } } }
            tbody { @for one in connections {
                tr {
                    th scope="row" { a href={ "/connections/" (escaped(&one.connection)) } { (one.connection) } @if !one.enabled { " " span.state { i aria-hidden="true" { "‖" } "off" } } }
                    td data-label="Type" { (one.kind) " " span.soft { (one.side) } @if !one.available { " " span.soft.small { "not in this build" } } }
                    td data-label="Last test" { (works(one)) " " @if let Some(at) = &one.checked_at { span.soft.small { (ago(at, visit.now)) } } @if let Some(sign_in) = &one.sign_in { br; (signed_in(visit, sign_in)) } }
                    td data-label="May write" { @if one.side == "platform" || one.access_write { "yes" } @else { span.soft { "reads only" } } }
                    td data-label="Used by" { @for (at, sync) in one.syncs.iter().enumerate() { @if at > 0 { ", " } a href={ "/syncs/" (escaped(sync)) } { (sync) } } @if one.syncs.is_empty() { span.soft { "no sync" } } }
                }
            } }
        } }
    }
}

/// What the last test found, in a word.
pub(super) fn works(one: &ConnectionAnswer) -> Markup {
    match one.works {
        Some(true) => html! { span.state.is-ok { i aria-hidden="true" { "✓" } "works" } },
        Some(false) => html! { span.state.is-failed { i aria-hidden="true" { "✕" } "does not work" } },
        None => html! { span.state { i aria-hidden="true" { "?" } "not tested" } },
    }
}

/// How a sign-in stands, in words.
pub(super) fn signed_in(visit: &Visit, sign_in: &SignInState) -> Markup {
    let class = if sign_in.needs_a_person { "state is-partial" } else { "state is-ok" };
    html! {
        span class=(class) {
            i aria-hidden="true" { @if sign_in.needs_a_person { "!" } @else { "✓" } }
            @match (sign_in.state.as_str(), &sign_in.until) {
                ("nobody", _) => "nobody has signed in",
                ("over", _) => "the sign-in is over",
                (_, Some(until)) => { "signed in; expires " (ago(until, visit.now)) },
                _ => "signed in",
            }
        }
    }
}

fn add(kinds: &[KindAnswer]) -> Markup {
    html! {
        section.card { h2 { "Add a connection" }
            div.cols {
                @for (side, title) in [("warehouse", "A warehouse"), ("platform", "A platform")] {
                    div { h3 { (title) }
                        div.row { @for kind in kinds.iter().filter(|kind| kind.side == side && kind.available) {
                            a.button href=(link("/connections/new", &[("kind", &kind.kind)])) { (kind.kind) }
                        } }
                        @let later: Vec<&str> = kinds.iter().filter(|kind| kind.side == side && !kind.available).map(|kind| kind.kind.as_str()).collect();
                        @if !later.is_empty() { p.soft.small { "Not in this build: " (later.join(", ")) } }
                    }
                }
            }
        }
    }
}
