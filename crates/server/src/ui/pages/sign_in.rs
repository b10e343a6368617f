//! Where people sign in.

use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use maud::html;
use serde::Deserialize;

use crate::api::{Api, form::is_own_page};
use crate::ui::visit::{document, gate};

/// Why somebody is here, and where they wanted to go.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    why: String,
    #[serde(default)]
    back: String,
}

/// The page.
pub(super) async fn page(State(api): State<Api>, Query(asked): Query<Asked>) -> Response {
    let why = match asked.why.as_str() {
        "wrong" => Some("Name and password do not belong together."),
        "wait" => Some("Too many tries. Wait a little and try again."),
        "oidc" => Some("The identity provider did not let you in."),
        _ => None,
    };
    let back = if is_own_page(&asked.back) { asked.back.as_str() } else { "/" };
    let body = html! {
        main.main.sign-in id="content" {
            section.card {
                div.row { span.brand { (gate()) span { "tidegate" } } }
                h1 { "Sign in" }
                @if let Some(why) = why { div.note.is-failed role="alert" { p { (why) } } }
                form method="post" action="/sign-in" {
                    input type="hidden" name="_back" value=(back);
                    div.field { label for="name" { "Name" } input id="name" name="name" autocomplete="username" required autofocus; }
                    div.field { label for="password" { "Password" } input id="password" name="password" type="password" autocomplete="current-password" required; }
                    button.main-act { "Sign in" }
                }
                @if api.access.gate.oidc.is_some() { p { a.button href="/oidc/start" { "Sign in through your identity provider" } } }
                p.soft.small { "No account yet? An admin adds you with " code { "tidegate users add NAME" } "." }
            }
        }
    };
    Html(document("Sign in", &body).into_string()).into_response()
}
