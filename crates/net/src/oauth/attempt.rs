//! A sign-in as such: addresses and forms. No calls.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use sha2::{Digest, Sha256};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};

/// How a client proves itself where codes become tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Id and secret in the header `Authorization: Basic`.
    Basic,
    /// Id and secret as fields of the form.
    Form,
}

/// An application that a service knows, and where that service signs people in.
#[derive(Debug, Clone)]
pub struct Client {
    /// What a browser opens.
    pub authorize_url: String,
    /// Where a code, or a refresh token, becomes an access token.
    pub token_url: String,
    /// The application's id.
    pub client_id: String,
    /// Its secret; public clients have none, and rely on PKCE alone.
    pub client_secret: Option<Secret>,
    /// What is asked for, words with spaces between.
    pub scope: String,
    /// How it proves itself.
    pub proof: Proof,
    /// Further parameters of the address that a browser opens.
    pub authorize_extra: Vec<(String, String)>,
    /// Further fields of the form that turns a code into tokens.
    pub token_extra: Vec<(String, String)>,
}

/// One person's attempt to sign in. Its secrets live as long as the attempt: they are never stored.
#[derive(Debug, Clone)]
pub struct Attempt {
    redirect_uri: String,
    state: Secret,
    verifier: Secret,
}

impl Attempt {
    /// Begins one. The address that the browser is sent back to must be the one that the service knows, to the letter.
    pub fn begin(redirect_uri: &str) -> Self {
        let random = || URL_SAFE_NO_PAD.encode(crate::random::bytes::<32>());
        Self { redirect_uri: redirect_uri.to_owned(), state: Secret::new(random()), verifier: Secret::new(random()) }
    }

    /// Where the browser is sent back to.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// What names this attempt in the browser's answer: a server that has several finds the right one by it.
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// The address that a person opens in a browser.
    ///
    /// # Errors
    /// An address of the service that is none.
    pub fn authorize_url(&self, client: &Client) -> Result<Url> {
        let mut url = Url::parse(&client.authorize_url).map_err(|error| {
            Error::config(format!("the address {} cannot be used", client.authorize_url)).cause(error)
        })?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose().as_bytes()));
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("state", self.state.expose())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if !client.scope.is_empty() {
            query.append_pair("scope", &client.scope);
        }
        query.extend_pairs(&client.authorize_extra);
        drop(query);
        Ok(url)
    }

    /// The code in what came back from the browser: the whole address, or what stands behind its `?`.
    ///
    /// # Errors
    /// An answer of another attempt (`Forbidden`), a sign-in that was refused (`Unauthorized`), an answer without a code.
    pub fn code(&self, answer: &str) -> Result<Secret> {
        let answer = answer.trim();
        let query = answer.split_once('?').map_or(answer, |(_, query)| query);
        let query = query.split('#').next().unwrap_or(query);
        let base = Url::parse(&format!("http://localhost/?{query}"))
            .map_err(|_| Error::config("what came back is no address").hint(WHOLE))?;
        let find =
            |name: &str| base.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
        let state = find("state").unwrap_or_default();
        if ring_eq(state.as_bytes(), self.state.expose().as_bytes()) {
            if let Some(error) = find("error") {
                let says = find("error_description").map_or(error.clone(), |text| format!("{error}: {text}"));
                return Err(Error::new(ErrorKind::Unauthorized, "the sign-in was refused")
                    .cause(plain(&says))
                    .hint("start again, as a user who may use the role or the scope that the connection asks for"));
            }
            return match find("code").filter(|code| !code.is_empty()) {
                Some(code) => Ok(Secret::new(code)),
                None => Err(Error::config("what came back holds no code").hint(WHOLE)),
            };
        }
        Err(Error::new(
            ErrorKind::Forbidden,
            "what came back belongs to another attempt to sign in (its `state` differs)",
        )
        .hint("open the address that was printed last, and use what comes back from that"))
    }

    /// The form that turns a code into tokens.
    pub(super) fn form(&self, client: &Client, code: &Secret) -> Vec<(String, String)> {
        let mut form = fields(&[
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", self.verifier.expose()),
        ]);
        form.extend(client.token_extra.iter().cloned());
        client.prove(form)
    }
}

const WHOLE: &str =
    "paste the whole address that the browser shows after the sign-in; it has `code=` and `state=` in it";

impl Client {
    /// The form that turns a refresh token into an access token.
    pub(super) fn refresh_form(&self, refresh: &Secret) -> Vec<(String, String)> {
        self.prove(fields(&[("grant_type", "refresh_token"), ("refresh_token", refresh.expose())]))
    }

    fn prove(&self, mut form: Vec<(String, String)>) -> Vec<(String, String)> {
        if self.proof == Proof::Form || self.client_secret.is_none() {
            form.push(("client_id".to_owned(), self.client_id.clone()));
            form.extend(
                self.client_secret.iter().map(|secret| ("client_secret".to_owned(), secret.expose().to_owned())),
            );
        }
        form
    }
}

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Equal, in a time that does not tell where they differ.
fn ring_eq(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// A text of somebody else's, for a message: one line, and not too long.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            authorize_url: "https://acme.example/oauth/authorize".into(),
            token_url: "https://acme.example/oauth/token-request".into(),
            client_id: "id=1&".into(),
            client_secret: Some(Secret::new("hunter2")),
            scope: "refresh_token session:role:R".into(),
            proof: Proof::Basic,
            authorize_extra: vec![("access_type".into(), "offline".into())],
            token_extra: vec![("extra".into(), "yes".into())],
        }
    }

    fn found(url: &Url, name: &str) -> String {
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).expect(name)
    }

    #[test]
    fn the_address_carries_the_challenge_and_not_the_verifier() {
        let attempt = Attempt::begin("http://127.0.0.1:8080/oauth/callback");
        let url = attempt.authorize_url(&client()).expect("an address");
        assert_eq!(found(&url, "client_id"), "id=1&");
        assert_eq!(found(&url, "access_type"), "offline");
        assert_eq!(found(&url, "code_challenge_method"), "S256");
        assert!(!url.as_str().contains(attempt.verifier.expose()) && !url.as_str().contains("hunter2"));
        let challenge = URL_SAFE_NO_PAD.decode(found(&url, "code_challenge")).expect("base64");
        assert_eq!(challenge, Sha256::digest(attempt.verifier.expose()).to_vec());
        assert!(attempt.verifier.expose().len() >= 43, "RFC 7636 wants 43 characters");
        assert_ne!(Attempt::begin("x").state(), Attempt::begin("x").state());
        assert!(!format!("{attempt:?}").contains(attempt.state.expose()));
    }

    #[test]
    fn an_answer_is_taken_only_by_the_attempt_that_asked() {
        let (attempt, other) = (Attempt::begin("http://h/cb"), Attempt::begin("http://h/cb"));
        let answer = |attempt: &Attempt| format!("http://h/cb?code=a%2Fb&state={}#x", attempt.state.expose());
        assert_eq!(attempt.code(&answer(&attempt)).expect("a code").expose(), "a/b");
        let query = answer(&attempt);
        assert!(attempt.code(query.split_once('?').expect("a query").1).is_ok());
        assert_eq!(attempt.code(&answer(&other)).expect_err("a wrong state").kind, ErrorKind::Forbidden);
        assert_eq!(attempt.code("code=a").expect_err("no state").kind, ErrorKind::Forbidden);
        let refused = format!("error=access_denied&error_description=no%0Arole&state={}", attempt.state.expose());
        let error = attempt.code(&refused).expect_err("refused");
        assert!(
            error.kind == ErrorKind::Unauthorized && error.to_string().contains("access_denied: norole"),
            "{error}"
        );
        assert_eq!(
            attempt.code(&format!("state={}", attempt.state.expose())).expect_err("none").kind,
            ErrorKind::Config
        );
    }

    #[test]
    fn clients_prove_themselves_once() {
        let names = |form: Vec<(String, String)>| form.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let attempt = Attempt::begin("http://h/cb");
        let code = Secret::new("c");
        assert_eq!(
            names(attempt.form(&client(), &code)),
            ["grant_type", "code", "redirect_uri", "code_verifier", "extra"]
        );
        let form = Client { proof: Proof::Form, ..client() };
        assert!(names(form.refresh_form(&code)).ends_with(&["client_id".to_owned(), "client_secret".to_owned()]));
        let public = Client { client_secret: None, ..client() };
        assert_eq!(names(public.refresh_form(&code)).last().map(String::as_str), Some("client_id"));
    }
}
