//! The editor of a sync: choices in place of names to be typed, ten real rows through the mapping, and the plan, before
//! anything is written. What it writes is the project's own file, changed where it has to be.

mod form;
mod review;
mod text;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value as Json;

pub(super) use review::{diff, problems, save_form};

use crate::api::Api;
use crate::desk::{FileAnswer, FileName};
use crate::ui::parts::{Settings, escaped, head};
use crate::ui::visit::{Place, Shown, Visit};
use crate::ui::yaml;

/// What a form says; the button that sent it.
pub(super) fn form_pairs(body: &Bytes) -> (Settings, String) {
    // Browsers send line breaks their own way.
    let pairs = form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n")));
    let mut given: Settings = pairs.collect();
    let step = given.remove("step").unwrap_or_default();
    (given, step)
}

/// What a new sync begins with.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Begun {
    #[serde(default)]
    warehouse: String,
    #[serde(default)]
    platform: String,
}

/// The editor of a sync that is there.
pub(super) async fn edit(State(api): State<Api>, visit: Visit, Path(name): Path<String>) -> Shown {
    let file = api.desk.file(&FileName::Sync(name.clone())).await?;
    let given = text::settings_of(&yaml::to_json(&file.text).unwrap_or(Json::Null));
    let body = whole(&visit, &name, &file, &given, html! {}).await?;
    Ok(visit.page(Place::Overview, &format!("Edit {name}"), &body))
}

/// The same with what a person chose so far; with `look` also what that would do.
pub(super) async fn draft(State(api): State<Api>, visit: Visit, Path(name): Path<String>, body: Bytes) -> Shown {
    let (given, step) = form_pairs(&body);
    let file = api.desk.file(&FileName::Sync(name.clone())).await?;
    let shown = match (step.as_str(), text::edited(&file.text, &given)) {
        ("look", Ok(text)) => review::shown(&visit, &name, &file.text, &text, Some(&file.hash)).await?,
        ("look", Err(error)) => review::refused(&error),
        _ => html! {},
    };
    let body = whole(&visit, &name, &file, &given, shown).await?;
    Ok(visit.page(Place::Overview, &format!("Edit {name}"), &body))
}

async fn whole(
    visit: &Visit,
    name: &str,
    file: &FileAnswer,
    given: &Settings,
    draft: Markup,
) -> tidegate_model::Result<Markup> {
    let own = format!("/syncs/{}", escaped(name));
    let call = format!("/api/v1{own}/file");
    let choices = form::Choices::look(visit, given).await;
    Ok(html! {
        (head(&[("/", "Overview"), (&own, name)], "Mapping", html! { "In " code { (file.file) } }, html! {}))
        @if visit.project.read_only { div.note.is-held { p { "The project’s files are read-only here: they are changed where they live, and served as they are." } } }
        @else if !visit.edits() { div.note.is-held { p { "You may look. Changing files needs the role admin." } } }
        (draft)
        form method="post" action={ (own) "/edit" } { (form::fields(visit, given, &choices)) }
        details.card { summary { "The file itself" }
            form method="post" action=(call) data-act data-json data-method="PUT" data-done="Written." data-goes=(own) {
                (crate::ui::parts::back_field(visit))
                input type="hidden" name="hash" value=(file.hash);
                div { label for="file-text" { "Text of " (file.file) } textarea id="file-text" name="text" spellcheck="false" readonly[!visit.edits()] { "\n" (file.text) } }
                @if visit.edits() { p {} button { "Write the file" } }
            }
        }
    })
}

/// The editor of a new sync.
pub(super) async fn new(visit: Visit, Query(begun): Query<Begun>) -> Shown {
    let mut given = text::blank();
    for (name, value) in [("w.connection", begun.warehouse), ("p.connection", begun.platform)] {
        if !value.is_empty() {
            given.insert(name.to_owned(), value);
        }
    }
    let body = new_form(&visit, &given, html! {}).await;
    Ok(visit.page(Place::Overview, "New sync", &body))
}

/// The same with what was chosen so far.
pub(super) async fn draft_new(visit: Visit, body: Bytes) -> Shown {
    let (given, step) = form_pairs(&body);
    let name = given.get("_name").cloned().unwrap_or_default();
    let shown = match (step.as_str(), text::made(&given)) {
        ("look", Ok(text)) => review::shown(&visit, &name, "", &text, None).await?,
        ("look", Err(error)) => review::refused(&error),
        _ => html! {},
    };
    let body = new_form(&visit, &given, shown).await;
    Ok(visit.page(Place::Overview, "New sync", &body))
}

async fn new_form(visit: &Visit, given: &Settings, draft: Markup) -> Markup {
    let choices = form::Choices::look(visit, given).await;
    let name = given.get("_name").map_or("", String::as_str);
    html! {
        (head(&[("/", "Overview")], "New sync", html! { "One relation of a warehouse, paired with one model of a platform." }, html! {}))
        @if !visit.edits() { div.note.is-held { p { "Making a sync needs the role admin, and a project whose files may be written here." } } }
        (draft)
        form method="post" action="/syncs/new" {
            section.card { div.field { label for="name" { "Name" } input id="name" name="_name" value=(name) required pattern="[A-Za-z0-9_\\-]+" autocomplete="off"; p.help { "Such as companies. It names the file too, and stays." } } }
            (form::fields(visit, given, &choices))
        }
    }
}
