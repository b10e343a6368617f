//! A Snowflake account over HTTP, as far as its session protocol goes: logins that are really checked, tokens that end
//! and are renewed, statements that run once per request id however often they are sent, results in parts behind
//! addresses that expire, and faults on demand. It knows no SQL: a test says what each statement answers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Something that goes wrong with the next call of a path.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The call arrives and is carried out, but this status is the answer.
    Status(u16),
    /// It never reaches the service behind the gateway.
    Gateway(u16),
    /// The answer is cut in the middle.
    Cut,
}

/// What a statement answers.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub rowtype: Value,
    pub arrow: bool,
    /// Rows that come along: an Arrow stream, or JSON.
    pub inline: Vec<u8>,
    pub rowset: Value,
    /// Parts: (rows promised, the bytes).
    pub parts: Vec<(u64, Vec<u8>)>,
    pub total: u64,
    /// Asked this often before it has ended.
    pub polls: u32,
    /// Never ends.
    pub hangs: bool,
    /// `(code, sql state, message)` instead of rows.
    pub refusal: Option<(String, String, String)>,
}

/// A call that came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub query: HashMap<String, String>,
    pub token: String,
    pub body: Value,
}

#[derive(Default)]
pub struct Account {
    /// `RSAPublicKey` (PKCS#1) that logins by key must be signed for, and its fingerprint.
    pub public_key: Vec<u8>,
    pub fingerprint: String,
    pub password: String,
    pub pats: HashSet<String>,
    pub access_tokens: HashSet<String>,
    pub refresh_token: String,
    pub scripts: HashMap<String, Script>,
    pub faults: HashMap<String, VecDeque<Fault>>,
    pub seen: Vec<Seen>,
    /// Statements by request id: how often each was really run.
    pub runs: HashMap<String, u32>,
    pub aborted: Vec<String>,
    sessions: HashMap<String, bool>,
    masters: HashSet<String>,
    running: HashMap<String, (String, u32)>,
    /// What the addresses of parts must carry to be good.
    signature: u32,
    count: u32,
    base: String,
}

/// The account with its address.
#[derive(Clone)]
pub struct StandIn {
    account: Arc<Mutex<Account>>,
    pub port: u16,
}

type Shared = State<Arc<Mutex<Account>>>;
type Params = Query<HashMap<String, String>>;

impl StandIn {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let account = Arc::new(Mutex::new(Account { base: format!("http://127.0.0.1:{port}"), ..Account::default() }));
        let router = Router::new()
            .route("/session/v1/login-request", post(login))
            .route("/session/token-request", post(renew))
            .route("/session/heartbeat", post(beat))
            .route("/session", post(end))
            .route("/queries/v1/query-request", post(query))
            .route("/queries/v1/abort-request", post(abort))
            .route("/queries/{id}/result", get(result))
            .route("/parts/{id}/{at}", get(part))
            .route("/oauth/token-request", post(oauth))
            .fallback(anything)
            .with_state(account.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { account, port }
    }

    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    pub fn script(&self, sql: &str, script: Script) {
        self.account().scripts.insert(sql.to_owned(), script);
    }

    pub fn fault(&self, path: &str, faults: &[Fault]) {
        self.account().faults.entry(path.to_owned()).or_default().extend(faults);
    }

    /// All sessions have outlived their token.
    pub fn expire_sessions(&self) {
        self.account().sessions.values_mut().for_each(|good| *good = false);
    }

    /// Sessions and master tokens are no more.
    pub fn forget_sessions(&self) {
        let mut account = self.account();
        account.sessions.clear();
        account.masters.clear();
    }

    /// Addresses that were given out are no longer good.
    pub fn expire_addresses(&self) {
        self.account().signature += 1;
    }

    pub fn calls(&self, path: &str) -> Vec<Seen> {
        self.account().seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    pub fn sessions(&self) -> usize {
        self.account().sessions.len()
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn no(code: &str, message: &str) -> Value {
    json!({ "data": null, "code": code, "message": message, "success": false })
}

impl Account {
    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}-{}", self.count)
    }

    fn see(&mut self, path: &str, headers: &HeaderMap, query: &HashMap<String, String>, body: &Value) -> Option<Fault> {
        let token = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
        let token = token.trim_start_matches("Snowflake Token=\"").trim_end_matches('"').to_owned();
        self.seen.push(Seen { path: path.to_owned(), query: query.clone(), token, body: body.clone() });
        self.faults.get_mut(path)?.pop_front()
    }

    fn token(&self) -> String {
        self.seen.last().unwrap().token.clone()
    }

    /// Why a session's token is not good.
    fn refused(&self, token: &str) -> Option<Value> {
        match self.sessions.get(token) {
            Some(true) => None,
            Some(false) => Some(no("390112", "Your session has expired. Please login again.")),
            None => Some(no("390104", "User must login again to access the service.")),
        }
    }

    fn lets_in(&self, data: &Value) -> Result<(), Value> {
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let token = text("TOKEN");
        match text("AUTHENTICATOR").as_str() {
            "SNOWFLAKE_JWT" if self.signed(&token, &text("ACCOUNT_NAME"), &text("LOGIN_NAME")) => Ok(()),
            "SNOWFLAKE_JWT" => Err(no("390144", "JWT token is invalid.")),
            "PROGRAMMATIC_ACCESS_TOKEN" if self.pats.contains(&token) => Ok(()),
            "PROGRAMMATIC_ACCESS_TOKEN" => Err(no("394400", "Programmatic access token is invalid.")),
            "OAUTH" if self.access_tokens.contains(&token) => Ok(()),
            "OAUTH" => Err(no("390318", "OAuth access token expired.")),
            "" if !self.password.is_empty() && text("PASSWORD") == self.password => Ok(()),
            _ => Err(no("390100", "Incorrect username or password was specified.")),
        }
    }

    /// Verifies a token as the service does: signature, names, fingerprint, time.
    fn signed(&self, token: &str, account: &str, user: &str) -> bool {
        let parts: Vec<&str> = token.split('.').collect();
        let [head, claims, signature] = parts[..] else { return false };
        let key =
            ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        if key.verify(format!("{head}.{claims}").as_bytes(), &signature).is_err() {
            return false;
        }
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let name = format!("{}.{}", account.to_uppercase(), user.to_uppercase());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        claims["sub"] == json!(name)
            && claims["iss"] == json!(format!("{name}.{}", self.fingerprint))
            && claims["iat"].as_u64().unwrap() <= now
            && (now..now + 3600).contains(&claims["exp"].as_u64().unwrap())
    }

    fn let_in(&mut self) -> Value {
        let (token, master) = (self.fresh("session"), self.fresh("master"));
        self.sessions.insert(token.clone(), true);
        self.masters.insert(master.clone());
        json!({ "data": { "token": token, "masterToken": master, "validityInSeconds": 3600,
            "masterValidityInSeconds": 14400, "sessionInfo": { "databaseName": "DB", "roleName": "R" } },
            "code": null, "message": null, "success": true })
    }

    /// The answer of a statement that has ended.
    fn ended(&self, sql: &str, id: &str) -> Value {
        let Some(script) = self.scripts.get(sql) else {
            return json!({ "data": { "queryId": id, "sqlState": "42000" }, "code": "001003",
                "message": format!("SQL compilation error: no script for {sql}"), "success": false });
        };
        if let Some((code, state, message)) = &script.refusal {
            return json!({ "data": { "queryId": id, "sqlState": state }, "code": code, "message": message, "success": false });
        }
        let address = |at| format!("{}/parts/{id}/{at}?signature={}", self.base, self.signature);
        let parts: Vec<Value> = script.parts.iter().enumerate().map(|(at, (rows, bytes))| {
            json!({ "url": address(at), "rowCount": rows, "uncompressedSize": bytes.len() * 4, "compressedSize": bytes.len() })
        }).collect();
        json!({ "code": null, "message": null, "success": true, "data": {
            "queryId": id, "rowtype": script.rowtype, "total": script.total, "chunks": parts,
            "queryResultFormat": if script.arrow { "arrow" } else { "json" },
            "rowsetBase64": if script.arrow { json!(STANDARD.encode(&script.inline)) } else { Value::Null },
            "rowset": script.rowset, "qrmk": "key of the storage",
        } })
    }

    /// The answer now: "still running", or the result.
    fn told(&mut self, id: &str) -> Value {
        let Some((sql, asked)) = self.running.get_mut(id) else { return no("000709", "Statement not found") };
        let (sql, before) = (sql.clone(), *asked);
        *asked += 1;
        let script = self.scripts.get(&sql);
        if script.is_some_and(|script| script.hangs || before < script.polls) {
            let code = if before == 0 { "333333" } else { "333334" };
            return json!({ "data": { "queryId": id, "getResultUrl": format!("/queries/{id}/result") }, "code": code,
                "message": "Query in progress", "success": false });
        }
        self.ended(&sql, id)
    }
}

/// The answer, or what a fault makes of it.
fn answer(fault: Option<Fault>, body: &Value) -> Response {
    let bytes = body.to_string().into_bytes();
    match fault {
        Some(Fault::Status(status) | Fault::Gateway(status)) => {
            (StatusCode::from_u16(status).unwrap(), "broken").into_response()
        }
        Some(Fault::Cut) => {
            let half = bytes[..bytes.len() / 2].to_vec();
            Body::from(half).into_response()
        }
        // As the service does it now and then: packed, and not said in the headers.
        None if bytes.len() > 4096 => Body::from(gzip(&bytes)).into_response(),
        None => Body::from(bytes).into_response(),
    }
}

async fn login(State(account): Shared, Query(params): Params, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/session/v1/login-request", &headers, &params, &body);
    let reply = match account.lets_in(&body["data"]) {
        Ok(()) => account.let_in(),
        Err(reply) => reply,
    };
    answer(fault, &reply)
}

async fn renew(State(account): Shared, Query(params): Params, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/session/token-request", &headers, &params, &body);
    let master = account.token();
    let old = body["oldSessionToken"].as_str().unwrap_or_default().to_owned();
    if !account.masters.contains(&master) || account.sessions.remove(&old).is_none() {
        return answer(fault, &no("390114", "Authentication token has expired."));
    }
    let token = account.fresh("renewed");
    account.sessions.insert(token.clone(), true);
    let data = json!({ "sessionToken": token, "masterToken": master, "validityInSecondsMT": 14400 });
    answer(fault, &json!({ "data": data, "success": true }))
}

async fn beat(State(account): Shared, Query(params): Params, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/session/heartbeat", &headers, &params, &body);
    let token = account.token();
    answer(fault, &account.refused(&token).unwrap_or_else(|| json!({ "success": true })))
}

async fn end(State(account): Shared, Query(params): Params, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/session", &headers, &params, &body);
    let token = account.token();
    account.sessions.remove(&token);
    answer(fault, &json!({ "success": true }))
}

async fn query(State(account): Shared, Query(params): Params, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/queries/v1/query-request", &headers, &params, &body);
    if let Some(fault @ Fault::Gateway(_)) = fault {
        return answer(Some(fault), &Value::Null);
    }
    let token = account.token();
    if let Some(refusal) = account.refused(&token) {
        return answer(fault, &refusal);
    }
    // A statement is run once for its request id; sent again it is only asked for.
    let id = format!("01b0-{}", params["requestId"]);
    if !account.running.contains_key(&id) {
        let sql = body["sqlText"].as_str().unwrap().to_owned();
        *account.runs.entry(params["requestId"].clone()).or_default() += 1;
        account.running.insert(id.clone(), (sql, 0));
    }
    let reply = account.told(&id);
    answer(fault, &reply)
}

async fn result(State(account): Shared, Path(id): Path<String>, Query(params): Params, headers: HeaderMap) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/queries/result", &headers, &params, &Value::Null);
    let token = account.token();
    let refused = account.refused(&token);
    let reply = refused.unwrap_or_else(|| account.told(&id));
    answer(fault, &reply)
}

async fn abort(State(account): Shared, Query(params): Params, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/queries/v1/abort-request", &headers, &params, &body);
    let token = account.token();
    if let Some(refused) = account.refused(&token) {
        return answer(fault, &refused);
    }
    if !matches!(fault, Some(Fault::Gateway(_))) {
        account.aborted.push(body["requestId"].as_str().unwrap_or_default().to_owned());
    }
    answer(fault, &json!({ "success": true }))
}

async fn part(
    State(account): Shared,
    Path((id, at)): Path<(String, usize)>,
    Query(params): Params,
    headers: HeaderMap,
) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/parts", &headers, &params, &json!({ "at": at }));
    if params["signature"] != account.signature.to_string() {
        return (
            StatusCode::FORBIDDEN,
            "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
        )
            .into_response();
    }
    if headers.get("x-amz-server-side-encryption-customer-key").is_none_or(|key| key != "key of the storage") {
        return (StatusCode::BAD_REQUEST, "no key").into_response();
    }
    let sql = account.running[&id].0.clone();
    let bytes = account.scripts[&sql].parts[at].1.clone();
    match fault {
        Some(Fault::Status(status) | Fault::Gateway(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::Cut) => Body::from(bytes[..bytes.len() / 2].to_vec()).into_response(),
        None => Body::from(bytes).into_response(),
    }
}

async fn oauth(State(account): Shared, headers: HeaderMap, body: String) -> Response {
    let mut account = account.lock().unwrap();
    let fault = account.see("/oauth/token-request", &headers, &HashMap::new(), &json!(body));
    let basic = format!("Basic {}", STANDARD.encode("client:its secret"));
    let known = headers.get("authorization").is_some_and(|value| value == &basic);
    let sent = body.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).unwrap_or_default();
    if !known || sent != account.refresh_token || fault.is_some() {
        let refusal = Json(json!({ "error": "invalid_grant", "message": "the refresh token is not good" }));
        return (StatusCode::BAD_REQUEST, refusal).into_response();
    }
    // Good for one use, as accounts may ask for.
    let (access, refresh) = (account.fresh("access"), account.fresh("refresh"));
    account.access_tokens.insert(access.clone());
    account.refresh_token = refresh.clone();
    Json(json!({ "access_token": access, "refresh_token": refresh, "expires_in": 600 })).into_response()
}

/// What nobody should ask for: telemetry, above all.
async fn anything(State(account): Shared, uri: axum::http::Uri, headers: HeaderMap) -> StatusCode {
    account.lock().unwrap().see(uri.path(), &headers, &HashMap::new(), &Value::Null);
    StatusCode::NOT_FOUND
}
