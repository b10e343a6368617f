//! A stand-in for a service that people sign in to: it checks what RFC 6749 and RFC 7636 make a server check, gives each
//! code away once, and, where told so, each refresh token too. What a person does at its page is one GET.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};

pub const CLIENT: (&str, &str) = ("tidegate", "its secret");

#[derive(Default)]
pub struct Books {
    pub redirect_uri: String,
    pub single_use: bool,
    /// code → (challenge, redirect URI)
    codes: HashMap<String, (String, String)>,
    pub refresh_tokens: BTreeSet<String>,
    pub access_tokens: BTreeSet<String>,
    /// Forms that came to the token endpoint, by their `grant_type`.
    pub calls: Vec<String>,
    /// The next calls are answered with this status.
    pub broken: Vec<u16>,
    count: u32,
}

pub struct Provider {
    books: Arc<Mutex<Books>>,
    pub base: String,
}

type Shared = State<Arc<Mutex<Books>>>;

impl Provider {
    pub async fn start(redirect_uri: &str) -> Self {
        let books = Arc::new(Mutex::new(Books { redirect_uri: redirect_uri.to_owned(), ..Books::default() }));
        let router = Router::new()
            .route("/oauth/authorize", get(authorize))
            .route("/oauth/token-request", post(token))
            .with_state(books.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { books, base }
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }
}

/// What a person does in a browser: opens the address, agrees, and is sent back. The address they end at.
pub async fn agree(authorize_url: &str) -> String {
    let http = tidegate_net::http::Http { proxy: None, ..Default::default() }.client().unwrap();
    let response = http.get(authorize_url).send().await.unwrap();
    let status = response.status();
    let to = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
    let body = response.text().await.unwrap();
    to.unwrap_or_else(|| panic!("{status}: {body}"))
}

async fn authorize(State(books): Shared, Query(asked): Query<HashMap<String, String>>) -> Response {
    let mut books = books.lock().unwrap();
    let of = |name: &str| asked.get(name).map_or("", String::as_str);
    let wrong = [
        (of("response_type") != "code", "response_type"),
        (of("client_id") != CLIENT.0, "client_id"),
        (of("redirect_uri") != books.redirect_uri, "redirect_uri"),
        (of("code_challenge_method") != "S256", "code_challenge_method"),
        (of("code_challenge").len() != 43, "code_challenge"),
        (of("state").is_empty(), "state"),
    ];
    if let Some((_, what)) = wrong.iter().find(|(wrong, _)| *wrong) {
        return (StatusCode::BAD_REQUEST, format!("wrong {what}")).into_response();
    }
    books.count += 1;
    let code = format!("code/{}", books.count);
    books.codes.insert(code.clone(), (of("code_challenge").to_owned(), of("redirect_uri").to_owned()));
    let state = of("state");
    Redirect::to(&format!("{}?code={}&state={state}", of("redirect_uri"), code.replace('/', "%2F"))).into_response()
}

async fn token(State(books): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut books = books.lock().unwrap();
    let url = reqwest::Url::parse(&format!("http://form/?{}", std::str::from_utf8(&body).unwrap())).unwrap();
    let form: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let of = |name: &str| form.get(name).map_or("", String::as_str).to_owned();
    books.calls.push(of("grant_type"));
    if let Some(status) = books.broken.pop() {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1)));
    if headers.get("authorization").is_none_or(|value| value != &basic) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response();
    }
    let good = match of("grant_type").as_str() {
        // A code is gone whether the rest is right or not.
        "authorization_code" => books.codes.remove(&of("code")).is_some_and(|(challenge, redirect_uri)| {
            URL_SAFE_NO_PAD.encode(Sha256::digest(of("code_verifier"))) == challenge
                && of("redirect_uri") == redirect_uri
        }),
        "refresh_token" => books.refresh_tokens.contains(&of("refresh_token")),
        _ => false,
    };
    if !good {
        let says = json!({ "error": "invalid_grant", "message": "This is an invalid or expired grant." });
        return (StatusCode::BAD_REQUEST, Json(says)).into_response();
    }
    books.count += 1;
    let access = format!("access-{}", books.count);
    books.access_tokens.insert(access.clone());
    let mut tokens = json!({ "access_token": access, "token_type": "Bearer", "expires_in": 600, "username": "anna" });
    let first = of("grant_type") == "authorization_code";
    if first || books.single_use {
        let next = format!("refresh-{}", books.count);
        if !first {
            books.refresh_tokens.remove(&of("refresh_token"));
        }
        books.refresh_tokens.insert(next.clone());
        tokens["refresh_token"] = json!(next);
        tokens["refresh_token_expires_in"] = json!(7_776_000);
    }
    Json(tokens).into_response()
}
