//! Logins: Google's own crate makes and renews the tokens.

use std::sync::Arc;

use google_cloud_auth::credentials::{
    self, CacheableResource, Credentials, CredentialsProvider, EntityTag, service_account,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue, header::AUTHORIZATION};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::http::Http;
use tidegate_net::oauth::{self, Client, Proof};
use tidegate_net::targets::Targets;
use tokio::sync::OnceCell;

/// What tidegate asks for: queries and tables, and nothing else of the project.
const SCOPES: [&str; 1] = ["https://www.googleapis.com/auth/bigquery"];

/// How to log in.
#[derive(Debug, Clone)]
pub(super) enum Login {
    /// A service account's key, as JSON.
    ServiceAccount(Secret),
    /// What the machine has.
    ApplicationDefault,
    /// What a person consented to, by `tidegate auth`.
    Consent(Arc<oauth::Login>),
    /// Nothing.
    None,
}

/// A login, and the tokens that it gets.
pub(super) struct Tokens {
    login: Login,
    /// Where a person's tokens may be asked for, if not everywhere.
    targets: Option<Targets>,
    made: OnceCell<Credentials>,
}

impl Tokens {
    pub(super) fn new(login: Login, targets: Option<Targets>) -> Self {
        Self { login, targets, made: OnceCell::new() }
    }

    /// The credentials, made at the first use: they renew themselves in a task of the runtime.
    pub(super) async fn credentials(&self) -> Result<Credentials> {
        self.made.get_or_try_init(|| async { self.login.build(self.http()) }).await.cloned()
    }

    fn http(&self) -> Http {
        Http { targets: self.targets.clone(), ..Http::default() }
    }

    /// Forgets a token that BigQuery no longer takes, though its time is not over; true if there is a way to another one.
    pub(super) async fn forget(&self) -> bool {
        let Login::Consent(login) = &self.login else { return false };
        login.forget().await;
        true
    }

    /// The headers that say who we are.
    pub(super) async fn headers(&self) -> Result<HeaderMap> {
        if let Login::Consent(login) = &self.login {
            return bearer(&login.access(&self.http().client()?).await?);
        }
        match self.credentials().await?.headers(Default::default()).await {
            Ok(CacheableResource::New { data, .. }) => Ok(data),
            // Only ever the answer to a tag, and none is sent.
            Ok(CacheableResource::NotModified) => Err(Error::internal("a token came without its value")),
            Err(error) => Err(refused(&error)),
        }
    }
}

/// A token that is not given: for good, or for now.
fn refused(error: &CredentialsError) -> Error {
    if error.is_transient() {
        return Error::new(ErrorKind::Unavailable, "Google gives no token now").cause(error);
    }
    Error::new(ErrorKind::Unauthorized, "Google does not accept the login").cause(error).hint(
        "a key may be deleted or disabled, a consent withdrawn or a week old (apps in testing); make a new one and run `tidegate check`",
    )
}

impl Login {
    fn build(&self, http: Http) -> Result<Credentials> {
        // Google's crates take the provider of the process.
        tidegate_net::ring_for_the_process();
        let unusable = |what: &str, error: google_cloud_auth::build_errors::Error| {
            Error::config(format!("{what} cannot be used")).cause(plain(&error.to_string()))
        };
        match self {
            Self::ServiceAccount(key) => {
                let key = serde_json::from_str(key.expose()).map_err(|_| {
                    Error::config("`auth.key:` is no JSON")
                        .hint("it is the whole content of the key file: key: \"${file:keys/NAME.json}\"")
                })?;
                let scopes = service_account::AccessSpecifier::from_scopes(SCOPES);
                let built = service_account::Builder::new(key).with_access_specifier(scopes).build();
                built.map_err(|error| unusable("the service account's key", error))
            }
            Self::ApplicationDefault => credentials::Builder::default().with_scopes(SCOPES).build().map_err(|error| {
                unusable("the application default login", error)
                    .hint("set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`")
            }),
            Self::Consent(login) => Ok(Credentials::from(Consent { login: login.clone(), http: http.client()? })),
            Self::None => Ok(credentials::anonymous::Builder::new().build()),
        }
    }
}

/// tidegate, as a client of the person's own project knows it.
pub(super) fn client(client_id: String, client_secret: Secret, at: Option<&str>) -> Client {
    let extra = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Client {
        authorize_url: format!("{}/o/oauth2/v2/auth", at.unwrap_or("https://accounts.google.com")),
        token_url: format!("{}/token", at.unwrap_or("https://oauth2.googleapis.com")),
        client_id,
        client_secret: Some(client_secret),
        scope: SCOPES.join(" "),
        proof: Proof::Form,
        // Google gives a refresh token only when it is asked for, and only at a consent.
        authorize_extra: vec![extra("access_type", "offline"), extra("prompt", "consent")],
        token_extra: Vec::new(),
    }
}

/// A person's tokens, for Google's own clients.
#[derive(Debug)]
struct Consent {
    login: Arc<oauth::Login>,
    http: reqwest::Client,
}

impl CredentialsProvider for Consent {
    async fn headers(&self, _: Extensions) -> std::result::Result<CacheableResource<HeaderMap>, CredentialsError> {
        let failed = |error: Error| CredentialsError::from_msg(error.kind == ErrorKind::Unavailable, error.to_string());
        let access = self.login.access(&self.http).await.map_err(failed)?;
        let data = bearer(&access).map_err(failed)?;
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

fn bearer(token: &Secret) -> Result<HeaderMap> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| Error::new(ErrorKind::Unauthorized, "the token that came is no token"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// Of the builder's words only those that cannot quote a key.
fn plain(words: &str) -> String {
    words.split(['{', '"', '\'']).next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn error(login: Login) -> Error {
        Tokens::new(login, None).headers().await.expect_err("refused")
    }

    #[tokio::test]
    async fn a_login_that_cannot_work_is_told_without_its_secret() {
        let no_json = error(Login::ServiceAccount(Secret::new("hunter2"))).await;
        let half = error(Login::ServiceAccount(Secret::new(r#"{"client_email":"a@b","private_key":"hunter2"}"#))).await;
        for error in [no_json, half] {
            assert_eq!(error.kind, ErrorKind::Config, "{error:?}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        assert_eq!(Tokens::new(Login::None, None).headers().await.expect("none").len(), 0);
    }
}
