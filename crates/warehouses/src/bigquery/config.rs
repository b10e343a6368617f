//! Settings of a connection.

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};
use tidegate_net::oauth;
use tidegate_net::targets::Targets;

use super::auth::{Login, client};
use crate::list::OpenContext;

/// Google's own address of the REST calls.
const REST: &str = "https://bigquery.googleapis.com";

/// A BigQuery project.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "bigquery")]
pub(crate) struct Config {
    /// The project that runs the queries and pays for them, and where relations of two parts are.
    project: String,
    /// Where relations of one part are.
    dataset: Option<String>,
    /// Where the data lives: `EU`, `US`, `europe-north1`. Queries run there, and tidegate's own dataset is made there.
    location: Option<String>,
    /// Another address for REST calls: Private Service Connect, an emulator.
    endpoint: Option<String>,
    /// Another address for the Storage Read API; `none` reads results by REST only.
    storage_endpoint: Option<String>,
    /// Another address where persons sign in and tokens are renewed (`method: oauth`); Google's own if it is left out.
    login_endpoint: Option<String>,
    /// A query that would bill more bytes than this is refused by BigQuery before it costs anything.
    maximum_bytes_billed: Option<u64>,
    /// How to log in.
    auth: Auth,
}

/// How to log in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
enum Auth {
    /// A service account's key.
    ServiceAccount {
        /// The key file's JSON: `"${file:keys/tidegate.json}"`.
        #[schemars(with = "String")]
        key: Secret,
    },
    /// What the machine has: `GOOGLE_APPLICATION_CREDENTIALS` (a key, or workload identity), `gcloud auth
    /// application-default login`, the metadata server of Google's own machines.
    ApplicationDefault,
    /// A person's consent: a client of the project's own, and the refresh token that consent gave.
    Oauth {
        client_id: String,
        #[schemars(with = "String")]
        client_secret: Secret,
        /// A refresh token that somebody else got, by reference: `secret:NAME`. Without it `tidegate auth` gets one.
        #[schemars(with = "Option<String>")]
        refresh_token: Option<Secret>,
    },
    /// No login: emulators only.
    None,
}

/// Where the Storage Read API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Storage {
    /// At Google's own address.
    Google,
    /// Somewhere else.
    At(String),
    /// Nowhere: results come by REST.
    Nowhere,
}

/// A connection's settings, proven as far as that goes without calling anybody.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) project: String,
    pub(super) dataset: Option<String>,
    pub(super) location: Option<String>,
    pub(super) rest: String,
    pub(super) storage: Storage,
    pub(super) bytes_max: Option<u64>,
    pub(super) login: Login,
    pub(super) targets: Option<Targets>,
}

impl Config {
    pub(super) fn parse(config: &serde_json::Value) -> Result<Self> {
        serde_json::from_value(config.clone()).map_err(|error| {
            Error::config("settings of a bigquery warehouse").cause(error).hint(
                "it takes project, dataset, location and auth: {method: service_account, key: \"${file:keys/NAME.json}\"}",
            )
        })
    }

    /// The login of a person, where one has to sign in.
    pub(super) fn login(self, open: &OpenContext) -> Result<Option<oauth::Login>> {
        match self.auth {
            Auth::Oauth { client_id, client_secret, refresh_token } => {
                let client = client(client_id, client_secret, endpoint(self.login_endpoint)?.as_deref());
                Ok(Some(oauth::Login::new(&open.name, client, refresh_token, open.vault.clone())))
            }
            _ => Ok(None),
        }
    }

    /// The settings in the form that the connector works with.
    pub(super) fn settings(self, open: &OpenContext) -> Result<Settings> {
        let login = self.auth.login(open, endpoint(self.login_endpoint)?.as_deref());
        let nobody = matches!(login, Login::None);
        let foreign = [self.endpoint.as_deref(), self.storage_endpoint.as_deref().filter(|at| *at != "none")];
        for at in foreign.into_iter().flatten() {
            guarded(at, nobody)?;
        }
        if nobody && self.endpoint.is_none() {
            return Err(Error::config("`auth: {method: none}` does not open BigQuery itself")
                .hint("it is for emulators: name one as `endpoint:`, or take `method: service_account`"));
        }
        let storage = match (self.storage_endpoint.as_deref(), &self.endpoint) {
            (Some("none"), _) => Storage::Nowhere,
            (Some(at), _) => Storage::At(at.trim_end_matches('/').to_owned()),
            // A private REST address says nothing of where the other one is; a login must not be sent to a guess.
            (None, Some(_)) if nobody => Storage::Nowhere,
            (None, _) => Storage::Google,
        };
        if self.project.trim().is_empty() {
            return Err(Error::config("`project:` is missing").hint("it is the project's id, such as acme-data-prod"));
        }
        Ok(Settings {
            project: self.project.trim().to_owned(),
            dataset: self.dataset,
            location: self.location,
            rest: self.endpoint.as_deref().unwrap_or(REST).trim_end_matches('/').to_owned(),
            storage,
            bytes_max: self.maximum_bytes_billed,
            login,
            targets: open.targets.clone(),
        })
    }
}

/// An address for signing in, without a slash at its end.
fn endpoint(at: Option<String>) -> Result<Option<String>> {
    let Some(at) = at else { return Ok(None) };
    guarded(&at, false)?;
    Ok(Some(at.trim_end_matches('/').to_owned()))
}

/// A login is never sent in the clear, but to this machine itself.
fn guarded(endpoint: &str, nobody: bool) -> Result<()> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    match scheme {
        "https" => Ok(()),
        "http" if nobody || here(endpoint) => Ok(()),
        "http" => Err(Error::config(format!("the endpoint {rest} would get the login in the clear"))
            .hint("write https://, or `auth: {method: none}` for an emulator")),
        _ => Err(Error::config(format!("the endpoint {endpoint} is no address"))
            .hint("it looks like https://bigquery.example or http://127.0.0.1:9050")),
    }
}

/// Whether an address leaves this machine not at all.
fn here(endpoint: &str) -> bool {
    let url = reqwest::Url::parse(endpoint).ok();
    let host = url.as_ref().and_then(reqwest::Url::host_str).unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Auth {
    fn login(self, open: &OpenContext, at: Option<&str>) -> Login {
        match self {
            Self::ServiceAccount { key } => Login::ServiceAccount(key),
            Self::ApplicationDefault => Login::ApplicationDefault,
            Self::Oauth { client_id, client_secret, refresh_token } => {
                let client = client(client_id, client_secret, at);
                let login = oauth::Login::new(&open.name, client, refresh_token, open.vault.clone());
                Login::Consent(std::sync::Arc::new(login))
            }
            Self::None => Login::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(extra: serde_json::Value) -> Result<Settings> {
        let mut settings = json!({ "project": "acme", "auth": { "method": "application_default" } });
        settings.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
        let open = OpenContext {
            project_dir: "/project".into(),
            access_write: false,
            work_schema: "TIDEGATE".into(),
            name: "lake".into(),
            vault: oauth::in_memory(),
            targets: None,
        };
        Config::parse(&settings)?.settings(&open)
    }

    #[test]
    fn addresses_are_googles_or_the_ones_named() {
        let plain = settings(json!({})).expect("settings");
        assert_eq!((plain.rest.as_str(), plain.storage), (REST, Storage::Google));
        let none = json!({ "method": "none" });
        let emulator = settings(json!({ "endpoint": "http://127.0.0.1:1/", "auth": none })).expect("settings");
        assert_eq!((emulator.rest.as_str(), emulator.storage), ("http://127.0.0.1:1", Storage::Nowhere));
        let both = json!({ "endpoint": "http://a:1", "storage_endpoint": "http://a:2", "auth": none });
        assert_eq!(settings(both).expect("settings").storage, Storage::At("http://a:2".into()));
        assert!(settings(json!({ "auth": none })).is_err(), "no login at Google");
    }

    #[test]
    fn a_login_is_never_sent_in_the_clear() {
        for at in ["http://10.0.0.1:1", "http://localhost.example", "http://127.0.0.1.example:1", "http://[fe80::1]:1"]
        {
            assert!(settings(json!({ "endpoint": at })).is_err(), "{at}");
            assert!(settings(json!({ "storage_endpoint": at })).is_err(), "{at}");
            assert!(settings(json!({ "login_endpoint": at })).is_err(), "{at}");
        }
        for at in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            assert!(settings(json!({ "endpoint": at })).is_ok(), "{at}: this machine itself");
        }
        assert!(settings(json!({ "endpoint": "ftp://x" })).is_err());
        assert!(settings(json!({ "endpoint": "https://bq.acme.example" })).is_ok());
        assert!(settings(json!({ "projekt": "x" })).is_err(), "an unknown setting");
    }
}
