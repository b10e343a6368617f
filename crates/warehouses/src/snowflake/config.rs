//! Settings of a connection.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_model::schema::Relation;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};
use tidegate_net::http::Http;
use tidegate_net::oauth::{Client, Login, Proof};

use super::wire::{Context, Credentials, KeyPair, Line, Patience, TokenKind};
use crate::list::OpenContext;

/// Where Snowpark Container Services keeps the tokens of a service.
const SPCS_TOKEN: &str = "/snowflake/session/token";
/// Names the service beside it.
const SPCS_SERVICE: &str = "spcs_token";

/// A Snowflake account.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "snowflake")]
pub(crate) struct Config {
    /// The account's identifier, `myorg-myaccount`: what stands before `.snowflakecomputing.com`. With `spcs` the
    /// container says it.
    #[serde(default)]
    account: String,
    /// The user that logs in; not needed with tokens.
    user: Option<String>,
    /// The role that works; else the user's default role.
    role: Option<String>,
    /// The warehouse that computes.
    warehouse: Option<String>,
    /// Where relations of one or two parts are.
    database: Option<String>,
    /// Where relations of one part are.
    schema: Option<String>,
    /// An internal stage through which large loads pass, as files. In the work schema, if it names no other.
    stage: Option<String>,
    /// Another host than the account's own: PrivateLink, a test server.
    host: Option<String>,
    port: Option<u16>,
    /// `https`, or `http` for a test server on this machine.
    #[schemars(with = "Option<String>")]
    protocol: Option<Protocol>,
    /// How to log in.
    auth: Auth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Https,
    Http,
}

/// How to log in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
enum Auth {
    /// A service user's RSA key: what we advise.
    KeyPair {
        /// The key's PEM text: `"${file:keys/tidegate.p8}"`.
        #[schemars(with = "String")]
        private_key: Secret,
        /// Of an encrypted key.
        #[schemars(with = "Option<String>")]
        passphrase: Option<Secret>,
    },
    /// A ready-made token.
    Token {
        /// `pat` (programmatic access token) or `oauth` (an access token that somebody else keeps fresh).
        kind: Kind,
        #[schemars(with = "String")]
        token: Secret,
    },
    /// A password.
    Password {
        #[schemars(with = "String")]
        password: Secret,
    },
    /// OAuth: a person signs in with `tidegate auth CONNECTION`.
    #[serde(rename = "oauth")]
    Refreshed {
        client_id: String,
        /// Public clients have none.
        #[schemars(with = "Option<String>")]
        client_secret: Option<Secret>,
        /// A refresh token from elsewhere, by reference (`secret:NAME`), until somebody signs in.
        #[schemars(with = "Option<String>")]
        refresh_token: Option<Secret>,
    },
    /// The token that Snowpark Container Services gives a service.
    Spcs {
        /// Where it is, if not where the service finds it by itself.
        token_file: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Pat,
    Oauth,
}

/// What the surroundings of a container say; nothing anywhere else.
#[derive(Debug, Default)]
pub(super) struct Container {
    host: Option<String>,
    account: Option<String>,
    database: Option<String>,
    schema: Option<String>,
}

impl Container {
    /// Reads what Snowpark Container Services puts into the environment.
    pub(super) fn look() -> Self {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            host: get("SNOWFLAKE_HOST"),
            account: get("SNOWFLAKE_ACCOUNT"),
            database: get("SNOWFLAKE_DATABASE"),
            schema: get("SNOWFLAKE_SCHEMA"),
        }
    }
}

impl Config {
    pub(super) fn parse(config: &serde_json::Value) -> Result<Self> {
        serde_json::from_value(config.clone()).map_err(|error| {
            Error::config("settings of a snowflake warehouse")
                .cause(error)
                .hint("it takes account, user, role, warehouse, database, schema and auth: {method: key_pair, private_key: …}")
        })
    }

    /// What sessions need to log in.
    pub(super) fn context(self, open: &OpenContext, container: Container, patience: Patience) -> Result<Context> {
        let (account, base, container) = self.address(container)?;
        // Answers are held back for up to 45 seconds while a statement runs.
        let http = Http { read_timeout: Duration::from_secs(90), targets: open.targets.clone(), ..Http::default() };
        Ok(Context {
            line: Line::new(http.client()?, &base, patience)?,
            account,
            credentials: self.auth.credentials(self.user, self.role.as_deref(), &base, open)?,
            database: self.database.or(container.database),
            schema: self.schema.or(container.schema),
            warehouse: self.warehouse,
            role: self.role,
            query_tag: serde_json::json!({ "app": "tidegate", "connection": open.name }).to_string(),
        })
    }

    /// The stage for large loads, with all of its parts: in the work schema, if it says no other.
    pub(super) fn stage(&self, open: &OpenContext, container: &Container) -> Result<Option<[String; 3]>> {
        let Some(named) = self.stage.as_deref() else { return Ok(None) };
        let spcs = matches!(self.auth, Auth::Spcs { .. });
        let inside = container.database.as_ref().filter(|_| spcs);
        let database = || {
            self.database.as_ref().or(inside).cloned().ok_or_else(|| {
                Error::config(format!("`stage: {named}` does not say its database, and neither does the connection"))
                    .hint("set `database:`, or write database, schema and name with points between")
            })
        };
        let parts = Relation::parse(named.trim_start_matches('@')).0;
        if parts.iter().any(String::is_empty) || named.contains('/') {
            return Err(Error::config(format!("`stage: {named}` names no stage"))
                .hint("name an internal stage as Snowflake holds it: ANALYTICS.TIDEGATE.LOADS"));
        }
        Ok(Some(match parts.as_slice() {
            [name] => [database()?, open.work_schema.to_uppercase(), name.clone()],
            [schema, name] => [database()?, schema.clone(), name.clone()],
            [database, schema, name] => [database.clone(), schema.clone(), name.clone()],
            _ => {
                return Err(Error::config(format!("`stage: {named}` has more than three parts"))
                    .hint("a stage has a database, a schema and a name"));
            }
        }))
    }

    /// The login of a person, where one has to sign in.
    pub(super) fn login(self, open: &OpenContext) -> Result<Option<Login>> {
        let (_, base, _) = self.address(Container::default())?;
        match self.auth {
            Auth::Refreshed { client_id, client_secret, refresh_token } => {
                let client = client(&base, client_id, client_secret, self.role.as_deref());
                Ok(Some(Login::new(&open.name, client, refresh_token, open.vault.clone())))
            }
            _ => Ok(None),
        }
    }

    /// The account, its address, and what a container says, if this is one's login.
    fn address(&self, container: Container) -> Result<(String, String, Container)> {
        let spcs = matches!(self.auth, Auth::Spcs { .. });
        let container = if spcs { container } else { Container::default() };
        let named = Some(&self.account).filter(|account| !account.is_empty());
        let account = named.or(container.account.as_ref()).cloned().unwrap_or_default();
        let account = account.trim().trim_end_matches(".snowflakecomputing.com").to_owned();
        let host = match self.host.as_ref().or(container.host.as_ref()).cloned() {
            Some(host) => host,
            None if account.is_empty() => {
                return Err(
                    Error::config("`account:` is missing").hint("it is the part before .snowflakecomputing.com")
                );
            }
            None => format!("{account}.snowflakecomputing.com"),
        };
        let protocol = self.protocol.unwrap_or(Protocol::Https);
        if protocol == Protocol::Http && !local(&host) {
            return Err(Error::config(format!("`protocol: http` would send the login to {host} in the clear"))
                .hint("leave it out; it is for test servers on this machine"));
        }
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = if protocol == Protocol::Http { "http" } else { "https" };
        Ok((account, format!("{scheme}://{host}{port}"), container))
    }
}

/// tidegate, as a security integration of the account knows it.
fn client(base: &str, client_id: String, client_secret: Option<Secret>, role: Option<&str>) -> Client {
    let plain = |role: &str| role.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let role = role.map(|role| match plain(role) {
        true => format!(" session:role:{role}"),
        false => format!(" session:role-encoded:{}", escape(role)),
    });
    Client {
        authorize_url: format!("{base}/oauth/authorize"),
        token_url: format!("{base}/oauth/token-request"),
        client_id,
        client_secret,
        scope: format!("refresh_token{}", role.unwrap_or_default()),
        proof: Proof::Basic,
        authorize_extra: Vec::new(),
        token_extra: Vec::new(),
    }
}

/// All but letters, digits and `-._~` as `%XX`.
pub(super) fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// This machine.
fn local(host: &str) -> bool {
    matches!(host, "localhost" | "[::1]") || host.starts_with("127.")
}

impl Auth {
    fn credentials(
        self,
        user: Option<String>,
        role: Option<&str>,
        base: &str,
        open: &OpenContext,
    ) -> Result<Credentials> {
        let needed = |user: Option<String>| {
            user.filter(|user| !user.is_empty())
                .ok_or_else(|| Error::config("`user:` is missing").hint("name the user that logs in"))
        };
        Ok(match self {
            Self::KeyPair { private_key, passphrase } => Credentials::KeyPair {
                user: needed(user)?,
                key: KeyPair::parse(private_key.expose(), passphrase.as_ref())?,
            },
            Self::Password { password } => Credentials::Password { user: needed(user)?, password },
            Self::Token { kind, token } => {
                let kind = if kind == Kind::Pat { TokenKind::Pat } else { TokenKind::OAuth };
                Credentials::Token { user, kind, token }
            }
            Self::Refreshed { client_id, client_secret, refresh_token } => {
                let client = client(base, client_id, client_secret, role);
                Credentials::OAuth { user, login: Login::new(&open.name, client, refresh_token, open.vault.clone()) }
            }
            Self::Spcs { token_file } => {
                let path = token_file.map_or_else(|| PathBuf::from(SPCS_TOKEN), |path| open.project_dir.join(path));
                Credentials::File { service: path.with_file_name(SPCS_SERVICE), path }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context(settings: serde_json::Value, container: Container) -> Result<Context> {
        let open = OpenContext {
            project_dir: "/project".into(),
            access_write: false,
            work_schema: "TIDEGATE".into(),
            name: "lake".into(),
            vault: tidegate_net::oauth::in_memory(),
            targets: None,
        };
        Config::parse(&settings)?.context(&open, container, Patience::default())
    }

    #[test]
    fn the_host_is_the_accounts_or_the_one_named() {
        let auth = json!({ "method": "password", "password": "p" });
        let host = |extra: serde_json::Value| {
            let mut settings = json!({ "account": "acme-prod", "user": "U", "auth": auth });
            settings.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
            context(settings, Container::default()).map(|context| context.line.host().to_owned())
        };
        assert_eq!(host(json!({})).expect("a host"), "acme-prod.snowflakecomputing.com");
        assert_eq!(host(json!({ "host": "acme.privatelink" })).expect("a host"), "acme.privatelink");
        assert_eq!(host(json!({ "host": "127.0.0.1", "port": 1, "protocol": "http" })).expect("a host"), "127.0.0.1");
        assert!(host(json!({ "protocol": "http" })).is_err(), "a login in the clear");
        assert!(host(json!({ "hots": "x" })).is_err(), "an unknown setting");
        assert!(host(json!({ "user": null })).is_err(), "a password without a user");
    }

    #[test]
    fn a_container_says_where_it_runs_and_nobody_else_is_asked() {
        let inside = || Container {
            host: Some("inside.example".into()),
            account: Some("ACME".into()),
            database: Some("DB".into()),
            schema: None,
        };
        let spcs = context(json!({ "auth": { "method": "spcs" } }), inside()).expect("a context");
        assert_eq!((spcs.line.host(), spcs.account.as_str()), ("inside.example", "ACME"));
        assert_eq!(spcs.database.as_deref(), Some("DB"));
        let pat = json!({ "account": "acme", "auth": { "method": "token", "kind": "pat", "token": "t" } });
        assert_eq!(context(pat, inside()).expect("a context").line.host(), "acme.snowflakecomputing.com");
    }

    #[test]
    fn a_refused_setting_never_shows_a_secret() {
        let settings =
            json!({ "account": "a", "user": "u", "auth": { "method": "key_pair", "private_key": "hunter2" } });
        let Err(error) = context(settings, Container::default()) else { panic!("a key that is none") };
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn a_person_signs_in_where_the_account_is_and_with_the_role_of_the_connection() {
        let open = OpenContext {
            project_dir: "/project".into(),
            access_write: false,
            work_schema: "TIDEGATE".into(),
            name: "lake".into(),
            vault: tidegate_net::oauth::in_memory(),
            targets: None,
        };
        let login = |role: &str, auth: serde_json::Value| {
            let settings = json!({ "account": "acme-prod", "role": role, "user": "U", "auth": auth });
            Config::parse(&settings).expect("settings").login(&open).expect("an address")
        };
        let oauth = json!({ "method": "oauth", "client_id": "c", "client_secret": "s" });
        let client = login("TIDEGATE", oauth.clone()).expect("a login").client().clone();
        assert_eq!(client.authorize_url, "https://acme-prod.snowflakecomputing.com/oauth/authorize");
        assert_eq!(client.scope, "refresh_token session:role:TIDEGATE");
        let client = login("my role", oauth).expect("a login").client().clone();
        assert_eq!(client.scope, "refresh_token session:role-encoded:my%20role");
        assert!(login("R", json!({ "method": "password", "password": "p" })).is_none());
    }

    #[test]
    fn a_stage_is_in_the_work_schema_unless_it_says_otherwise() {
        let open = OpenContext {
            project_dir: "/project".into(),
            access_write: true,
            work_schema: "tidegate".into(),
            name: "lake".into(),
            vault: tidegate_net::oauth::in_memory(),
            targets: None,
        };
        let stage = |stage: &str, database: Option<&str>| {
            let settings = json!({ "account": "a", "user": "U", "database": database, "stage": stage,
                "auth": { "method": "password", "password": "p" } });
            Config::parse(&settings).expect("settings").stage(&open, &Container::default())
        };
        let parts = |text: &str| stage(text, Some("DB")).expect("a stage").map(|parts| parts.join("|"));
        assert_eq!(parts("LOADS").as_deref(), Some("DB|TIDEGATE|LOADS"));
        assert_eq!(parts("@S.LOADS").as_deref(), Some("DB|S|LOADS"));
        assert_eq!(parts("X.S.\"my.stage\"").as_deref(), Some("X|S|my.stage"));
        for wrong in ["", "a..b", "a.b.c.d", "@LOADS/sub"] {
            assert!(stage(wrong, Some("DB")).is_err(), "{wrong}");
        }
        assert!(stage("LOADS", None).is_err());
    }
}
