//! One connection: its test, its switches, its settings.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tidegate_model::{Error, ErrorKind, Result};

use super::connections::{signed_in, works};
use super::editor::{diff, form_pairs, problems, save_form};
use crate::access::Scope;
use crate::api::Api;
use crate::desk::{ConnectionDetail, FileName, FindingAnswer, KindAnswer, ProblemAnswer, SetupAsk};
use crate::ui::parts::{Act, Settings, ago, back_field, escaped, flat, head, read_settings, schema_fields, severity};
use crate::ui::visit::{Failed, Place, Shown, Visit};
use crate::ui::yaml::{self, Step};

/// Keys that all connections have and that the form shows besides those of the type.
const COMMON: [&str; 2] = ["access", "work_schema"];

/// Which type.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    kind: String,
}

fn kind_of(kinds: Vec<KindAnswer>, wanted: &str) -> Result<KindAnswer> {
    let found = kinds.into_iter().find(|kind| kind.kind == wanted);
    found.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("there is no connection type `{wanted}`"))
            .hint("choose one on the page of connections")
    })
}

/// The page of one.
pub(super) async fn page(
    State(api): State<Api>,
    visit: Visit,
    Path(name): Path<String>,
    Query(mut ask): Query<SetupAsk>,
    headers: axum::http::HeaderMap,
) -> Shown {
    let detail = api.desk.connection(&name).await?;
    let kind = kind_of(api.desk.kinds().await?, &detail.connection.kind)?;
    let redirect = api.desk.redirect_uri(&super::authenticate::here(&api, &headers)).await?;
    // What the browser's address is, the project need not say.
    ask.redirect_uri = ask.redirect_uri.filter(|uri| !uri.trim().is_empty()).or_else(|| Some(redirect.clone()));
    let body = html! {
        (whole(&visit, &name, &detail, &kind, &given(&detail), html! {}))
        (sign_in(&visit, &detail, &redirect))
        (set_up(&detail, &ask, api.desk.setup(&name, &ask).await))
    };
    Ok(visit.page(Place::Connections, &name, &body))
}

/// Where a person signs in to it, if one does.
fn sign_in(visit: &Visit, detail: &ConnectionDetail, redirect: &str) -> Markup {
    if !by_oauth(detail) || !visit.may(Scope::Edit) {
        return html! {};
    }
    html! {
        section.card id="sign-in" { h2 { "Sign in" }
            @if let Some(state) = &detail.connection.sign_in { p { (signed_in(visit, state)) } }
            p { "tidegate works there as a person who has signed in. The client there has to know this address, to the letter:" }
            div.row { code.value id="redirect" { (redirect) } button.small type="button" data-copies="redirect" { "Copy" span.hidden-text { " the redirect address" } } }
            p {}
            a.button.main-act href={ "/connections/" (escaped(&detail.connection.connection)) "/authenticate" } { "Authenticate now" }
        }
    }
}

fn by_oauth(detail: &ConnectionDetail) -> bool {
    detail.settings.pointer("/auth/method").and_then(Json::as_str) == Some("oauth")
}

/// What sets it up, with what it was made of; or what is still to be said, and why.
fn set_up(detail: &ConnectionDetail, ask: &SetupAsk, made: Result<Option<String>>) -> Markup {
    if matches!(made, Ok(None)) {
        return html! {};
    }
    html! {
        section.card id="set-up" {
            div.row.apart { h2 { "Set it up on the other side" } @if made.is_ok() { button.small type="button" data-copies="setup" { "Copy" span.hidden-text { " the SQL" } } } }
            @if by_oauth(detail) && detail.connection.kind == "snowflake" { (still_to_say(detail, ask)) }
            @match made {
                Ok(sql) => {
                    p.soft { "For an administrator to read and run. Nothing of it was run by tidegate." }
                    pre id="setup" tabindex="0" aria-label="SQL that sets it up" { (sql.unwrap_or_default()) }
                },
                Err(error) => (refused(&error)),
            }
        }
    }
}

/// A person signs in there: who, and where the browser comes back to, stands in no file.
fn still_to_say(detail: &ConnectionDetail, ask: &SetupAsk) -> Markup {
    let value = |given: &Option<String>| given.clone().unwrap_or_default();
    html! {
        form.filters method="get" action={ "/connections/" (escaped(&detail.connection.connection)) "#set-up" } {
            div { label for="set-up-email" { "Who signs in (an address)" } input id="set-up-email" name="email" type="email" value=(value(&ask.email)); }
            div { label for="set-up-redirect-uri" { "Where the browser comes back to" } input id="set-up-redirect-uri" name="redirect_uri" value=(value(&ask.redirect_uri)); }
            div { label for="set-up-schema" { "Schema to read, if no sync says it" } input id="set-up-schema" name="schema" value=(value(&ask.schema)); }
            button { "Show the SQL" }
        }
    }
}

fn given(detail: &ConnectionDetail) -> Settings {
    let mut given = flat(&detail.settings);
    if detail.connection.access_write {
        given.insert("access".to_owned(), "write".to_owned());
    }
    given
}

fn whole(
    visit: &Visit,
    name: &str,
    detail: &ConnectionDetail,
    kind: &KindAnswer,
    given: &Settings,
    draft: Markup,
) -> Markup {
    let one = &detail.connection;
    let path = escaped(name);
    let check = format!("/connections/{path}/check");
    let lead = html! { (one.kind) ", a " (one.side) " · " span id="works" data-live="4000" { (works(one)) @if let Some(at) = &one.checked_at { " " (ago(at, visit.now)) } } };
    let acts = html! { @if visit.may(Scope::Run) { (Act { call: &check, label: "Test it", class: "main-act", done: Some("Tested."), ..Act::default() }.show(visit)) } };
    html! {
        (head(&[("/connections", "Connections")], name, lead, acts))
        (draft)
        section.card id="findings" data-live="4000" { h2 { "What the last test found" } (findings(&detail.findings, one.checked_at.is_some())) }
        @if visit.may(Scope::Run) { (switches(visit, detail)) }
        section.card { h2 { "Settings" } p.soft.small { "In " code { (detail.file) } @if visit.edits() { "; comments and order stay as they are." } @else { ". They can be looked at, not changed, here." } }
            @if visit.edits() {
                form method="post" action={ "/connections/" (path) } { (settings_form(visit, kind, given)) button.main-act name="step" value="look" { "Check the change" } }
            } @else {
                dl.facts { @for (path, value) in given.iter().filter(|(path, _)| !given.keys().any(|other| other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.')))) { dt { (path) } dd { code { (value) } } } }
            }
        }
    }
}

fn findings(all: &[FindingAnswer], tested: bool) -> Markup {
    html! {
        @if all.is_empty() { p.soft { @if tested { "Nothing to mend." } @else { "It was not tested since the start. “Test it” signs in, and looks whether everything that its syncs need is there." } } }
        @for (at, found) in all.iter().enumerate() {
            div class=(match found.severity.as_str() { "critical" => "note is-failed", "warning" => "note is-partial", _ => "note is-ok" }) {
                p { (severity(&found.severity)) " " (found.why) }
                @if !found.fix.is_empty() {
                    div.row { pre id={ "fix-" (at) } tabindex="0" aria-label="What mends it" { (found.fix) } button.small type="button" data-copies={ "fix-" (at) } { "Copy" span.hidden-text { " the fix" } } }
                }
            }
        }
    }
}

fn switches(visit: &Visit, detail: &ConnectionDetail) -> Markup {
    let one = &detail.connection;
    let call = |what: &str| format!("/connections/{}/{what}", escaped(&one.connection));
    let (enabled, automation, full) = (call("enabled"), call("automation"), call("full-sync"));
    html! {
        section.card id="switches" data-live="4000" { h2 { "Switches" }
            p { (Act { call: &enabled, label: "In use (off: no run of any kind touches it)", done: Some("The switch is turned."), ..Act::default() }.switch(visit, one.enabled)) }
            p { (Act { call: &automation, label: "Its syncs run by themselves", done: Some("The switch is turned."), ..Act::default() }.switch(visit, one.automation)) }
            @if !one.syncs.is_empty() {
                (Act { call: &full, label: "Full sync of all its syncs", done: Some("Full runs are queued, in the order of references."), ask: Some("A full run of each sync of this connection reads everything on both sides. Start them?"), ..Act::default() }.show(visit))
            }
        }
    }
}

fn settings_form(visit: &Visit, kind: &KindAnswer, given: &Settings) -> Markup {
    let value = |name: &str| given.get(name).map_or("", String::as_str);
    html! {
        (back_field(visit))
        input type="hidden" name="step" value="show";
        (schema_fields(&kind.schema, &kind.schema, "", given))
        @if kind.side == "warehouse" {
            div.field { label for="access" { "access" }
                select id="access" name="access" { option value="" { "read: tidegate never writes here" } option value="write" selected[value("access") == "write"] { "write: syncs may write here" } }
                p.help { "With read there is no way to write, whatever a sync says." } }
            div.field { label for="work_schema" { "work_schema" span.soft.small { " (optional)" } } input id="work_schema" name="work_schema" value=(value("work_schema"));
                p.help { "Where outbox, fence and staging tables go, with access: write." } }
        }
    }
}

/// The settings that a form says, in the order of the schema.
fn said(kind: &KindAnswer, given: &Settings) -> Result<Map<String, Json>> {
    let mut out = read_settings(&kind.schema, &kind.schema, "", given)?;
    for name in COMMON {
        if let Some(text) = given.get(name).filter(|text| !text.is_empty()) {
            out.insert(name.to_owned(), Json::from(text.as_str()));
        }
    }
    Ok(out)
}

/// The file with the settings of the form: what did not change stays as it was written.
fn edited(text: &str, kind: &KindAnswer, given: &Settings) -> Result<String> {
    let (now, old) = (said(kind, given)?, yaml::to_json(text)?);
    let own =
        kind.schema.get("properties").and_then(Json::as_object).into_iter().flatten().map(|(name, _)| name.as_str());
    let mut out = text.to_owned();
    for name in own.chain(COMMON) {
        let (before, after) = (old.get(name), now.get(name));
        match (before, after) {
            (Some(Json::Object(was)), Some(Json::Object(is))) => {
                for key in was.keys().chain(is.keys()) {
                    if was.get(key) != is.get(key) {
                        out = yaml::set(&out, &[Step::Key(name), Step::Key(key)], is.get(key))?;
                    }
                }
            }
            (Some(Json::String(word)), None) if name == "access" && word == "read" => {}
            _ if before != after => out = yaml::set(&out, &[Step::Key(name)], after)?,
            _ => {}
        }
    }
    Ok(out)
}

/// A change of one: shown, and checked before it is written.
pub(super) async fn draft(State(api): State<Api>, visit: Visit, Path(name): Path<String>, body: Bytes) -> Shown {
    let detail = api.desk.connection(&name).await?;
    let kind = kind_of(api.desk.kinds().await?, &detail.connection.kind)?;
    let (given, step) = form_pairs(&body);
    let file = FileName::Connection(name.clone());
    let shown = if step == "look" {
        let now = api.desk.file(&file).await?;
        match edited(&now.text, &kind, &given) {
            Ok(text) => {
                let found = api.desk.check_file(&file, &text).await?;
                let call = format!("/api/v1/connections/{}/file", escaped(&name));
                let goes = format!("/connections/{}", escaped(&name));
                review(&visit, &now.text, &text, &found, save_form(&visit, &call, &text, Some(&now.hash), &goes))
            }
            Err(error) => refused(&error),
        }
    } else {
        html! {}
    };
    let body = whole(&visit, &name, &detail, &kind, &given, shown);
    Ok(visit.page(Place::Connections, &name, &body))
}

fn refused(error: &Error) -> Markup {
    html! { div.note.is-failed role="alert" { p { (error.to_string()) } @if let Some(hint) = &error.hint { p { (hint) } } } }
}

fn review(_: &Visit, old: &str, new: &str, found: &[ProblemAnswer], save: Markup) -> Markup {
    html! {
        section.card id="review" { h2 { "The change" }
            @if old == new { p { "Nothing would change." } } @else {
                (diff(old, new)) (problems(found))
                @if found.is_empty() { p.soft { "If the address changes, the connection’s secrets are cleared: they belong to the old one." } (save) }
            }
        }
    }
}

/// The form of a new one.
pub(super) async fn new(State(api): State<Api>, visit: Visit, Query(asked): Query<Asked>) -> Shown {
    let kind = kind_of(api.desk.kinds().await?, &asked.kind)?;
    Ok(visit.page(Place::Connections, "New connection", &new_form(&visit, &kind, &Settings::new(), html! {})))
}

fn new_form(visit: &Visit, kind: &KindAnswer, given: &Settings, draft: Markup) -> Markup {
    let name = given.get("_name").map_or("", String::as_str);
    html! {
        (head(&[("/connections", "Connections")], "New connection", html! { (kind.kind) ", a " (kind.side) }, html! {}))
        (draft)
        section.card {
            form method="post" action="/connections/new" {
                input type="hidden" name="_kind" value=(kind.kind);
                div.field { label for="name" { "Name" } input id="name" name="_name" value=(name) required pattern="[A-Za-z0-9_\\-]+" autocomplete="off";
                    p.help { "How syncs call it, such as lake or crm. It names the file too." } }
                (settings_form(visit, kind, given))
                button.main-act name="step" value="look" { "Check it" }
            }
        }
    }
}

/// A new one: shown, and checked before it is written.
pub(super) async fn draft_new(State(api): State<Api>, visit: Visit, body: Bytes) -> Shown {
    let (given, step) = form_pairs(&body);
    let word = |name: &str| given.get(name).cloned().unwrap_or_default();
    let kind = kind_of(api.desk.kinds().await?, &word("_kind"))?;
    let name = word("_name");
    let shown = if step == "look" {
        match made(&kind, &given) {
            Ok(text) => {
                let found = api.desk.check_file(&FileName::Connection(name.clone()), &text).await.map_err(Failed)?;
                let call = format!("/api/v1/connections/{}/file", escaped(&name));
                let goes = format!("/connections/{}", escaped(&name));
                review(&visit, "", &text, &found, save_form(&visit, &call, &text, None, &goes))
            }
            Err(error) => refused(&error),
        }
    } else {
        html! {}
    };
    Ok(visit.page(Place::Connections, "New connection", &new_form(&visit, &kind, &given, shown)))
}

fn made(kind: &KindAnswer, given: &Settings) -> Result<String> {
    let mut text = String::new();
    let first = [("version".to_owned(), json!(1)), ("type".to_owned(), json!(kind.kind))];
    let (common, own): (Vec<_>, Vec<_>) =
        said(kind, given)?.into_iter().partition(|(name, _)| COMMON.contains(&name.as_str()));
    for (name, value) in first.into_iter().chain(own).chain(common) {
        text = yaml::set(&text, &[Step::Key(&name)], Some(&value))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> KindAnswer {
        let schema = json!({ "properties": { "path": { "type": "string" }, "mode": { "type": ["string", "null"] } }, "required": ["path"] });
        KindAnswer { kind: "sqlite".to_owned(), side: "warehouse".to_owned(), available: true, schema }
    }

    #[test]
    fn a_changed_setting_keeps_the_rest_of_the_file() {
        let old = "# The lake.\nversion: 1\ntype: sqlite   # a file\npath: a.db   # here\naccess: read\n";
        let given: Settings =
            [("path", "b.db"), ("access", "write"), ("mode", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let new = edited(old, &kind(), &given).expect("can be edited");
        assert_eq!(new, "# The lake.\nversion: 1\ntype: sqlite   # a file\npath: b.db   # here\naccess: write\n");
        let same: Settings = [("path", "a.db"), ("access", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(
            edited(old, &kind(), &same).expect("can be edited"),
            old,
            "what is the default already is left as written"
        );
        assert_eq!(made(&kind(), &given).expect("made"), "version: 1\ntype: sqlite\npath: b.db\naccess: write\n");
    }
}
