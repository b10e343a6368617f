//! Errors as answers: `{"error":{"code","message","hint"}}`.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tidegate_model::{Error, ErrorKind};

/// The status that stands for a kind of error.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Config | ErrorKind::BadRequest => StatusCode::UNPROCESSABLE_ENTITY,
        // Not ours but a connection's: 401 would say that the caller has to sign in.
        ErrorKind::Unauthorized | ErrorKind::Forbidden => StatusCode::FAILED_DEPENDENCY,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::SchemaChanged
        | ErrorKind::HistoryGone
        | ErrorKind::LeaseLost
        | ErrorKind::ForeignStore
        | ErrorKind::Locked
        | ErrorKind::Guard
        | ErrorKind::Data
        | ErrorKind::Cancelled => StatusCode::CONFLICT,
        ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Lost => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error as an answer.
pub(crate) fn answer(error: &Error) -> Response {
    let status = status(error.kind);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(code = error.code(), "a call failed: {error}");
    }
    let hint = error.hint.as_deref().unwrap_or("");
    let mut answer = plain(status, error.code(), &error.to_string(), hint);
    if let Some(wait) = error.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)));
    }
    answer
}

/// An answer that says no.
pub(crate) fn plain(status: StatusCode, code: &str, message: &str, hint: &str) -> Response {
    let hint = if hint.is_empty() { None } else { Some(hint) };
    let body = serde_json::json!({ "error": { "code": code, "message": message, "hint": hint } });
    (status, Json(body)).into_response()
}
