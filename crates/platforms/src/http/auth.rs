//! How a request proves who sends it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::oauth::{self, Machine};

use super::config::{Auth, Proof};

/// Ready to use.
#[derive(Debug)]
pub(super) enum Ready {
    /// Nothing is sent.
    Open,
    /// The same header with each request.
    Fixed(HeaderName, HeaderValue),
    /// A token that is fetched and renewed.
    OAuth(Box<Machine>),
}

/// A header, and the number of the token in it.
pub(super) type Proven = Option<(HeaderName, HeaderValue, u64)>;

fn header(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Error::config("auth: the credentials hold signs that a header cannot carry")
            .hint("copy them again; a line end at the end is a frequent guest")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn bearer(token: &str) -> Result<HeaderValue> {
    header(&format!("Bearer {token}"))
}

/// Credentials that could never work are told before the first call.
pub(super) fn ready(auth: Auth, connection: &str) -> Result<Ready> {
    let given = |name: &str, text: &str| match text.trim().is_empty() {
        true => {
            Err(Error::config(format!("auth.{name} is empty")).hint("set the variable or the secret that it names"))
        }
        false => Ok(()),
    };
    Ok(match auth {
        Auth::None => Ready::Open,
        Auth::Bearer { token } => {
            given("token", token.expose())?;
            Ready::Fixed(AUTHORIZATION, bearer(token.expose())?)
        }
        Auth::Basic { user, password } => {
            let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
            Ready::Fixed(AUTHORIZATION, header(&format!("Basic {pair}"))?)
        }
        Auth::Header { name, value } => {
            given("value", value.expose())?;
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Error::config(format!("auth.name: {name:?} cannot be a header's name")))?;
            Ready::Fixed(name, header(value.expose())?)
        }
        Auth::Oauth { token_url, client_id, client_secret, scope, audience, proof } => {
            given("client_secret", client_secret.expose())?;
            Ready::OAuth(Box::new(Machine {
                connection: connection.to_owned(),
                token_url,
                client_id,
                client_secret,
                scope,
                audience,
                proof: match proof {
                    Proof::Form => oauth::Proof::Form,
                    Proof::Basic => oauth::Proof::Basic,
                },
                held: Default::default(),
            }))
        }
    })
}

impl Ready {
    /// The header of a request.
    pub(super) async fn prove(&self, client: &Client) -> Result<Proven> {
        Ok(match self {
            Self::Open => None,
            Self::Fixed(name, value) => Some((name.clone(), value.clone(), 0)),
            Self::OAuth(machine) => {
                let (token, number) = machine.access(client).await?;
                Some((AUTHORIZATION, bearer(token.expose())?, number))
            }
        })
    }

    /// What a status says of the token: an error in the place of `401` if it ended and another one is worth a try.
    pub(super) async fn heard(&self, proven: &Proven, status: u16) -> Option<Error> {
        let (Self::OAuth(machine), Some((_, _, number))) = (self, proven) else { return None };
        if status != 401 {
            machine.taken(*number).await;
            return None;
        }
        machine.refused(*number).await.then(|| oauth::ended(&machine.connection))
    }

    /// Whether credentials can be tried without a request to the endpoint: tries them.
    pub(super) async fn tried(&self, client: &Client) -> Result<()> {
        match self {
            Self::OAuth(machine) => machine.access(client).await.map(drop),
            Self::Open | Self::Fixed(..) => Ok(()),
        }
    }

    /// Whether something of ours goes in the header `Authorization`.
    pub(super) fn takes(&self, name: &HeaderName) -> bool {
        match self {
            Self::Open => false,
            Self::Fixed(own, _) => own == name,
            Self::OAuth(_) => *name == AUTHORIZATION,
        }
    }
}

/// Whether an error says that nothing was asked of the endpoint itself.
pub(super) fn stops(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unauthorized | ErrorKind::NotFound | ErrorKind::Config)
}
