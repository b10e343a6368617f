//! A stand-in for Google's sign-in, for the metadata server, and for BigQuery behind them: it lets through to the
//! emulator who shows a token that it gave, or an assertion whose signature it verified.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const CLIENT: (&str, &str) = ("tidegate.apps.example", "its secret");
pub const ACCOUNT: &str = "tidegate@acme.iam.example";
const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";

#[derive(Default)]
pub struct Books {
    /// The public key of the account, as RSA has it.
    pub public_key: Vec<u8>,
    /// code → (challenge, redirect URI)
    codes: HashMap<String, (String, String)>,
    pub refresh_tokens: BTreeSet<String>,
    pub access_tokens: BTreeSet<String>,
    /// How each call of BigQuery's came in: `token`, `assertion`; and who asked for tokens: `refresh_token`, …
    pub seen: BTreeSet<String>,
    count: u32,
}

#[derive(Clone)]
pub struct Google {
    books: Arc<Mutex<Books>>,
    http: reqwest::Client,
    emulator: String,
    pub base: String,
}

impl Google {
    pub async fn start(emulator: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let http = tidegate_net::http::Http { proxy: None, ..Default::default() }.client().unwrap();
        let google = Self { books: Arc::default(), http, emulator: emulator.to_owned(), base };
        let router = Router::new()
            .route("/o/oauth2/v2/auth", get(authorize))
            .route("/token", post(token))
            .route("/computeMetadata/v1/instance/service-accounts/default/token", get(metadata))
            .fallback(bigquery)
            .with_state(google.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        google
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// A new access token, as the answer that gives it.
    fn give(&self) -> Value {
        let mut books = self.books();
        books.count += 1;
        let access = format!("ya29.{}", books.count);
        books.access_tokens.insert(access.clone());
        json!({ "access_token": access, "token_type": "Bearer", "expires_in": 3_599, "scope": SCOPE })
    }
}

async fn authorize(State(google): State<Google>, Query(asked): Query<HashMap<String, String>>) -> Response {
    let of = |name: &str| asked.get(name).map_or("", String::as_str);
    let wrong = [
        (of("response_type") != "code", "response_type"),
        (of("client_id") != CLIENT.0, "client_id"),
        (!of("redirect_uri").starts_with("http://127.0.0.1:"), "redirect_uri"),
        (of("code_challenge_method") != "S256" || of("code_challenge").len() != 43, "code_challenge"),
        (of("scope") != SCOPE, "scope"),
        // Without these Google gives no refresh token.
        (of("access_type") != "offline" || of("prompt") != "consent", "access_type"),
        (of("state").is_empty(), "state"),
    ];
    if let Some((_, what)) = wrong.iter().find(|(wrong, _)| *wrong) {
        return (StatusCode::BAD_REQUEST, format!("wrong {what}")).into_response();
    }
    let mut books = google.books();
    books.count += 1;
    let code = format!("4/{}", books.count);
    books.codes.insert(code.clone(), (of("code_challenge").to_owned(), of("redirect_uri").to_owned()));
    let (back, state) = (of("redirect_uri"), of("state"));
    Redirect::to(&format!("{back}?code={}&state={state}", code.replace('/', "%2F"))).into_response()
}

/// Forms come from us, JSON from Google's own crate.
async fn token(State(google): State<Google>, body: Bytes) -> Response {
    let form: HashMap<String, String> = match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(json)) => {
            json.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
        }
        _ => {
            let url = format!("http://form/?{}", std::str::from_utf8(&body).unwrap());
            reqwest::Url::parse(&url).unwrap().query_pairs().into_owned().collect()
        }
    };
    let of = |name: &str| form.get(name).map_or("", String::as_str);
    google.books().seen.insert(of("grant_type").to_owned());
    if (of("client_id"), of("client_secret")) != CLIENT {
        return (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_client" }).to_string()).into_response();
    }
    let good = match of("grant_type") {
        "authorization_code" => google.books().codes.remove(of("code")).is_some_and(|(challenge, back)| {
            URL_SAFE_NO_PAD.encode(Sha256::digest(of("code_verifier"))) == challenge && of("redirect_uri") == back
        }),
        "refresh_token" => google.books().refresh_tokens.contains(of("refresh_token")),
        _ => false,
    };
    if !good {
        let says = json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
        return (StatusCode::BAD_REQUEST, says.to_string()).into_response();
    }
    let mut tokens = google.give();
    if of("grant_type") == "authorization_code" {
        let mut books = google.books();
        let refresh = format!("1//{}", books.count);
        books.refresh_tokens.insert(refresh.clone());
        tokens["refresh_token"] = json!(refresh);
    }
    ([("content-type", "application/json")], tokens.to_string()).into_response()
}

async fn metadata(State(google): State<Google>, headers: HeaderMap) -> Response {
    if headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
        return StatusCode::FORBIDDEN.into_response();
    }
    google.books().seen.insert("metadata".to_owned());
    ([("content-type", "application/json"), ("metadata-flavor", "Google")], google.give().to_string()).into_response()
}

/// Whether an assertion is signed with the account's key, says who it is and what for, and is good now.
fn verified(assertion: &str, public_key: &[u8]) -> bool {
    let Some((message, signature)) = assertion.rsplit_once('.') else { return false };
    let Some((_, claims)) = message.split_once('.') else { return false };
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key);
    if key.verify(message.as_bytes(), &decode(signature)).is_err() {
        return false;
    }
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (from, to) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    claims["iss"] == ACCOUNT && claims["scope"] == SCOPE && from <= now && now < to && to - from <= 3_660
}

async fn bigquery(State(google): State<Google>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let shown = shown.strip_prefix("Bearer ").unwrap_or_default();
    let how = {
        let mut books = google.books();
        let how = match shown {
            token if books.access_tokens.contains(token) => Some("token"),
            assertion if verified(assertion, &books.public_key) => Some("assertion"),
            _ => None,
        };
        books.seen.extend(how.map(str::to_owned));
        how
    };
    if how.is_none() {
        let says = json!({ "error": { "code": 401, "message": "Request had invalid authentication credentials.",
            "errors": [{ "reason": "authError" }], "status": "UNAUTHENTICATED" } });
        return (StatusCode::UNAUTHORIZED, says.to_string()).into_response();
    }
    let mut request = google.http.request(method, format!("{}{uri}", google.emulator)).body(body);
    if let Some(kind) = headers.get("content-type") {
        request = request.header("content-type", kind);
    }
    let answer = request.send().await.expect("the emulator");
    (answer.status(), answer.bytes().await.unwrap()).into_response()
}
