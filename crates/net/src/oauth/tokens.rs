//! What a service answers where codes and refresh tokens become access tokens.

use serde::Deserialize;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};

use super::attempt::plain;

/// How long an access token is taken to live if nobody says: short, so that a wrong guess costs one refresh.
const LIFE_S: u64 = 300;

/// Tokens, as a service gave them.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Lives for minutes.
    pub access: Secret,
    /// Lives for weeks; `None`: the one in hand stays good.
    pub refresh: Option<Secret>,
    /// Seconds that the access token lives.
    pub access_s: u64,
    /// Seconds that the refresh token lives, where the service says so.
    pub refresh_s: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
    refresh_token_expires_in: Option<u64>,
    error: Option<serde_json::Value>,
    error_description: Option<String>,
    message: Option<String>,
}

/// Reads an answer. `Unauthorized` means that this code or token will never be good; `Unavailable` that it may be.
pub(super) fn read(status: u16, body: &[u8], doing: &str) -> Result<Tokens> {
    let wire: Wire = serde_json::from_slice(body).unwrap_or_default();
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::new);
    if (200..300).contains(&status) {
        let Some(access) = filled(wire.access_token) else {
            let said = format!("{doing}: the answer ({status}) holds no access token");
            return Err(Error::new(ErrorKind::Unavailable, said).hint("try again; a proxy may have answered instead"));
        };
        return Ok(Tokens {
            access,
            refresh: filled(wire.refresh_token),
            access_s: wire.expires_in.unwrap_or(LIFE_S),
            refresh_s: wire.refresh_token_expires_in,
        });
    }
    let code = wire.error.as_ref().and_then(|error| error.as_str()).unwrap_or_default().to_owned();
    let says: Vec<String> = [Some(code.clone()), wire.error_description, wire.message].into_iter().flatten().collect();
    let says = plain(&says.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(": "));
    let error = |kind, what: &str| Error::new(kind, format!("{doing}: {what} ({status})")).cause(says.clone());
    Err(match (status, code.as_str()) {
        (429 | 500.., _) | (_, "temporarily_unavailable" | "server_error") => {
            error(ErrorKind::Unavailable, "the server does not answer it now").hint("try again in a minute")
        }
        (_, "invalid_client" | "unauthorized_client") | (401, "") => {
            error(ErrorKind::Unauthorized, "the client is not known there")
                .hint("compare `auth.client_id:` and `auth.client_secret:` with what the service shows")
        }
        _ => error(ErrorKind::Unauthorized, "refused"),
    })
}

/// An error without a secret that the service repeated.
pub(super) fn without(error: Error, secret: &Secret) -> Error {
    let clean = |text: String| match secret.expose() {
        "" => text,
        plain => text.replace(plain, "***"),
    };
    Error { message: clean(error.message), cause: error.cause.map(clean), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_trying_again_can_help() {
        let kind = |status, body: &str| read(status, body.as_bytes(), "refresh").expect_err("refused").kind;
        assert_eq!(kind(400, r#"{"error":"invalid_grant","message":"expired"}"#), ErrorKind::Unauthorized);
        assert_eq!(kind(400, r#"{"error":"temporarily_unavailable"}"#), ErrorKind::Unavailable);
        assert_eq!(kind(503, "<html>"), ErrorKind::Unavailable);
        assert_eq!(kind(429, ""), ErrorKind::Unavailable);
        assert_eq!(kind(200, "{}"), ErrorKind::Unavailable);
        let client = read(401, br#"{"error":"invalid_client"}"#, "refresh").expect_err("refused");
        assert!(client.hint.is_some_and(|hint| hint.contains("client_id")));
        let echo = read(400, br#"{"error":"invalid_client","error_description":"planted is wrong"}"#, "get");
        let echo = without(echo.expect_err("refused"), &Secret::new("planted"));
        assert!(format!("{echo:?}").contains("*** is wrong") && !format!("{echo:?}").contains("planted"), "{echo:?}");
        let good =
            read(200, br#"{"access_token":"a","refresh_token":"","expires_in":600}"#, "refresh").expect("tokens");
        assert_eq!((good.access.expose(), good.refresh, good.access_s), ("a", None, 600));
    }
}
