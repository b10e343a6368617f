//! Listening, and what HTTP itself can do wrong on purpose.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response, header};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::call::{self, Call, Reply};
use super::knobs::Knobs;
use super::log::Seen;
use super::twin::{Shelf, Twin};
use super::work::{Desk, Ending};
use super::{console, page};

/// Most bytes of a body: above every platform's own limit, so that the twin can refuse what its platform would.
const BODY_MAX: usize = 64 << 20;
/// Parts in which a slow body comes.
const SLOW_PARTS: usize = 8;

/// How a twin starts.
#[derive(Debug, Clone)]
pub struct Start {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The file that it keeps its records in; `None`: memory.
    pub file: Option<PathBuf>,
    /// Its knobs.
    pub knobs: Knobs,
}

impl Default for Start {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), file: None, knobs: Knobs::default() }
    }
}

/// A twin that listens. Dropping it stops it.
pub struct Running {
    address: SocketAddr,
    desk: Arc<Desk>,
    task: JoinHandle<()>,
}

/// Starts a twin.
///
/// # Errors
/// An address that is taken, a file that cannot be used.
pub async fn start(twin: Arc<dyn Twin>, start: Start) -> Result<Running> {
    let desk = Arc::new(Desk::new(twin, start.file.as_deref(), start.knobs)?);
    let refused = |error: io::Error| {
        Error::new(ErrorKind::Unavailable, format!("cannot listen on {}", start.listen))
            .cause(error)
            .hint("stop what listens there, or take another port with --listen")
    };
    let listener = TcpListener::bind(start.listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let task = tokio::spawn(accept(listener, Arc::clone(&desk)));
    Ok(Running { address, desk, task })
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// The address as a client takes it, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
    /// The knobs as they stand.
    pub fn knobs(&self) -> Knobs {
        self.desk.state().knobs.clone()
    }
    /// Turns the knobs; chance starts again from the seed.
    pub fn turn(&self, knobs: Knobs) {
        self.desk.turn(knobs);
    }
    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.desk.state().log.all()
    }
    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.desk.state().log.clear();
    }
    /// What it holds: so many of the newest of each model.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn holds(&self, newest: u32) -> Result<Vec<Shelf>> {
        let failed = |error| Error::new(ErrorKind::Unavailable, "the twin's file cannot be read").cause(error);
        self.desk.shelves(newest).map_err(failed)
    }
    /// Waits until it stops listening, which it does by itself only when something broke.
    pub async fn ended(&mut self) {
        // An aborted task is an end too.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    // Connections end with this task.
    let mut open = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of file descriptors: those of ended connections come back.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Small answers are not held back for a next one that does not come.
        let _ = stream.set_nodelay(true);
        while open.try_join_next().is_some() {}
        let desk = Arc::clone(&desk);
        open.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&desk), request));
            // Connections that break, on purpose or not, concern nobody here: the log of requests tells of the former.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Microseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

async fn answer(desk: Arc<Desk>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let at = now();
    let Ok(body) = to_bytes(Body::new(body), BODY_MAX).await else {
        return Ok(whole(Reply::text(413, format!("more than {BODY_MAX} bytes"))));
    };
    let call = Call {
        method: head.method,
        path: call::path(head.uri.path()),
        query: call::query(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body,
        at,
    };
    if let Some(reply) = console::answer(&desk, &call) {
        return Ok(whole(reply));
    }
    if call.path == "/" {
        return Ok(whole(page::page(&desk)));
    }
    let target = head.uri.path_and_query().map_or(String::new(), |target| target.as_str().to_owned());
    match desk.serve(call, target).await {
        Ending::Whole(reply) => Ok(whole(reply)),
        Ending::Slow(reply, time) => Ok(slow(reply, time)),
        Ending::Cut(reply) => Ok(cut(reply)),
        Ending::Hangup => Err(io::Error::other("dropped on purpose")),
    }
}

fn with(reply: &Reply, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    for (name, value) in &reply.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

fn whole(reply: Reply) -> Response<Body> {
    with(&reply, Body::from(reply.body.clone()))
}

fn slow(reply: Reply, time: Duration) -> Response<Body> {
    let part = reply.body.len().div_ceil(SLOW_PARTS).max(1);
    let left = reply.body.clone();
    let pause = time / u32::try_from(left.len().div_ceil(part).max(1)).unwrap_or(u32::MAX);
    let stream = futures_util::stream::unfold(left, move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = left.split_to(part.min(left.len()));
        Some((io::Result::Ok(next), left))
    });
    with(&reply, Body::from_stream(stream))
}

/// The first half goes out before the connection breaks.
const CUT_AFTER: Duration = Duration::from_millis(20);

fn cut(reply: Reply) -> Response<Body> {
    let half = reply.body.slice(..reply.body.len() / 2);
    let stream = futures_util::stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) => Some((Ok(half), None::<Bytes>)),
            None => {
                tokio::time::sleep(CUT_AFTER).await;
                Some((Err(io::Error::other("cut on purpose")), None))
            }
        }
    });
    with(&reply, Body::from_stream(stream))
}
