//! What is served where: health, readiness, metrics, the API, sign-in, the pages; and what stands before all of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::access::{self, Access, Caller, Hosts, Scope, identify, only_our_hosts};
use crate::api::{self, Api, fail};
use crate::metrics;
use crate::options::PING_MS;
use crate::ports::{Clock, StateView};
use crate::status::Status;
use crate::ui;

/// What the probes need.
#[derive(Clone)]
pub(crate) struct Probes {
    pub(crate) status: Arc<Status>,
    pub(crate) state: Arc<dyn StateView>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tick_ms: u64,
}

/// Headers of every answer. No script and no style but our own files; nothing may put us into a frame.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Everything, behind the checks. Without an API (a worker alone) there are the probes only.
pub(crate) fn router(probes: Probes, hosts: Arc<Hosts>, access: Arc<Access>, api: Option<Api>) -> Router {
    let secure = access.gate.secure;
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .with_state(probes);
    if let Some(api) = api {
        router =
            router.merge(api::router(api.clone())).merge(access::routes(Arc::clone(&access))).merge(ui::routes(api));
    }
    router
        .layer(middleware::from_fn_with_state(access, identify))
        .layer(middleware::from_fn_with_state(hosts, only_our_hosts))
        .layer(middleware::map_response(move |response: Response| async move { guarded(response, secure) }))
}

fn guarded(mut response: Response, secure: bool) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if secure {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(HeaderName::from_static("strict-transport-security"), year);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The process lives and answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The state can be reached and the scheduler is awake; else 503 with what is the matter.
async fn readyz(State(pages): State<Probes>) -> Response {
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

/// Where somebody has to sign in, metrics need a token: they name syncs.
async fn prometheus(State(pages): State<Probes>, Extension(caller): Extension<Caller>) -> Response {
    if !caller.may(Scope::Read) {
        let hint = "give Prometheus a token (`tidegate tokens add prometheus --scope read`)";
        return fail::plain(StatusCode::UNAUTHORIZED, "not_signed_in", "metrics need a token", hint);
    }
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], pages.status.text(pages.clock.now())).into_response()
}
