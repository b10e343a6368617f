//! Signing in with a password, and out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};
use tidegate_store::{Audit, Session};

use super::caller::{Caller, Via};
use super::gate::Access;
use super::scope::Role;
use super::{cookie, oidc, password, throttle, token};
use crate::api::{fail, form};
use crate::tls::Peer;

/// How long a session holds: a working day.
pub(crate) const SESSION_MS: i64 = 12 * 60 * 60 * 1_000;

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: Secret,
}

/// `POST /sign-in`, `POST /sign-out`.
pub(crate) fn routes(access: Arc<Access>) -> Router {
    Router::new()
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/oidc/start", get(oidc::start))
        .route("/oidc/callback", get(oidc::callback))
        .with_state(access)
}

async fn sign_in(
    State(access): State<Arc<Access>>,
    peer: Option<Extension<ConnectInfo<Peer>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_form = form::is_form(&headers);
    let credentials: Credentials = match form::read(&headers, &body) {
        Ok(credentials) => credentials,
        Err(error) => return fail::answer(&error),
    };
    let address = from(&access, &headers, peer);
    match check(&access, &credentials, &address).await {
        Ok(Ok(cookie)) => {
            let mut answer = if is_form {
                (StatusCode::SEE_OTHER, [(LOCATION, form::back(&body))]).into_response()
            } else {
                Json(serde_json::json!({ "signed_in": credentials.name })).into_response()
            };
            answer.headers_mut().insert(SET_COOKIE, cookie);
            answer
        }
        Ok(Err(refused)) if is_form => {
            let location = format!("/sign-in?why={}", refused.word());
            (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
        }
        Ok(Err(refused)) => refused.into_response(),
        Err(error) => fail::answer(&error),
    }
}

/// The address that somebody comes from. A proxy adds it as the last of the header; those before are the caller's own
/// words.
fn from(access: &Access, headers: &HeaderMap, peer: Option<Extension<ConnectInfo<Peer>>>) -> String {
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    match forwarded.and_then(|text| text.rsplit(',').next()) {
        Some(last) if access.gate.behind_proxy => last.trim().to_owned(),
        _ => peer.map_or_else(String::new, |Extension(ConnectInfo(Peer(peer)))| peer.ip().to_string()),
    }
}

/// Why somebody was not signed in. It never says whether there is such a user.
enum Refused {
    Wrong,
    Wait(i64),
}

impl Refused {
    fn word(&self) -> &'static str {
        match self {
            Refused::Wrong => "wrong",
            Refused::Wait(_) => "wait",
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Refused::Wrong => fail::plain(
                StatusCode::UNAUTHORIZED,
                "wrong_credentials",
                "name and password do not belong together",
                "look for a typing error; `tidegate users add NAME` sets a new password",
            ),
            Refused::Wait(ms) => {
                let seconds = ms / 1_000 + 1;
                let mut answer = fail::plain(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_tries",
                    "too many tries to sign in",
                    &format!("wait {seconds} s and try again"),
                );
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                answer
            }
        }
    }
}

async fn check(
    access: &Access,
    given: &Credentials,
    address: &str,
) -> Result<std::result::Result<HeaderValue, Refused>> {
    let now = access.clock.now();
    let counted = [format!("name:{}", given.name.chars().take(128).collect::<String>()), format!("from:{address}")]
        .map(|of| token::hash(&of));
    if let Some(ms) = access.store.try_sign_in(&counted, now, throttle::wait_ms).await? {
        return Ok(Err(Refused::Wait(ms)));
    }
    let user = access.store.user(&given.name).await?;
    let right = password::is_password(&given.password, user.as_ref().map(|user| user.password.as_str())).await?;
    let (Some(user), true) = (user, right) else {
        note(access, "unknown", "sign_in", "wrong_credentials").await?;
        return Ok(Err(Refused::Wrong));
    };
    access.store.forget_tries(&counted).await?;
    let Some(role) = Role::parse(&user.role) else {
        return Err(Error::internal(format!("the user {} has a role that does not exist", user.name)));
    };
    let cookie = begin(access, &user.name, role, true).await?;
    Ok(Ok(cookie))
}

/// Begins a session; its cookie.
pub(crate) async fn begin(access: &Access, who: &str, role: Role, local: bool) -> Result<HeaderValue> {
    let (text, csrf, now) = (token::random_text()?, token::random_text()?, access.clock.now());
    let session = Session {
        who: who.to_owned(),
        role: role.as_str().to_owned(),
        csrf,
        local,
        created_at: now,
        expires_at: now.plus_millis(SESSION_MS),
    };
    access.store.add_session(&session, &token::hash(&text)).await?;
    note(access, who, "sign_in", "done").await?;
    cookie::set(&text, access.gate.secure, SESSION_MS / 1_000)
        .ok_or_else(|| Error::internal("a cookie cannot be written"))
}

pub(crate) async fn note(access: &Access, who: &str, action: &str, outcome: &str) -> Result<()> {
    let line = Audit {
        id: 0,
        at: access.clock.now(),
        who: who.to_owned(),
        action: action.to_owned(),
        target: String::new(),
        detail: "{}".to_owned(),
        outcome: outcome.to_owned(),
    };
    access.store.audit(&line).await
}

async fn sign_out(
    State(access): State<Arc<Access>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if matches!(caller.via, Via::Session { .. }) {
        if let Err(refused) = form::check_csrf(&caller, &headers, &body) {
            return *refused;
        }
        if let Some(text) = cookie::read(&headers, access.gate.secure)
            && let Err(error) = access.store.end_session(&token::hash(text)).await
        {
            return fail::answer(&error);
        }
    }
    let mut answer = (StatusCode::SEE_OTHER, [(LOCATION, "/sign-in")]).into_response();
    if let Some(gone) = cookie::set("", access.gate.secure, 0) {
        answer.headers_mut().insert(SET_COOKIE, gone);
    }
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}
