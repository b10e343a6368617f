//! The pages: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::host::only_local;
use crate::metrics;
use crate::options::PING_MS;
use crate::ports::{Clock, StateView};
use crate::status::Status;

/// What the pages need.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) status: Arc<Status>,
    pub(crate) state: Arc<dyn StateView>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tick_ms: u64,
}

/// The pages behind the check of the Host header.
pub(crate) fn router(pages: Pages) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .layer(middleware::from_fn(only_local))
        .layer(middleware::map_response(no_store))
        .with_state(pages)
}

async fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The process lives and answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The state can be reached and the scheduler is awake; else 503 with what is the matter.
async fn readyz(State(pages): State<Pages>) -> Response {
    let mut obstacles = pages.status.obstacles(pages.clock.now(), pages.tick_ms);
    if !pages.status.store_is_down() {
        match tokio::time::timeout(Duration::from_millis(PING_MS), pages.state.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => obstacles.push(format!("the state cannot be reached: {error}")),
            Err(_) => obstacles.push(format!("the state has not answered for {} seconds", PING_MS / 1_000)),
        }
    }
    let code = if obstacles.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, axum::Json(serde_json::json!({ "ready": obstacles.is_empty(), "why": obstacles }))).into_response()
}

async fn prometheus(State(pages): State<Pages>) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], pages.status.text(pages.clock.now())).into_response()
}
