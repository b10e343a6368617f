//! Who logs in. Asked anew before each login: tokens that live for minutes are fetched or read again.

use std::path::PathBuf;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::Mutex;

use super::jwt::KeyPair;
use super::line::{Line, chain};

/// What kind of ready-made token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::snowflake) enum TokenKind {
    /// A programmatic access token.
    Pat,
    /// An OAuth access token that somebody else keeps fresh.
    OAuth,
}

/// How to log in.
pub(in crate::snowflake) enum Credentials {
    KeyPair {
        user: String,
        key: KeyPair,
    },
    Password {
        user: String,
        password: Secret,
    },
    Token {
        user: Option<String>,
        kind: TokenKind,
        token: Secret,
    },
    OAuth {
        user: Option<String>,
        oauth: OAuth,
    },
    /// A file that Snowpark Container Services keeps fresh, and the one beside it that names the service.
    File {
        path: PathBuf,
        service: PathBuf,
    },
}

impl Credentials {
    /// The fields of a login.
    pub(super) async fn fields(&self, line: &Line, account: &str, now_s: i64) -> Result<Map<String, Value>> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: &str| fields.insert(name.to_owned(), json!(value));
        match self {
            Self::KeyPair { user, key } => {
                set("LOGIN_NAME", user);
                set("AUTHENTICATOR", "SNOWFLAKE_JWT");
                set("TOKEN", key.token(account, user, now_s)?.expose());
            }
            Self::Password { user, password } => {
                set("LOGIN_NAME", user);
                set("PASSWORD", password.expose());
            }
            Self::Token { user, kind, token } => {
                set("LOGIN_NAME", user.as_deref().unwrap_or_default());
                set("AUTHENTICATOR", if *kind == TokenKind::Pat { "PROGRAMMATIC_ACCESS_TOKEN" } else { "OAUTH" });
                set("TOKEN", token.expose());
            }
            Self::OAuth { user, oauth } => {
                set("LOGIN_NAME", user.as_deref().unwrap_or_default());
                set("AUTHENTICATOR", "OAUTH");
                set("TOKEN", oauth.access(line).await?.expose());
            }
            Self::File { path, service } => {
                set("LOGIN_NAME", "");
                set("AUTHENTICATOR", "OAUTH");
                set("TOKEN", read_token(path).await?.expose());
                // Only says which service calls; older containers have none.
                if let Ok(token) = tokio::fs::read_to_string(service).await {
                    set("SPCS_TOKEN", token.trim());
                }
            }
        }
        Ok(fields)
    }

    /// Forgets a token that the server no longer takes; true if there is a way to another one.
    pub(super) async fn expired(&self) -> bool {
        match self {
            Self::OAuth { oauth, .. } => {
                oauth.held.lock().await.access = None;
                true
            }
            Self::File { .. } => true,
            Self::KeyPair { .. } | Self::Password { .. } | Self::Token { .. } => false,
        }
    }

    /// What a person can do when the server refuses them.
    pub(super) fn hint(&self, account: &str) -> String {
        match self {
            Self::KeyPair { user, key } => format!(
                "compare RSA_PUBLIC_KEY_FP of `DESCRIBE USER {user}` with this key's {} on account {account}",
                key.fingerprint()
            ),
            Self::Password { .. } => "check `user:` and `auth.password:`; users that must give a second factor cannot \
                log in unattended: use `method: key_pair`"
                .to_owned(),
            Self::Token { kind: TokenKind::Pat, .. } => {
                "check that the token is neither expired nor revoked, and that \
                the user is subject to a network policy, which such tokens need"
                    .to_owned()
            }
            Self::Token { kind: TokenKind::OAuth, .. } => {
                "the access token has probably expired; such tokens live for minutes: use `method: oauth` or `key_pair`"
                    .to_owned()
            }
            Self::OAuth { .. } => {
                "check the security integration, and that its role is allowed to this user".to_owned()
            }
            Self::File { path, .. } => {
                format!(
                    "the token comes from {}; it is good only inside of the container's own account",
                    path.display()
                )
            }
        }
    }
}

async fn read_token(path: &PathBuf) -> Result<Secret> {
    let text = tokio::fs::read_to_string(path).await.map_err(|error| {
        Error::config(format!("the token file {} cannot be read", path.display()))
            .cause(error)
            .hint("Snowpark Container Services puts it there; elsewhere use another `auth.method:`")
    })?;
    Ok(Secret::new(text.trim()))
}

/// An OAuth client with a refresh token. One refresh at a time: others wait for its result, for a refresh token may
/// be good for one use only.
pub(in crate::snowflake) struct OAuth {
    client_id: String,
    client_secret: Secret,
    held: Mutex<Held>,
}

struct Held {
    refresh: Secret,
    access: Option<Secret>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tokens {
    access_token: String,
    refresh_token: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

impl OAuth {
    pub(in crate::snowflake) fn new(client_id: String, client_secret: Secret, refresh: Secret) -> Self {
        Self { client_id, client_secret, held: Mutex::new(Held { refresh, access: None }) }
    }

    /// An access token: the one in hand, or a new one.
    async fn access(&self, line: &Line) -> Result<Secret> {
        let mut held = self.held.lock().await;
        if let Some(token) = &held.access {
            return Ok(token.clone());
        }
        let form = [("grant_type", "refresh_token"), ("refresh_token", held.refresh.expose())];
        let body = form.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&");
        let fail = |error: reqwest::Error| {
            Error::new(ErrorKind::Unavailable, format!("refresh the OAuth token: no answer from {}", line.host()))
                .cause(chain(&error))
        };
        let request = line
            .http
            .post(line.url("/oauth/token-request")?)
            .basic_auth(&self.client_id, Some(self.client_secret.expose()))
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let response = request.send().await.map_err(fail)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(fail)?;
        let tokens: Tokens = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() || tokens.access_token.is_empty() {
            return Err(refused(status, tokens));
        }
        if let Some(next) = tokens.refresh_token.filter(|token| !token.is_empty()) {
            held.refresh = Secret::new(next);
        }
        let access = Secret::new(tokens.access_token);
        held.access = Some(access.clone());
        Ok(access)
    }
}

fn refused(status: StatusCode, tokens: Tokens) -> Error {
    if status.is_server_error() {
        return Error::new(ErrorKind::Unavailable, format!("refresh the OAuth token: the server answers {status}"));
    }
    let says = [tokens.error, tokens.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
    Error::new(ErrorKind::Unauthorized, format!("refresh the OAuth token: refused ({status})")).cause(says).hint(
        "refresh tokens of Snowflake end after at most 90 days: authorize the connection again, or change to `method: key_pair`",
    )
}

/// Form encoding: all but letters, digits and `-._~` as `%XX`.
fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
