//! Signing in, and staying signed in, against a service that checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "oauth/provider.rs"]
mod provider;

use std::sync::Arc;

use provider::{CLIENT, Provider, agree};
use tidegate_model::ErrorKind;
use tidegate_model::secret::Secret;
use tidegate_net::http::Http;
use tidegate_net::oauth::{Attempt, Client, Login, Proof, Vault, in_memory};

const BACK: &str = "http://127.0.0.1:8080/oauth/callback";

fn client(provider: &Provider) -> Client {
    Client {
        authorize_url: format!("{}/oauth/authorize", provider.base),
        token_url: format!("{}/oauth/token-request", provider.base),
        client_id: CLIENT.0.into(),
        client_secret: Some(Secret::new(CLIENT.1)),
        scope: "refresh_token".into(),
        proof: Proof::Basic,
        authorize_extra: Vec::new(),
        token_extra: Vec::new(),
    }
}

fn login(provider: &Provider, vault: &Arc<dyn Vault>) -> Login {
    Login::new("lake", client(provider), None, vault.clone())
}

fn http() -> reqwest::Client {
    Http::default().client().unwrap()
}

async fn signed_in(provider: &Provider, vault: &Arc<dyn Vault>) -> Login {
    let login = login(provider, vault);
    let attempt = Attempt::begin(BACK);
    let back = agree(attempt.authorize_url(login.client()).unwrap().as_str()).await;
    let life = login.sign_in(&http(), &attempt, &attempt.code(&back).unwrap()).await.expect("signed in");
    assert_eq!(life, Some(7_776_000));
    login
}

#[tokio::test]
async fn a_code_is_good_once_and_only_with_its_own_verifier() {
    let provider = Provider::start(BACK).await;
    let vault = in_memory();
    let login = login(&provider, &vault);
    assert_eq!(login.access(&http()).await.expect_err("nobody").kind, ErrorKind::Unauthorized);
    let (attempt, other) = (Attempt::begin(BACK), Attempt::begin(BACK));
    let back = agree(attempt.authorize_url(login.client()).unwrap().as_str()).await;
    let code = attempt.code(&back).expect("its own answer");
    assert_eq!(other.code(&back).expect_err("a wrong state").kind, ErrorKind::Forbidden);
    let error = login.sign_in(&http(), &other, &code).await.expect_err("a wrong verifier");
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(
        error.hint.is_some_and(|hint| hint.contains("tidegate auth"))
            && vault.get("oauth.lake").await.unwrap().is_none()
    );
    let back = agree(attempt.authorize_url(login.client()).unwrap().as_str()).await;
    let code = attempt.code(&back).unwrap();
    login.sign_in(&http(), &attempt, &code).await.expect("signed in");
    assert_eq!(login.sign_in(&http(), &attempt, &code).await.expect_err("used").kind, ErrorKind::Unauthorized);
    assert!(login.access(&http()).await.is_ok(), "a second use of the code ended the first login");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_need_a_token_one_refreshes() {
    let provider = Provider::start(BACK).await;
    provider.books().single_use = true;
    let vault = in_memory();
    let first = signed_in(&provider, &vault).await;
    // The sign-in's own access token serves until it is refused.
    let access = first.access(&http()).await.unwrap();
    assert!(provider.books().access_tokens.contains(access.expose()));
    provider.books().calls.clear();
    first.forget().await;
    // Processes of their own, all with the token that is no longer taken.
    let others: Vec<Login> = (0..8).map(|_| login(&provider, &vault)).collect();
    for other in &others {
        other.access(&http()).await.unwrap();
        other.forget().await;
    }
    let got = futures(&others).await;
    assert!(got.iter().all(|token| token == &got[0]) && got[0] != access, "{}", got.len());
    assert_eq!(provider.books().calls, ["refresh_token"], "each refreshed on its own");
    assert_eq!(provider.books().refresh_tokens.len(), 1, "a used refresh token is kept");
    // The next refresh takes the token that came with the last.
    others[0].forget().await;
    assert_ne!(others[0].access(&http()).await.expect("rotated"), got[0]);
}

async fn futures(logins: &[Login]) -> Vec<Secret> {
    let http = http();
    let mut got = Vec::new();
    let mut waiting: Vec<_> = logins.iter().map(|login| Box::pin(login.access(&http))).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(token) => {
                got.push(token.expect("a token"));
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    got
}

#[tokio::test]
async fn a_dead_refresh_token_is_asked_with_once_and_needs_a_person() {
    let provider = Provider::start(BACK).await;
    let vault = in_memory();
    let login = signed_in(&provider, &vault).await;
    login.access(&http()).await.unwrap();
    login.forget().await;
    // A gateway that is down says nothing about the token.
    provider.books().broken = vec![503];
    assert_eq!(login.access(&http()).await.expect_err("down").kind, ErrorKind::Unavailable);
    provider.books().refresh_tokens.clear();
    let error = login.access(&http()).await.expect_err("dead");
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.to_string().contains("lake needs attention"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("tidegate auth lake")));
    provider.books().calls.clear();
    assert!(login.access(&http()).await.is_err() && provider.books().calls.is_empty(), "asked again with a dead token");
    assert!(signed_in(&provider, &vault).await.access(&http()).await.is_ok());
}

#[tokio::test]
async fn a_wrong_client_is_told_and_kills_nothing() {
    let provider = Provider::start(BACK).await;
    let vault = in_memory();
    let right = signed_in(&provider, &vault).await;
    right.access(&http()).await.unwrap();
    let wrong = Client { client_secret: Some(Secret::new("guess")), ..client(&provider) };
    let wrong = Login::new("lake", wrong, None, vault.clone());
    wrong.access(&http()).await.expect("the kept token is good yet");
    wrong.forget().await;
    let error = wrong.access(&http()).await.expect_err("refused");
    assert!(error.hint.is_some_and(|hint| hint.contains("client_secret")));
    right.forget().await;
    assert!(right.access(&http()).await.is_ok(), "a wrong secret ended the login");
    // What was kept for one client is nothing to another.
    let other = Client { client_id: "somebody else".into(), ..client(&provider) };
    let other = Login::new("lake", other, None, vault.clone());
    assert!(other.access(&http()).await.expect_err("nobody").to_string().contains("nobody has signed in"));
}

#[tokio::test]
async fn a_seed_of_the_file_is_used_until_it_is_rotated() {
    let provider = Provider::start(BACK).await;
    provider.books().single_use = true;
    provider.books().refresh_tokens.insert("seed".into());
    let vault = in_memory();
    let seeded = || Login::new("lake", client(&provider), Some(Secret::new("seed")), vault.clone());
    assert!(seeded().access(&http()).await.is_ok());
    let again = seeded();
    again.access(&http()).await.unwrap();
    again.forget().await;
    assert!(again.access(&http()).await.is_ok(), "the seed was used twice");
    provider.books().refresh_tokens.insert("new seed".into());
    let login = Login::new("lake", client(&provider), Some(Secret::new("new seed")), vault.clone());
    provider.books().calls.clear();
    assert!(login.access(&http()).await.is_ok());
    assert_eq!(provider.books().calls, ["refresh_token"], "a new seed of the file is not used");
}
