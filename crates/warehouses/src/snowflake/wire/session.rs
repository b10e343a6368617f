//! A session: login, renewal of its token, heartbeat, end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use super::auth::Credentials;
use super::line::{Call, Line, request_id};
use super::reply::{LoginData, Reply, SessionInfo};
use crate::snowflake::errors::Refusal;

/// Master tokens live for four hours, unless the account says otherwise.
const MASTER_S: u64 = 4 * 3600;
/// A session is told alive no more often than this.
const BEAT_MIN: Duration = Duration::from_secs(60);

/// Who logs in, and where to.
pub(in crate::snowflake) struct Context {
    pub(in crate::snowflake) line: Line,
    pub(in crate::snowflake) account: String,
    pub(in crate::snowflake) credentials: Credentials,
    pub(in crate::snowflake) database: Option<String>,
    pub(in crate::snowflake) schema: Option<String>,
    pub(in crate::snowflake) warehouse: Option<String>,
    pub(in crate::snowflake) role: Option<String>,
    /// Stands beside every query in Snowflake's history.
    pub(in crate::snowflake) query_tag: String,
}

/// The tokens of a session, and how often they were replaced: so that only one of those who saw the same one expire
/// replaces it.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) session: Secret,
    master: Secret,
    pub(super) generation: u64,
}

/// What a session and its results share.
pub(in crate::snowflake) struct Inner {
    pub(super) context: Arc<Context>,
    tokens: Mutex<Tokens>,
    renewing: tokio::sync::Mutex<()>,
    pub(super) sequence: AtomicU64,
    /// A transaction is open, or a temporary table there: it would be gone with the session, so no new login may
    /// replace it.
    pub(super) holds: AtomicBool,
    closed: AtomicBool,
    /// Read by each abort that is on its way: whose session has ended is not heard any more.
    pub(super) aborting: Arc<RwLock<()>>,
}

/// A session. Dropped, it is ended in the background, and its transaction with it.
pub(in crate::snowflake) struct Session {
    pub(super) inner: Arc<Inner>,
    info: SessionInfo,
    beat: JoinHandle<()>,
}

impl Session {
    /// Logs in.
    pub(in crate::snowflake) async fn login(context: &Arc<Context>) -> Result<Self> {
        let data = login(context).await?;
        let every = Duration::from_secs(data.master_validity_in_seconds.unwrap_or(MASTER_S) / 4);
        let inner = Arc::new(Inner {
            context: context.clone(),
            tokens: Mutex::new(Tokens {
                session: Secret::new(data.token),
                master: Secret::new(data.master_token),
                generation: 0,
            }),
            renewing: tokio::sync::Mutex::new(()),
            sequence: AtomicU64::new(0),
            holds: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            aborting: Arc::default(),
        });
        let beat =
            tokio::spawn(heartbeat(Arc::downgrade(&inner), every.max(BEAT_MIN).min(context.line.patience.beat_max)));
        Ok(Self { inner, info: data.session_info.unwrap_or_default(), beat })
    }

    /// Where it stands.
    pub(in crate::snowflake) fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// Tells whether a transaction is open on it, or anything else that would be gone with it.
    pub(in crate::snowflake) fn set_holds(&self, something: bool) {
        self.inner.holds.store(something, Ordering::SeqCst);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.beat.abort();
        let inner = self.inner.clone();
        tidegate_net::farewell::say(async move { inner.close().await });
    }
}

impl Inner {
    pub(super) fn tokens(&self) -> Tokens {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, session: String, master: String) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.session = Secret::new(session);
        if !master.is_empty() {
            tokens.master = Secret::new(master);
        }
        tokens.generation += 1;
    }

    /// Gets a new session token by the master token, unless somebody else has done so since `seen`.
    pub(super) async fn renew(&self, seen: u64) -> Result<()> {
        let _one_at_a_time = self.renewing.lock().await;
        let tokens = self.tokens();
        if tokens.generation != seen {
            return Ok(());
        }
        if !tokens.master.expose().is_empty() {
            let body = json!({ "oldSessionToken": tokens.session.expose(), "requestType": "RENEW" });
            let reply: Reply<LoginData> =
                self.post("/session/token-request", &tokens.master, &body, "renew the session").await?;
            if reply.success && !reply.data.session_token.is_empty() {
                self.set(reply.data.session_token, reply.data.master_token);
                return Ok(());
            }
            tracing::debug!(code = %reply.code, "the master token is no longer good");
        }
        self.login_again().await
    }

    /// Logs in anew, unless somebody else has done so since `seen`.
    pub(super) async fn replace(&self, seen: u64) -> Result<()> {
        let _one_at_a_time = self.renewing.lock().await;
        if self.tokens().generation != seen {
            return Ok(());
        }
        self.login_again().await
    }

    async fn login_again(&self) -> Result<()> {
        if self.holds.load(Ordering::SeqCst) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the session ended in the middle of a write, which Snowflake has rolled back",
            ));
        }
        let data = login(&self.context).await?;
        self.set(data.token, data.master_token);
        Ok(())
    }

    pub(super) async fn post<T: serde::de::DeserializeOwned + Default>(
        &self,
        path: &str,
        token: &Secret,
        body: &Value,
        doing: &str,
    ) -> Result<Reply<T>> {
        let id = request_id();
        let call =
            Call { method: Method::POST, path, params: &[], token: Some(token), body: Some(body), id: &id, doing };
        self.context.line.call(&call).await
    }

    async fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let _all_said = self.aborting.write().await;
        let tokens = self.tokens();
        let id = request_id();
        let call = Call {
            method: Method::POST,
            path: "/session",
            params: &[("delete", "true")],
            token: Some(&tokens.session),
            body: Some(&json!({})),
            id: &id,
            doing: "end the session",
        };
        // A session that cannot be ended ends by itself when nobody speaks of it any more.
        if let Err(error) = self.context.line.call::<Value>(&call).await {
            tracing::debug!(%error, "a session was not ended");
        }
    }
}

/// Says that the session is still wanted: an idle one would end after four hours, and with it the addresses of the
/// results that a slow run still reads.
async fn heartbeat(session: Weak<Inner>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(inner) = session.upgrade() else { return };
        let tokens = inner.tokens();
        let beat: Result<Reply<Value>> =
            inner.post("/session/heartbeat", &tokens.session, &json!({}), "keep the session alive").await;
        if let Ok(reply) = beat
            && !reply.success
            && (Refusal { code: reply.code, ..Refusal::default() }).token_expired()
            && let Err(error) = inner.renew(tokens.generation).await
        {
            tracing::debug!(%error, "a session was not renewed"); // the next statement tries again, and tells
        }
    }
}

/// Logs in; tokens that have expired are fetched anew, once.
async fn login(context: &Context) -> Result<LoginData> {
    let doing = format!("log in to Snowflake account {}", context.account);
    for last in [false, true] {
        let reply = try_login(context, &doing).await?;
        if reply.success && !reply.data.token.is_empty() {
            return Ok(reply.data);
        }
        let refusal = Refusal { code: reply.code, message: reply.message, ..Refusal::default() };
        if !last && refusal.access_token_expired() && context.credentials.expired().await {
            continue;
        }
        let error = refusal.error(&doing);
        return Err(if error.kind == ErrorKind::Unauthorized {
            error.hint(context.credentials.hint(&context.account))
        } else {
            error
        });
    }
    Err(Error::internal("a login without an end"))
}

async fn try_login(context: &Context, doing: &str) -> Result<Reply<LoginData>> {
    let now_s = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let mut data = context.credentials.fields(&context.line, &context.account, now_s).await?;
    data.insert("ACCOUNT_NAME".into(), json!(context.account));
    // The server chooses features by the client's name, and gives Arrow results to those that it knows.
    data.insert("CLIENT_APP_ID".into(), json!("Go"));
    data.insert("CLIENT_APP_VERSION".into(), json!("1.19.1"));
    data.insert(
        "CLIENT_ENVIRONMENT".into(),
        json!({ "APPLICATION": "tidegate", "OS": std::env::consts::OS, "OS_VERSION": std::env::consts::ARCH }),
    );
    data.insert("SESSION_PARAMETERS".into(), session_parameters(&context.query_tag));
    let names = ["databaseName", "schemaName", "warehouse", "roleName"];
    let values = [&context.database, &context.schema, &context.warehouse, &context.role];
    let params: Vec<(&str, &str)> =
        names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let id = request_id();
    let body = json!({ "data": data });
    let call = Call {
        method: Method::POST,
        path: "/session/v1/login-request",
        params: &params,
        token: None,
        body: Some(&body),
        id: &id,
        doing,
    };
    let reply = context.line.call(&call).await;
    reply.map_err(|error| match error.kind {
        // A login that was lost has changed nothing.
        ErrorKind::Lost => Error { kind: ErrorKind::Unavailable, ..error },
        _ => error,
    })
}

/// How texts become values must not depend on the account's own settings; the names of all columns keep their case.
fn session_parameters(query_tag: &str) -> Value {
    json!({
        "GO_QUERY_RESULT_FORMAT": "ARROW",
        "QUERY_TAG": query_tag,
        "TIMEZONE": "UTC",
        "DATE_INPUT_FORMAT": "AUTO",
        "TIME_INPUT_FORMAT": "AUTO",
        "TIMESTAMP_INPUT_FORMAT": "AUTO",
        "BINARY_INPUT_FORMAT": "HEX",
        "QUOTED_IDENTIFIERS_IGNORE_CASE": false,
        "AUTOCOMMIT": true,
        "CLIENT_SESSION_KEEP_ALIVE": true,
    })
}
