//! Client credentials: a program signs in as itself. The token is kept in memory, and one caller at a time renews it.

use std::time::{Duration, Instant};

use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::Mutex;

use super::attempt::Proof;
use super::login::post;
use super::tokens::{read, without};

/// A token that ends sooner than this is renewed before it is used.
const MARGIN: Duration = Duration::from_secs(30);

/// A program that a service knows, and where it gets its tokens.
#[derive(Debug)]
pub struct Machine {
    /// The connection, for messages.
    pub connection: String,
    /// Where credentials become a token.
    pub token_url: String,
    /// The program's id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// What is asked for; `None`: what the service gives.
    pub scope: Option<String>,
    /// Whom the token is for, where the service wants to know.
    pub audience: Option<String>,
    /// How the program proves itself.
    pub proof: Proof,
    /// The token in hand.
    pub held: Mutex<Held>,
}

/// The token in hand.
#[derive(Debug, Default)]
pub struct Held {
    token: Option<Secret>,
    until: Option<Instant>,
    number: u64,
    /// It was taken once: that it is refused later says that it ended.
    taken: bool,
}

impl Machine {
    /// A token that is good for a while, and its number. Callers that come while it is renewed wait for the same one.
    ///
    /// # Errors
    /// `Unauthorized` if the service does not know the program, `Unavailable` if it does not answer.
    pub async fn access(&self, http: &reqwest::Client) -> Result<(Secret, u64)> {
        let mut held = self.held.lock().await;
        let good = held.until.is_some_and(|until| until > Instant::now());
        if let (Some(token), true) = (&held.token, good) {
            return Ok((token.clone(), held.number));
        }
        let doing = format!("get an OAuth token for {}", self.connection);
        let mut form = vec![("grant_type".to_owned(), "client_credentials".to_owned())];
        let given = [("scope", &self.scope), ("audience", &self.audience)];
        form.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
        let basic = match self.proof {
            Proof::Basic => Some((self.client_id.as_str(), &self.client_secret)),
            Proof::Form => {
                form.push(("client_id".to_owned(), self.client_id.clone()));
                form.push(("client_secret".to_owned(), self.client_secret.expose().to_owned()));
                None
            }
        };
        let (status, body) = post(http, &self.token_url, basic, &form, &doing).await?;
        let tokens = read(status, &body, &doing).map_err(|error| without(error, &self.client_secret))?;
        let life = Duration::from_secs(tokens.access_s);
        // A token that lives shorter than the margin is used for half of its life.
        let usable = life.checked_sub(MARGIN).filter(|left| !left.is_zero()).unwrap_or(life / 2);
        *held = Held {
            token: Some(tokens.access.clone()),
            until: Some(Instant::now() + usable),
            number: held.number + 1,
            taken: false,
        };
        Ok((tokens.access, held.number))
    }

    /// The service took the token of this number.
    pub async fn taken(&self, number: u64) {
        let mut held = self.held.lock().await;
        held.taken |= held.number == number;
    }

    /// The service refused the token of this number. True if another one is worth a try: this one was good before, or
    /// somebody has renewed it meanwhile.
    pub async fn refused(&self, number: u64) -> bool {
        let mut held = self.held.lock().await;
        if held.number != number {
            return true;
        }
        let ended = held.taken;
        (held.token, held.until) = (None, None);
        ended
    }
}

/// The error of a token that ended before its time.
pub fn ended(connection: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the OAuth token of {connection} has ended; another one is fetched"))
}
