//! Where people sign in.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};
use serde::Deserialize;

use crate::api::Api;

/// Why somebody is back here.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    why: String,
}

/// The page.
pub(super) async fn page(State(api): State<Api>, Query(asked): Query<Asked>) -> Response {
    let why = match asked.why.as_str() {
        "wrong" => Some("Name and password do not belong together."),
        "wait" => Some("Too many tries. Wait a little and try again."),
        "oidc" => Some("The identity provider did not let you in."),
        _ => None,
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="viewport" content="width=device-width"; title { "Sign in · tidegate" } }
            body {
                main {
                    h1 { "Sign in" }
                    @if let Some(why) = why { p role="alert" { (why) } }
                    form method="post" action="/sign-in" {
                        p { label for="name" { "Name" } br; input id="name" name="name" autocomplete="username" required; }
                        p {
                            label for="password" { "Password" } br;
                            input id="password" name="password" type="password" autocomplete="current-password" required;
                        }
                        button { "Sign in" }
                    }
                    @if api.access.gate.oidc.is_some() { p { a href="/oidc/start" { "Sign in through your identity provider" } } }
                }
            }
        }
    };
    axum::response::Html(page.into_string()).into_response()
}
