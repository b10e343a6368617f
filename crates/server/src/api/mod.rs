//! The JSON API under `/api/v1`: one file per call in `endpoints/`, and the OpenAPI document made of the same table.

mod endpoint;
mod endpoints;
pub(crate) mod fail;
pub(crate) mod form;
mod openapi;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
pub(crate) use endpoint::{Call, Download, Endpoint, Noted, Nothing, Shared, Spec};
pub use openapi::document as openapi_document;
use tokio::sync::Notify;

use crate::access::Access;

/// Where the API is.
pub(crate) const PREFIX: &str = "/api/v1";

/// What serves a call.
#[derive(Clone)]
pub(crate) struct Api {
    /// What is asked.
    pub(crate) desk: Shared,
    /// Who asks.
    pub(crate) access: Arc<Access>,
    /// Wakes the worker when a run was queued.
    pub(crate) wake: Arc<Notify>,
}

/// The API.
pub(crate) fn router(api: Api) -> Router {
    let mut router = Router::new();
    for endpoint in endpoints::all() {
        router = router.route(&format!("{PREFIX}{}", endpoint.spec.path), endpoint.route);
    }
    let document: &'static str = openapi::text();
    let openapi =
        get(
            move || async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], document).into_response() },
        );
    router
        .route(&format!("{PREFIX}/openapi.json"), openapi)
        .route(&format!("{PREFIX}/{{*rest}}"), axum::routing::any(nothing_there))
        .method_not_allowed_fallback(not_so)
        .with_state(api)
}

async fn nothing_there() -> Response {
    fail::plain(StatusCode::NOT_FOUND, "not_found", "there is no such call", "/api/v1/openapi.json lists all calls")
}

async fn not_so() -> Response {
    let hint = "/api/v1/openapi.json says which methods it takes";
    fail::plain(StatusCode::METHOD_NOT_ALLOWED, "bad_method", "this call does not take that method", hint)
}

/// The mark of a page that nobody gave out.
pub(crate) fn bad_mark() -> tidegate_model::Error {
    tidegate_model::Error::config("`after` is no mark of a page").hint("hand in `next` of the page before, as it is")
}
