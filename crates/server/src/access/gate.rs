//! The gate: finds out who calls, before anything else is done with a request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use tidegate_model::Result;
use tidegate_store::Store;

use super::caller::{Caller, Via};
use super::oidc::Provider;
use super::scope::{Role, Scope};
use super::{cookie, token};
use crate::api::fail;
use crate::ports::Clock;

/// Who may come in, and how.
pub(crate) struct Gate {
    /// Whether only this machine can call: then nobody has to sign in as long as there are no users.
    pub(crate) local: bool,
    /// Whether browsers come over TLS.
    pub(crate) secure: bool,
    /// Whether a proxy says who calls.
    pub(crate) behind_proxy: bool,
    /// The identity provider, if people may sign in through one.
    pub(crate) oidc: Option<Arc<Provider>>,
    /// The address that browsers use, without a `/` at its end.
    pub(crate) url: String,
}

/// What is needed to tell callers apart.
pub(crate) struct Access {
    /// Where users, tokens and sessions are.
    pub(crate) store: Arc<Store>,
    /// What time it is.
    pub(crate) clock: Arc<dyn Clock>,
    /// Who may come in, and how.
    pub(crate) gate: Gate,
}

impl Access {
    /// A gate.
    pub(crate) fn new(store: Arc<Store>, clock: Arc<dyn Clock>, gate: Gate) -> Self {
        Self { store, clock, gate }
    }

    /// Whether nobody has to sign in.
    pub(crate) async fn open(&self) -> Result<bool> {
        Ok(self.gate.local && self.gate.oidc.is_none() && self.store.users().await?.is_empty())
    }

    /// Who sent a request with these headers.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller> {
        let now = self.clock.now();
        if let Some(text) = bearer(headers) {
            let found = self.store.token_of(&token::hash(text), now).await?;
            let caller = found.and_then(|token| {
                let scope = Some(Scope::of_token(&token.scope)?);
                Some(Caller { who: format!("token:{}", token.name), scope, via: Via::Token })
            });
            return Ok(caller.unwrap_or_else(Caller::nobody));
        }
        if let Some(text) = cookie::read(headers, self.gate.secure)
            && let Some(session) = self.store.session_of(&token::hash(text), now).await?
            && let Some(role) = Role::parse(&session.role)
        {
            let via = Via::Session { csrf: session.csrf };
            return Ok(Caller { who: session.who, scope: Some(role.scope()), via });
        }
        Ok(if self.open().await? { Caller::local() } else { Caller::nobody() })
    }
}

/// The token of a request, if it has one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Notes on a request who sent it.
pub(crate) async fn identify(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    match access.caller(request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => fail::answer(&error),
    }
}
