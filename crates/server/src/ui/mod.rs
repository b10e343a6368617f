//! The pages: what a person sees of `serve`. They are made here, on the server, and read without a script; the one
//! script makes them live. What they show comes from [`crate::desk::Desk`], what they do goes through the calls of the
//! API, so that nothing can be done by click that cannot be done by program. docs/design.md holds the look.

mod assets;
mod chart;
mod pages;
mod parts;
mod visit;
mod yaml;

use axum::Router;
use axum::routing::get;

use crate::api::Api;

/// All pages.
pub(crate) fn routes(api: Api) -> Router {
    let router = Router::new()
        .route("/ui/style.css", get(assets::style))
        .route("/ui/script.js", get(assets::script))
        .route("/ui/icon.svg", get(assets::icon));
    pages::routes(router).with_state(api)
}
