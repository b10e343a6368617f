//! Settings: secrets, tokens, people, and who did what.

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use crate::access::Scope;
use crate::api::Api;
use crate::ui::parts::{Act, ago, back_field, empty, escaped, head, pager};
use crate::ui::visit::{Place, Shown, Visit};

/// Lines of the audit log on a page.
const AUDIT_LINES: u32 = 50;

/// Which part of the audit log.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    after: Option<i64>,
}

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Query(asked): Query<Asked>) -> Shown {
    let body = html! {
        (head(&[], "Settings", html! { "You are " strong { (visit.caller.who) } " and may " (allowed(&visit)) "." }, html! {}))
        section.card { h2 { "Project" }
            dl.facts {
                dt { "Name" } dd { (visit.project.name) } dt { "Time zone" } dd { (visit.project.timezone) } dt { "Version" } dd { (visit.project.version) }
                dt { "Files" } dd { @if visit.project.read_only { "read-only here: they are changed where they live" } @else { "can be changed here" } }
                @if !visit.project.egress_ips.is_empty() { dt { "Calls leave from" } dd { code { (visit.project.egress_ips.join(", ")) } } }
                @if !visit.project.env_allow.is_empty() { dt { "Environment" } dd { "connections made here may use " code { (visit.project.env_allow.join(", ")) } } }
            }
        }
        @if visit.may(Scope::Edit) { (secrets(&api, &visit).await?) }
        @if visit.may(Scope::Admin) { (tokens(&api, &visit).await?) (people(&api, &visit).await?) }
        @if visit.may(Scope::Edit) { (audit(&api, &visit, asked.after).await?) }
        @else { div.note.is-held { p { "Secrets, tokens and the audit log are shown to admins." } } }
    };
    Ok(visit.page(Place::Settings, "Settings", &body))
}

fn allowed(visit: &Visit) -> &'static str {
    match visit.caller.scope {
        Some(Scope::Admin) => "do everything",
        Some(Scope::Edit) => "look, run and edit",
        Some(Scope::Run) => "look and run",
        Some(Scope::Read) | None => "look",
    }
}

async fn secrets(api: &Api, visit: &Visit) -> tidegate_model::Result<Markup> {
    let all = api.desk.secrets().await?;
    Ok(html! {
        section.card.flush id="secrets" data-live="8000" { div.row { h2 { "Secrets" } }
            @if all.is_empty() { (empty("No secrets yet", "What is kept here is encrypted and never shown again. Settings of connections name it: secret:NAME.", html! {})) }
            @else { div.scroll { table.cards {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Set" } th scope="col" { "Used by" } th scope="col" { span.hidden-text { "Actions" } } } }
                tbody { @for secret in &all { tr {
                    th scope="row" { code { "secret:" (secret.name) } } td data-label="Set" { (ago(&secret.updated_at, visit.now)) } td data-label="Used by" { (secret.connections.join(", ")) }
                    td { (Act { call: &format!("/secrets/{}", escaped(&secret.name)), label: "Remove", class: "danger small", method: Some("DELETE"), about: Some(&secret.name), ask: Some("Connections that name this secret will not work without it. Remove it?"), done: Some("Removed."), ..Act::default() }.show(visit)) }
                } } }
            } } }
        }
        section.card { h2 { "Keep a secret" }
            form.filters method="post" action="/api/v1/secrets/{}" data-act data-method="PUT" data-done="Kept, encrypted." {
                (back_field(visit))
                div.slim { label for="secret-name" { "Name" } input id="secret-name" name="_name" data-path required pattern="[A-Za-z0-9_.\\-]+" autocomplete="off"; }
                div.slim { label for="secret-value" { "Value" } input id="secret-value" name="value" type="password" autocomplete="off" required; }
                button { "Keep it" }
            }
        }
    })
}

async fn tokens(api: &Api, visit: &Visit) -> tidegate_model::Result<Markup> {
    let all = api.access.store.tokens().await?;
    Ok(html! {
        section.card.flush id="tokens" data-live="8000" { div.row { h2 { "Tokens of the API" } }
            @if all.is_empty() { (empty("No tokens yet", "A program that calls the API carries a token: to look (read), to start and stop runs (run), or to change files and secrets (edit).", html! {})) }
            @else { div.scroll { table.cards {
                thead { tr { th scope="col" { "Name" } th scope="col" { "May" } th scope="col" { "Made" } th scope="col" { "Holds until" } th scope="col" { "Last used" } th scope="col" { span.hidden-text { "Actions" } } } }
                tbody { @for token in &all { tr {
                    th scope="row" { (token.name) } td data-label="May" { (token.scope) }
                    td data-label="Made" { (ago(&token.created_at.to_string(), visit.now)) " by " (token.created_by) }
                    td data-label="Holds until" { @if let Some(end) = token.expires_at { (ago(&end.to_string(), visit.now)) } @else { "it is removed" } }
                    td data-label="Last used" { @if let Some(used) = token.used_at { (ago(&used.to_string(), visit.now)) } @else { span.soft { "never" } } }
                    td { (Act { call: &format!("/tokens/{}", escaped(&token.name)), label: "Remove", class: "danger small", method: Some("DELETE"), about: Some(&token.name), ask: Some("Programs that carry this token will be refused. Remove it?"), done: Some("Removed."), ..Act::default() }.show(visit)) }
                } } }
            } } }
        }
        section.card { h2 { "Make a token" }
            form.filters method="post" action="/api/v1/tokens/{}" data-act data-method="PUT" data-shows="new-token" data-key="secret" {
                (back_field(visit))
                div.slim { label for="token-name" { "Name" } input id="token-name" name="_name" data-path required pattern="[A-Za-z0-9_.@+\\-]+" autocomplete="off"; }
                div.slim { label for="token-scope" { "May" } select id="token-scope" name="scope" { option value="read" { "read" } option value="run" { "run" } option value="edit" { "edit" } } }
                div.slim { label for="token-days" { "Days it holds" } input id="token-days" name="days" type="number" placeholder="for good" min="1" max="3650" data-skip-empty; }
                button { "Make it" }
            }
            div.note.is-ok id="new-token" hidden { p { "This is shown once. Copy it now." } div.row { code.value id="new-token-value" data-value {} button.small type="button" data-copies="new-token-value" { "Copy" } } }
        }
    })
}

async fn people(api: &Api, visit: &Visit) -> tidegate_model::Result<Markup> {
    let all = api.access.store.users().await?;
    Ok(html! {
        section.card.flush id="people" data-live="8000" { div.row { h2 { "People" } }
            @if all.is_empty() { (empty("Nobody has to sign in", "tidegate listens on this machine only, and whoever works on it may do everything. Once there is a person here, everybody signs in.", html! {})) }
            @else { div.scroll { table.cards {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Added" } th scope="col" { span.hidden-text { "Actions" } } } }
                tbody { @for user in &all { tr {
                    th scope="row" { (user.name) } td data-label="Role" { (user.role) } td data-label="Added" { (ago(&user.created_at.to_string(), visit.now)) }
                    td { (Act { call: &format!("/users/{}", escaped(&user.name)), label: "Remove", class: "danger small", method: Some("DELETE"), about: Some(&user.name), ask: Some("They are signed out everywhere. Remove them?"), done: Some("Removed."), ..Act::default() }.show(visit)) }
                } } }
            } } }
        }
        section.card { h2 { "Add somebody" }
            form.filters method="post" action="/api/v1/users/{}" data-act data-method="PUT" data-done="Added." {
                (back_field(visit))
                div.slim { label for="user-name" { "Name" } input id="user-name" name="_name" data-path required pattern="[A-Za-z0-9_.@+\\-]+" autocomplete="off"; }
                div.slim { label for="user-role" { "Role" } select id="user-role" name="role" { option value="viewer" { "viewer: looks" } option value="operator" { "operator: runs" } option value="admin" { "admin: everything" } } }
                div.slim { label for="user-password" { "Password" } input id="user-password" name="password" type="password" placeholder="12 characters or more" minlength="12" autocomplete="new-password" required; }
                button { "Add" }
            }
        }
    })
}

async fn audit(api: &Api, visit: &Visit, after: Option<i64>) -> tidegate_model::Result<Markup> {
    let lines = api.access.store.audit_lines(after, AUDIT_LINES).await?;
    let next = lines.last().filter(|_| lines.len() == AUDIT_LINES as usize).map(|line| line.id.to_string());
    let mark = after.map(|after| after.to_string());
    Ok(html! {
        section.card.flush id="audit" data-live=[after.is_none().then_some("8000")] { div.row { h2 { "Who did what" } }
            @if lines.is_empty() { (empty("Nothing was changed yet", "Every change that is made here or through the API leaves a line: who, what, when, and how it ended.", html! {})) }
            @else { div.scroll { table.cards {
                thead { tr { th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "To what" } th scope="col" { "How it ended" } } }
                tbody { @for line in &lines { tr {
                    td data-label="When" { (ago(&line.at.to_string(), visit.now)) } td data-label="Who" { (line.who) }
                    td data-label="What" { (line.action.replace('_', " ")) } td.wrap data-label="To what" { (line.target) @if line.detail != "{}" { " " code.soft.small { (line.detail) } } }
                    td data-label="How it ended" { (line.outcome) }
                } } }
            } } }
            (pager("/settings", &[], mark.as_deref(), next.as_deref()))
        }
    })
}
