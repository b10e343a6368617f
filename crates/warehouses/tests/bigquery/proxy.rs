//! A proxy before the emulator: it loses answers, says what BigQuery would, and notes what was called.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::lab::Emulated;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A load job with its rows.
    Upload,
    /// The script of a write.
    Job,
    Query,
    /// Whatever has these words in its address or its body.
    Saying(&'static str),
    Other,
}

impl Call {
    fn of(method: &Method, path: &str) -> Self {
        match path {
            _ if *method != Method::POST => Self::Other,
            path if path.starts_with("/upload/") => Self::Upload,
            path if path.ends_with("/jobs") => Self::Job,
            path if path.ends_with("/queries") => Self::Query,
            _ => Self::Other,
        }
    }
}

/// What happens to the next call of a kind.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is carried out, and the answer does not arrive.
    Lost,
    /// It is refused, as BigQuery refuses.
    Refused(u16, &'static str, &'static str),
    /// Its script fails where it would commit.
    Sabotaged,
    /// It is not carried out: this is the answer.
    Answered(Value),
    /// The answer comes after a while.
    Slow,
    /// A query takes longer than its first answer is held back: that one names the job, and no more.
    Later,
    /// The same, and that answer takes its time.
    MuchLater,
}

#[derive(Clone)]
pub struct Proxy {
    target: String,
    http: reqwest::Client,
    faults: Arc<Mutex<Vec<(Call, Fault)>>>,
    seen: Arc<Mutex<Vec<String>>>,
    /// The scripts of writes.
    scripts: Arc<Mutex<Vec<String>>>,
    /// Calls so far, where they meet a fault again and again.
    shaking: Option<Arc<AtomicUsize>>,
}

/// Calls from one fault to the next: a write takes about so many, and has to get through in the end.
const FAULT_EVERY: usize = 17;

/// What a bad day has in store, in turn.
const BAD_DAY: [Fault; 5] = [
    Fault::Lost,
    Fault::Refused(503, "backendError", "The service is currently unavailable."),
    Fault::Later,
    Fault::Refused(403, "rateLimitExceeded", "Exceeded rate limits: too many api requests per user per method"),
    Fault::Slow,
];

impl Proxy {
    pub async fn before(lab: &Emulated) -> (Self, String) {
        Self::start(lab, None).await
    }

    /// One on a bad day: its address.
    pub async fn shaking(lab: &Emulated) -> String {
        Self::start(lab, Some(Arc::default())).await.1
    }

    async fn start(lab: &Emulated, shaking: Option<Arc<AtomicUsize>>) -> (Self, String) {
        let proxy = Self {
            shaking,
            target: lab.rest.clone(),
            http: tidegate_net::http::Http::default().client().unwrap(),
            faults: Arc::default(),
            seen: Arc::default(),
            scripts: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (proxy, url)
    }

    pub fn next(&self, call: Call, fault: Fault) {
        self.faults.lock().unwrap().push((call, fault));
    }

    /// What was called.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The scripts that were sent since the last look.
    pub fn scripts(&self) -> Vec<String> {
        std::mem::take(&mut self.scripts.lock().unwrap())
    }

    fn fault(&self, call: Call, text: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let hit = |of: &Call| *of == call || matches!(of, Call::Saying(words) if text.contains(words));
        match faults.iter().position(|(of, _)| hit(of)) {
            Some(at) => Some(faults.remove(at).1),
            None => self.bad_day(call, text),
        }
    }

    fn bad_day(&self, call: Call, text: &str) -> Option<Fault> {
        let count = self.shaking.as_ref()?.fetch_add(1, Ordering::SeqCst);
        let fault = BAD_DAY[count / FAULT_EVERY % BAD_DAY.len()].clone();
        // Only the answer to a query can name a job and no more; a dry run has none.
        let fits = !matches!(fault, Fault::Later) || call == Call::Query && !text.contains("\"dryRun\":true");
        (count % FAULT_EVERY == 4 && fits).then_some(fault)
    }
}

async fn pass(State(proxy): State<Proxy>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    proxy.seen.lock().unwrap().push(format!("{method} {}", uri.path()));
    let text = format!("{uri} {}", String::from_utf8_lossy(&body));
    let call = Call::of(&method, uri.path());
    if call == Call::Job {
        proxy.scripts.lock().unwrap().push(text.clone());
    }
    let fault = proxy.fault(call, &text);
    match &fault {
        Some(Fault::Refused(status, reason, message)) => {
            let body = json!({ "error": { "code": status, "message": message, "errors": [{ "reason": reason }] } });
            return (StatusCode::from_u16(*status).unwrap(), body.to_string()).into_response();
        }
        Some(Fault::Answered(body)) => return body.to_string().into_response(),
        _ => {}
    }
    let body = match fault {
        Some(Fault::Sabotaged) => {
            let script = String::from_utf8(body.to_vec()).unwrap();
            assert!(script.contains("COMMIT TRANSACTION"), "no script of ours");
            Bytes::from(script.replace("COMMIT TRANSACTION", "SELECT ERROR('the backend broke')"))
        }
        _ => body,
    };
    let mut request = proxy.http.request(method, format!("{}{uri}", proxy.target)).body(body);
    if let Some(kind) = headers.get("content-type") {
        request = request.header("content-type", kind);
    }
    let answer = request.send().await.expect("the emulator");
    let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
    match fault {
        Some(Fault::Slow) => {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            (status, bytes).into_response()
        }
        // A body that ends too early: the connection broke while the answer was on its way.
        Some(Fault::Lost) => {
            let broken = futures_util::stream::iter([Ok(bytes.slice(..1)), Err(std::io::Error::other("broken"))]);
            (status, Body::from_stream(broken)).into_response()
        }
        Some(Fault::Later | Fault::MuchLater) => {
            if matches!(fault, Some(Fault::MuchLater)) {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
            let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
            if !status.is_success() {
                return (status, bytes).into_response();
            }
            let job = answer["jobReference"].take();
            json!({ "jobReference": job, "jobComplete": false }).to_string().into_response()
        }
        _ => (status, bytes).into_response(),
    }
}
