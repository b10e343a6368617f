//! Who logs in. Asked anew before each login: tokens that live for minutes are fetched or read again.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};
use tidegate_net::oauth::Login;

use super::jwt::KeyPair;
use super::line::Line;

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
        login: Login,
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
            Self::OAuth { user, login } => {
                set("LOGIN_NAME", user.as_deref().unwrap_or_default());
                set("AUTHENTICATOR", "OAUTH");
                set("TOKEN", login.access(&line.http).await?.expose());
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
            Self::OAuth { login, .. } => {
                login.forget().await;
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
