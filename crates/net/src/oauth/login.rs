//! A connection that a person signed in to: its tokens, kept fresh.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::Mutex;

use super::attempt::{Attempt, Client};
use super::tokens::{Tokens, read};
use super::vault::Vault;

/// A refresh is over by then, one way or the other.
const CALL_MAX: Duration = Duration::from_secs(30);
/// The right to refresh ends by itself after this time, should its holder die: later than its call.
const CLAIM: Duration = Duration::from_secs(45);
/// Who waits for another's refresh looks this often.
const LOOK: Duration = Duration::from_millis(200);
/// A token that ends sooner than this is refreshed before it is used.
const MARGIN_S: u64 = 60;

/// The tokens of one connection.
#[derive(Debug)]
pub struct Login {
    connection: String,
    client: Client,
    /// A refresh token of the connection's file: what is used until somebody signs in.
    seed: Option<Secret>,
    vault: Arc<dyn Vault>,
    given: Mutex<Given>,
}

/// How a sign-in stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has signed in.
    Nobody,
    /// Somebody has; it ends at this second since 1970, if the service said so.
    SignedIn {
        /// When.
        until_s: Option<u64>,
    },
    /// It is over: a person has to sign in again.
    Over,
}

/// Access tokens as this process had them.
#[derive(Debug, Default)]
struct Given {
    last: Option<Secret>,
    /// One that the service refused although its time was not over.
    refused: Option<Secret>,
}

/// What is kept, sealed.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// Which client and which seed the tokens belong to: those of another are not used.
    whose: String,
    refresh: String,
    access: String,
    access_until_s: u64,
    /// When the refresh token ends, where the service says so.
    refresh_until_s: Option<u64>,
    /// The refresh token is no longer good: nobody asks with it again.
    dead: bool,
}

impl Login {
    /// Tokens of a connection. `seed` is a refresh token that its file names, if any.
    pub fn new(connection: &str, client: Client, seed: Option<Secret>, vault: Arc<dyn Vault>) -> Self {
        Self { connection: connection.to_owned(), client, seed, vault, given: Mutex::default() }
    }

    /// The client that signs in.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether somebody has signed in, and until when that holds, if the service said so. Nothing is asked of it.
    ///
    /// # Errors
    /// A vault that cannot be read.
    pub async fn standing(&self) -> Result<Standing> {
        let kept = self.kept().await?;
        let until_s = kept.refresh_until_s;
        let over = kept.dead || until_s.is_some_and(|until| until <= now_s());
        Ok(match (kept.refresh.is_empty(), over) {
            (true, _) => Standing::Nobody,
            (false, true) => Standing::Over,
            (false, false) => Standing::SignedIn { until_s },
        })
    }

    /// The name under which the vault keeps the tokens of a connection.
    pub fn kept_as(connection: &str) -> String {
        format!("oauth.{connection}")
    }

    /// Turns the code of an attempt into tokens, and keeps them. Seconds that the refresh token lives, if told.
    ///
    /// # Errors
    /// A code that was used, or belongs to another attempt; a service that does not answer; no refresh token.
    pub async fn sign_in(&self, http: &reqwest::Client, attempt: &Attempt, code: &Secret) -> Result<Option<u64>> {
        let doing = format!("sign in to {}", self.connection);
        let tokens = self.call(http, attempt.form(&self.client, code), &doing).await.map_err(|error| {
            if error.kind == ErrorKind::Unauthorized && error.hint.is_none() {
                error.hint("a code is good once, for minutes: run `tidegate auth` again")
            } else {
                error
            }
        })?;
        let Some(refresh) = tokens.refresh.clone() else {
            return Err(Error::new(ErrorKind::Unauthorized, format!("{doing}: the service gave no refresh token")).hint(
                "let its client issue refresh tokens (Snowflake: OAUTH_ISSUE_REFRESH_TOKENS = TRUE), then sign in again",
            ));
        };
        self.keep(&refresh, &tokens, None).await?;
        Ok(tokens.refresh_s)
    }

    /// An access token that is good for a minute at least: one that is kept, or a new one.
    ///
    /// # Errors
    /// `Unauthorized` when nobody has signed in, or the refresh token is dead: a person has to.
    pub async fn access(&self, http: &reqwest::Client) -> Result<Secret> {
        let access = self.kept_or_new(http).await?;
        self.given.lock().await.last = Some(access.clone());
        Ok(access)
    }

    async fn kept_or_new(&self, http: &reqwest::Client) -> Result<Secret> {
        let holder = format!("{:016x}", crate::random::number());
        let name = format!("oauth_refresh.{}", self.connection);
        let begun = Instant::now();
        loop {
            if let Some(access) = self.good(&self.kept().await?).await? {
                return Ok(access);
            }
            if self.vault.claim(&name, &holder, CLAIM).await? {
                let done = self.refresh(http).await;
                self.vault.release(&name, &holder).await?;
                return done;
            }
            if begun.elapsed() > CLAIM + CALL_MAX {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("another process has been refreshing the token of {} for too long", self.connection),
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The service does not take the access token that was given last, whatever its time: the next
    /// [`Login::access`] gets another.
    pub async fn forget(&self) {
        let mut given = self.given.lock().await;
        given.refused = given.last.take().or_else(|| given.refused.take());
    }

    /// The kept access token, if it can be used.
    async fn good(&self, kept: &Kept) -> Result<Option<Secret>> {
        if kept.dead || kept.refresh.is_empty() {
            return Err(self.needs_a_person(if kept.dead {
                "the refresh token is no longer good"
            } else {
                "nobody has signed in"
            }));
        }
        let access = Secret::new(kept.access.as_str());
        let usable =
            kept.access_until_s > now_s() + MARGIN_S && self.given.lock().await.refused.as_ref() != Some(&access);
        Ok(usable.then_some(access))
    }

    /// Refreshes, with the right to do so. Whoever had it before may have done it: so it is looked at again.
    async fn refresh(&self, http: &reqwest::Client) -> Result<Secret> {
        let mut kept = self.kept().await?;
        if let Some(access) = self.good(&kept).await? {
            return Ok(access);
        }
        let refresh = Secret::new(kept.refresh.as_str());
        let doing = format!("refresh the OAuth token of {}", self.connection);
        match self.call(http, self.client.refresh_form(&refresh), &doing).await {
            Ok(tokens) => {
                // A refresh token that stays the same ends when it would have ended.
                let until_s = if tokens.refresh.is_none() { kept.refresh_until_s } else { None };
                self.keep(tokens.refresh.as_ref().unwrap_or(&refresh), &tokens, until_s).await?;
                Ok(tokens.access)
            }
            // The client itself is refused (with a hint of its own): the refresh token may still be good.
            Err(error) if error.kind == ErrorKind::Unauthorized && error.hint.is_none() => {
                kept.dead = true;
                self.put(&kept).await?;
                let person = self.needs_a_person("the refresh token is no longer good");
                Err(Error { cause: error.cause, ..person })
            }
            Err(error) => Err(error),
        }
    }

    fn needs_a_person(&self, why: &str) -> Error {
        Error::new(ErrorKind::Unauthorized, format!("the connection {} needs attention: {why}", self.connection)).hint(
            format!(
                "sign in: `tidegate auth {}` (refresh tokens end: Snowflake's after at most 90 days)",
                self.connection
            ),
        )
    }

    async fn call(&self, http: &reqwest::Client, form: Vec<(String, String)>, doing: &str) -> Result<Tokens> {
        let basic = (self.client.proof == super::Proof::Basic).then_some(self.client.client_secret.as_ref()).flatten();
        let basic = basic.map(|secret| (self.client.client_id.as_str(), secret));
        let (status, bytes) = post(http, &self.client.token_url, basic, &form, doing).await?;
        read(status, &bytes, doing)
    }

    /// Client and seed, as a mark: what was kept for others of them is not used.
    fn whose(&self) -> String {
        let seed = self.seed.as_ref().map_or("", Secret::expose);
        let mark = Sha256::digest(format!("{}\n{}\n{seed}", self.client.token_url, self.client.client_id));
        mark.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What is kept for this client, else the seed.
    async fn kept(&self) -> Result<Kept> {
        let whose = self.whose();
        let text = self.vault.get(&Self::kept_as(&self.connection)).await?;
        let kept = text.and_then(|text| serde_json::from_str::<Kept>(text.expose()).ok());
        Ok(kept.filter(|kept| kept.whose == whose).unwrap_or_else(|| {
            let refresh = self.seed.as_ref().map_or("", Secret::expose).to_owned();
            Kept { whose, refresh, ..Kept::default() }
        }))
    }

    async fn keep(&self, refresh: &Secret, tokens: &Tokens, until_s: Option<u64>) -> Result<()> {
        let now = now_s();
        self.put(&Kept {
            whose: self.whose(),
            refresh: refresh.expose().to_owned(),
            access: tokens.access.expose().to_owned(),
            access_until_s: now + tokens.access_s,
            refresh_until_s: tokens.refresh_s.map(|life| now + life).or(until_s),
            dead: false,
        })
        .await
    }

    async fn put(&self, kept: &Kept) -> Result<()> {
        let text =
            serde_json::to_string(kept).map_err(|error| Error::internal("tokens cannot be written").cause(error))?;
        self.vault.put(&Self::kept_as(&self.connection), &Secret::new(text)).await
    }
}

/// Posts a form, with id and secret in the header where they go there: the status and the body of the answer.
pub(super) async fn post(
    http: &reqwest::Client,
    url: &str,
    basic: Option<(&str, &Secret)>,
    form: &[(String, String)],
    doing: &str,
) -> Result<(u16, Vec<u8>)> {
    let fail = |error: &reqwest::Error| {
        if let Some(ours) = crate::targets::refusal(error) {
            return ours.at(doing);
        }
        let why = if error.is_timeout() { "no answer in time" } else { "no answer" };
        let host = reqwest::Url::parse(url).ok();
        let host = host.as_ref().and_then(|url| url.host_str()).unwrap_or("the service").to_owned();
        Error::new(ErrorKind::Unavailable, format!("{doing}: {why} from {host}"))
            .hint("check the way there: proxy, firewall")
    };
    let mut body = reqwest::Url::parse("http://form/").map_err(|error| Error::internal("a form").cause(error))?;
    body.query_pairs_mut().extend_pairs(form);
    let mut request = http.post(url).timeout(CALL_MAX);
    if let Some((id, secret)) = basic {
        request = request.basic_auth(id, Some(secret.expose()));
    }
    let request = request
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.query().unwrap_or_default().to_owned());
    let response = request.send().await.map_err(|error| fail(&error))?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await.map_err(|error| fail(&error))?;
    Ok((status, bytes.into()))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
