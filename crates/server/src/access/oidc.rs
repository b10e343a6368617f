//! Signing in through an identity provider (OpenID Connect, authorization code with PKCE).
//!
//! The attempt stands in a cookie of the browser that makes it: any of several servers finishes it, and no other browser
//! can. The id token comes from the provider itself over its own TLS connection, which OpenID Connect Core 3.1.3.7
//! takes in place of a check of its signature; issuer, audience, time and nonce are checked all the same.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Instant, Result};
use tidegate_net::http::Http;
use tidegate_net::targets::Targets;

use super::gate::Access;
use super::scope::Role;
use super::{cookie, sign_in, token};
use crate::options::Oidc;

/// How long a person has to sign in over there.
const ATTEMPT_S: i64 = 10 * 60;
/// A provider that does not answer within this time is away.
const PATIENCE: Duration = Duration::from_secs(15);
/// How far the provider's clock may be off.
const SKEW_S: i64 = 60;
/// Most bytes of an answer of the provider.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const COOKIE: &str = "tidegate-oidc";

/// An identity provider.
pub(crate) struct Provider {
    oidc: Oidc,
    client: reqwest::Client,
    targets: Targets,
}

/// What the provider says of itself.
#[derive(Debug, Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Secret,
}

/// What a browser carries while its person signs in over there.
struct Attempt {
    state: String,
    nonce: String,
    verifier: String,
}

fn away(what: &str, error: &reqwest::Error) -> Error {
    // The address holds no secret, but may be long; the provider's name is enough.
    Error::new(ErrorKind::Unavailable, format!("the identity provider cannot be asked {what}"))
        .hint("look at `serve.oidc.issuer`, and whether this machine reaches it")
        .cause(if error.is_timeout() { "it does not answer" } else { "the call failed" })
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Forbidden, why)
        .hint("sign in again; if it stays so, look at the client's settings over there")
}

impl Provider {
    /// A provider that is asked when somebody signs in.
    pub(crate) fn new(oidc: Oidc, targets: &Targets) -> Result<Self> {
        targets.check(&oidc.issuer).map_err(|error| error.at("serve.oidc.issuer"))?;
        let http = Http { targets: Some(targets.clone()), read_timeout: PATIENCE, ..Http::default() };
        Ok(Self { oidc, client: http.client()?, targets: targets.clone() })
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, request: reqwest::RequestBuilder, what: &str) -> Result<T> {
        let answer = request.timeout(PATIENCE).send().await.map_err(|error| away(what, &error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| away(what, &error))?;
        if !status.is_success() || bytes.len() > ANSWER_BYTES_MAX {
            return Err(refused(format!("the identity provider answered {status} when asked {what}")));
        }
        serde_json::from_slice(&bytes)
            .map_err(|_| refused(format!("the identity provider's answer, asked {what}, cannot be read")))
    }

    async fn discover(&self) -> Result<Discovered> {
        let issuer = self.oidc.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let found: Discovered = self.json(self.client.get(url), "about itself").await?;
        if found.issuer.trim_end_matches('/') != issuer {
            return Err(refused("the identity provider calls itself by another name than `serve.oidc.issuer`"));
        }
        for url in [&found.authorization_endpoint, &found.token_endpoint] {
            self.targets.check(url)?;
        }
        Ok(found)
    }

    fn authorize_url(&self, found: &Discovered, attempt: &Attempt, redirect: &str) -> Result<String> {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(attempt.verifier.as_bytes()));
        let mut url = reqwest::Url::parse(&found.authorization_endpoint)
            .map_err(|_| refused("the identity provider names no address to sign in at"))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.oidc.client_id)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", "openid profile email")
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// The claims of who signed in.
    async fn claims(&self, code: &str, attempt: &Attempt, redirect: &str, now: Instant) -> Result<Json> {
        let found = self.discover().await?;
        let form: [(&str, &str); 4] = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", &attempt.verifier),
        ];
        let mut body = reqwest::Url::parse("http://form/").map_err(|error| Error::internal("no form").cause(error))?;
        body.query_pairs_mut().extend_pairs(form);
        let request = self
            .client
            .post(&found.token_endpoint)
            .basic_auth(percent(&self.oidc.client_id), Some(percent(self.oidc.client_secret.expose())))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.query().unwrap_or_default().to_owned());
        let tokens: Tokens = self.json(request, "for tokens").await?;
        let claims = payload(tokens.id_token.expose())?;
        self.check(&claims, &found.issuer, &attempt.nonce, now)?;
        Ok(claims)
    }

    fn check(&self, claims: &Json, issuer: &str, nonce: &str, now: Instant) -> Result<()> {
        let client = self.oidc.client_id.as_str();
        let audience = match claims.get("aud") {
            Some(Json::String(one)) => one == client,
            Some(Json::Array(all)) => {
                all.iter().any(|one| one == client) && claims.get("azp").is_none_or(|azp| azp == client)
            }
            _ => false,
        };
        let until = claims.get("exp").and_then(Json::as_i64).unwrap_or(0);
        let right = [
            ("issuer", claims.get("iss").and_then(Json::as_str) == Some(issuer)),
            ("audience", audience),
            ("time", until.saturating_add(SKEW_S) > now.0 / 1_000_000),
            ("nonce", claims.get("nonce").and_then(Json::as_str).is_some_and(|given| token::equal(given, nonce))),
        ];
        match right.iter().find(|(_, right)| !right) {
            Some((what, _)) => Err(refused(format!("the identity provider's token is of another {what}"))),
            None => Ok(()),
        }
    }

    /// The highest of the roles that a claim names.
    fn role(&self, claims: &Json) -> Option<Role> {
        let claim = claims.get(&self.oidc.role_claim)?;
        let words: Vec<&str> = match claim {
            Json::String(one) => one.split([' ', ',']).collect(),
            Json::Array(all) => all.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        words.into_iter().filter_map(Role::parse).max_by_key(|role| role.scope())
    }
}

/// As RFC 6749 2.3.1 wants ids and secrets within Basic.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// What an id token says.
fn payload(token: &str) -> Result<Json> {
    let bad = || refused("the identity provider's token cannot be read");
    let middle = token.split('.').nth(1).ok_or_else(bad)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(middle).map_err(|_| bad())?;
    serde_json::from_slice(&bytes).map_err(|_| bad())
}

impl Attempt {
    fn begin() -> Result<Self> {
        Ok(Self { state: token::random_text()?, nonce: token::random_text()?, verifier: token::random_text()? })
    }
    fn text(&self) -> String {
        format!("{}.{}.{}", self.state, self.nonce, self.verifier)
    }
    fn read(headers: &HeaderMap, secure: bool) -> Option<Self> {
        let mut parts = cookie::read_named(headers, &cookie_name(secure))?.split('.').map(str::to_owned);
        Some(Self { state: parts.next()?, nonce: parts.next()?, verifier: parts.next()? })
    }
}

fn cookie_name(secure: bool) -> String {
    if secure { format!("__Host-{COOKIE}") } else { COOKIE.to_owned() }
}

/// Sends a browser over there.
pub(crate) async fn start(State(access): State<Arc<Access>>) -> Response {
    match begin(&access).await {
        Ok(answer) => answer,
        Err(error) => failed(&access, &error).await,
    }
}

async fn begin(access: &Access) -> Result<Response> {
    let provider = access.gate.oidc.as_ref().ok_or_else(none)?;
    let attempt = Attempt::begin()?;
    let found = provider.discover().await?;
    let url = provider.authorize_url(&found, &attempt, &redirect(access))?;
    let secure = access.gate.secure;
    let kept = cookie::set_named(&cookie_name(secure), &attempt.text(), secure, ATTEMPT_S);
    let mut answer = (StatusCode::SEE_OTHER, [(LOCATION, url)]).into_response();
    answer.headers_mut().extend(kept.map(|kept| (SET_COOKIE, kept)));
    Ok(answer)
}

fn none() -> Error {
    Error::new(ErrorKind::NotFound, "nobody signs in through an identity provider here").hint("`serve.oidc` names one")
}

fn redirect(access: &Access) -> String {
    format!("{}/oidc/callback", access.gate.url)
}

/// Where a browser comes back to.
pub(crate) async fn callback(
    State(access): State<Arc<Access>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    match end(&access, &headers, query.as_deref().unwrap_or_default()).await {
        Ok(answer) => answer,
        Err(error) => failed(&access, &error).await,
    }
}

async fn end(access: &Access, headers: &HeaderMap, query: &str) -> Result<Response> {
    let provider = access.gate.oidc.as_ref().ok_or_else(none)?;
    let secure = access.gate.secure;
    let attempt =
        Attempt::read(headers, secure).ok_or_else(|| refused("this browser has not begun to sign in here"))?;
    let url =
        reqwest::Url::parse(&format!("http://localhost/?{query}")).map_err(|_| refused("the answer is no address"))?;
    let find = |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    if !find("state").is_some_and(|state| token::equal(&state, &attempt.state)) {
        return Err(refused("the answer belongs to another attempt to sign in"));
    }
    let code = find("code").ok_or_else(|| refused("the identity provider did not let this person in"))?;
    let claims = provider.claims(&code, &attempt, &redirect(access), access.clock.now()).await?;
    let who = ["email", "preferred_username", "sub"].iter().find_map(|name| claims.get(*name).and_then(Json::as_str));
    let who: String = who.unwrap_or("somebody").chars().filter(|c| !c.is_control()).take(128).collect();
    let role = provider.role(&claims).ok_or_else(|| {
        refused(format!(
            "{who} has no role here: the claim `{}` names none of viewer, operator, admin",
            provider.oidc.role_claim
        ))
    })?;
    let session = sign_in::begin(access, &format!("oidc:{who}"), role, false).await?;
    let mut answer = (StatusCode::SEE_OTHER, [(LOCATION, "/")]).into_response();
    answer.headers_mut().append(SET_COOKIE, session);
    if let Some(gone) = cookie::set_named(&cookie_name(secure), "", secure, 0) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    Ok(answer)
}

/// Back to the page where people sign in; why stands in the log and the audit log, not in the address.
async fn failed(access: &Access, error: &Error) -> Response {
    tracing::warn!(code = error.code(), "a sign-in through the identity provider failed: {error}");
    if let Err(error) = sign_in::note(access, "unknown", "sign_in_oidc", error.code()).await {
        tracing::warn!(code = error.code(), "the audit log could not be written: {error}");
    }
    (StatusCode::SEE_OTHER, [(LOCATION, "/sign-in?why=oidc")]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> Provider {
        let oidc = Oidc {
            issuer: "https://id.example.org".to_owned(),
            client_id: "tidegate".to_owned(),
            client_secret: Secret::new("s"),
            role_claim: "roles".to_owned(),
        };
        Provider::new(oidc, &Targets::public_and(&[])).expect("a provider")
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
        let provider = provider();
        let good =
            serde_json::json!({ "iss": "https://id.example.org", "aud": "tidegate", "exp": 2_000, "nonce": "n" });
        let now = Instant(1_000 * 1_000_000);
        let check = |claims: &Json| provider.check(claims, "https://id.example.org", "n", now);
        assert!(check(&good).is_ok());
        for (key, value) in [
            ("iss", serde_json::json!("https://evil.example")),
            ("aud", serde_json::json!("another")),
            ("aud", serde_json::json!(["another"])),
            ("exp", serde_json::json!(900)),
            ("nonce", serde_json::json!("m")),
            ("nonce", Json::Null),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            assert!(check(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_highest_role_of_the_claim_holds() {
        let provider = provider();
        let role = |claims: Json| provider.role(&claims);
        assert_eq!(role(serde_json::json!({ "roles": ["viewer", "admin", "x"] })), Some(Role::Admin));
        assert_eq!(role(serde_json::json!({ "roles": "operator" })), Some(Role::Operator));
        assert_eq!(role(serde_json::json!({ "roles": "root" })), None);
        assert_eq!(role(serde_json::json!({})), None);
    }
}
