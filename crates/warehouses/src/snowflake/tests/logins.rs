//! Every way to log in, with right and wrong credentials.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidegate_model::ErrorKind;
use tidegate_model::secret::Secret;
use tidegate_net::oauth::{Client, Login, Proof, in_memory};

use super::stand_in::{Fault, StandIn};
use super::{ask, context, one, password};
use crate::snowflake::wire::{Credentials, KeyPair, Session, TokenKind};

/// A key pair made by openssl, as the docs say to make one.
struct Keys {
    dir: tempfile::TempDir,
}

pub(super) fn openssl(dir: &Path, arguments: &[&str]) -> Vec<u8> {
    let run = Command::new("openssl").args(arguments).current_dir(dir).output();
    let run = run.expect("these tests make their keys with openssl: install it (apt-get install openssl)");
    assert!(run.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

impl Keys {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        openssl(dir.path(), &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.p8"]);
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn pem(&self) -> String {
        std::fs::read_to_string(self.path().join("key.p8")).unwrap()
    }

    fn encrypted(&self, cipher: &[&str]) -> String {
        let arguments = [&["pkcs8", "-topk8", "-in", "key.p8", "-passout", "pass:open sesame"], cipher].concat();
        String::from_utf8(openssl(self.path(), &arguments)).unwrap()
    }

    /// What an administrator gives the user: ALTER USER … SET RSA_PUBLIC_KEY.
    fn give_to(&self, server: &StandIn) {
        let public = openssl(self.path(), &["pkey", "-in", "key.p8", "-pubout", "-outform", "DER"]);
        use sha2::Digest;
        let fingerprint = format!("SHA256:{}", STANDARD.encode(sha2::Sha256::digest(&public)));
        let pkcs1 = openssl(self.path(), &["rsa", "-in", "key.p8", "-RSAPublicKey_out", "-outform", "DER"]);
        let mut account = server.account();
        (account.public_key, account.fingerprint) = (pkcs1, fingerprint);
    }
}

async fn login(server: &StandIn, credentials: Credentials) -> tidegate_model::Result<Session> {
    Session::login(&context(server, credentials)).await
}

fn key_pair(pem: &str, passphrase: Option<&str>) -> Credentials {
    let passphrase = passphrase.map(Secret::new);
    Credentials::KeyPair { user: "etl".into(), key: KeyPair::parse(pem, passphrase.as_ref()).expect("a key") }
}

#[tokio::test]
async fn key_pairs_of_every_form_log_in() {
    let (server, keys) = (StandIn::start().await, Keys::new());
    keys.give_to(&server);
    let old = String::from_utf8(openssl(keys.path(), &["rsa", "-in", "key.p8", "-traditional"])).unwrap();
    assert!(old.contains("BEGIN RSA PRIVATE KEY"));
    for (pem, passphrase) in [
        (keys.pem(), None),
        (old, None),
        (keys.encrypted(&["-v2", "aes-256-cbc"]), Some("open sesame")),
        (keys.encrypted(&["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA256"]), Some("open sesame")),
        (keys.encrypted(&["-v2", "des3"]), Some("open sesame")),
        (keys.encrypted(&["-scrypt", "-scrypt_N", "1024"]), Some("open sesame")),
    ] {
        let begins = pem.lines().next().unwrap_or_default().to_owned();
        let credentials = key_pair(&pem, passphrase);
        login(&server, credentials).await.unwrap_or_else(|error| panic!("{begins}: {error:?}"));
    }
    let wrong = Secret::new("guess");
    let error = KeyPair::parse(&keys.encrypted(&["-v2", "aes-256-cbc"]), Some(&wrong)).err().expect("refused");
    assert!(error.hint.is_some_and(|hint| hint.contains("passphrase")));
}

#[tokio::test]
async fn a_key_that_the_user_does_not_have_is_told_by_its_fingerprint() {
    let (server, keys, others) = (StandIn::start().await, Keys::new(), Keys::new());
    others.give_to(&server);
    let error = login(&server, key_pair(&keys.pem(), None)).await.err().expect("refused");
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    let hint = error.hint.expect("what to do");
    assert!(hint.contains("RSA_PUBLIC_KEY_FP") && hint.contains("SHA256:"), "{hint}");
    others.give_to(&server);
    assert!(login(&server, key_pair(&others.pem(), None)).await.is_ok());
}

#[tokio::test]
async fn passwords_and_tokens_log_in_or_are_refused() {
    let server = StandIn::start().await;
    server.account().password = "right".into();
    server.account().pats.insert("pat-1".into());
    server.account().access_tokens.insert("access-1".into());
    let token = |kind, token: &str| Credentials::Token { user: None, kind, token: Secret::new(token) };
    assert!(login(&server, password()).await.is_ok());
    assert!(login(&server, token(TokenKind::Pat, "pat-1")).await.is_ok());
    assert!(login(&server, token(TokenKind::OAuth, "access-1")).await.is_ok());
    let wrong = Credentials::Password { user: "etl".into(), password: Secret::new("wrong") };
    for (credentials, says) in [
        (wrong, "password"),
        (token(TokenKind::Pat, "old"), "network policy"),
        (token(TokenKind::OAuth, "old"), "expired"),
    ] {
        let error = login(&server, credentials).await.err().expect("refused");
        assert_eq!(error.kind, ErrorKind::Unauthorized, "{error}");
        assert!(error.hint.as_deref().unwrap_or("").contains(says), "{error:?}");
        assert!(!format!("{error:?}").contains("wrong") && !format!("{error:?}").contains("\"old\""));
    }
    let data = &server.calls("/session/v1/login-request")[0];
    assert_eq!((data.query["warehouse"].as_str(), data.query["roleName"].as_str()), ("WH", "TIDEGATE"));
    assert_eq!(data.body["data"]["SESSION_PARAMETERS"]["QUERY_TAG"], "tidegate");
    assert_eq!(data.body["data"]["CLIENT_ENVIRONMENT"]["APPLICATION"], "tidegate");
}

#[tokio::test]
async fn oauth_refreshes_once_for_everybody_and_keeps_the_new_refresh_token() {
    let server = StandIn::start().await;
    server.account().refresh_token = "refresh-0".into();
    let client = Client {
        authorize_url: "http://127.0.0.1/unused".into(),
        token_url: format!("http://127.0.0.1:{}/oauth/token-request", server.port),
        client_id: "client".into(),
        client_secret: Some(Secret::new("its secret")),
        scope: String::new(),
        proof: Proof::Basic,
        authorize_extra: Vec::new(),
        token_extra: Vec::new(),
    };
    let login = Login::new("lake", client, Some(Secret::new("refresh-0")), in_memory());
    let context = context(&server, Credentials::OAuth { user: None, login });
    let both = tokio::join!(Session::login(&context), Session::login(&context));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(server.calls("/oauth/token-request").len(), 1, "each login refreshed on its own");
    // The access token ends: the next login gets another one with the refresh token that came with the first.
    server.account().access_tokens.clear();
    assert!(Session::login(&context).await.is_ok());
    assert_eq!(server.calls("/oauth/token-request").len(), 2);
    server.account().access_tokens.clear();
    server.account().refresh_token = "revoked".into();
    let error = Session::login(&context).await.err().expect("refused");
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.hint.is_some_and(|hint| hint.contains("90 days")));
}

#[tokio::test]
async fn the_containers_token_is_read_before_each_login() {
    let server = StandIn::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let file = || Credentials::File { path: path.clone(), service: dir.path().join("spcs_token") };
    let error = login(&server, file()).await.err().expect("no file");
    assert!(error.to_string().contains("token"), "{error}");
    let context = context(&server, file());
    for token in ["first", "second"] {
        server.account().access_tokens = [token.to_owned()].into();
        std::fs::write(&path, format!("{token}\n")).unwrap();
        assert!(Session::login(&context).await.is_ok(), "{token}");
    }
    std::fs::write(dir.path().join("spcs_token"), "service").unwrap();
    assert!(Session::login(&context).await.is_ok());
    let logins = server.calls("/session/v1/login-request");
    assert_eq!(logins.last().unwrap().body["data"]["SPCS_TOKEN"], "service");
    assert_eq!(logins[0].body["data"]["SPCS_TOKEN"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_login_survives_a_shaky_gateway() {
    let server = StandIn::start().await;
    server.account().password = "right".into();
    server.script("select 1", one("1"));
    server.fault("/session/v1/login-request", &[Fault::Status(503), Fault::Cut, Fault::Status(502)]);
    let session = login(&server, password()).await.expect("a session at last");
    assert_eq!(ask(&session, "select 1").await.expect("an answer").one(), Some("1"));
    server.fault("/session/v1/login-request", &[Fault::Status(503); 10]);
    let error = login(&server, password()).await.err().expect("given up");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(server.calls("/session/v1/login-request").len(), 4 + 4);
}
