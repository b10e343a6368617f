//! The one page that a browser comes back to when a person signs in from a terminal.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const DONE: &str = "tidegate has the answer. You may close this window: the terminal says how it went.\n";

/// Answers at `path` until `read` takes what a browser brings. What belongs to another attempt (`Forbidden`) is refused
/// and does not end the wait: any page can send a browser here.
///
/// # Errors
/// What `read` says of the answer; a listener that breaks.
pub async fn callback<T: Send + 'static>(
    listener: TcpListener,
    path: &str,
    read: impl Fn(&str) -> Result<T> + Send + Sync + 'static,
) -> Result<T> {
    let (tell, told) = oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(tell)));
    let read = Arc::new(read);
    let page = move |RawQuery(query): RawQuery| {
        let response = answer(read(query.as_deref().unwrap_or_default()), &tell);
        async move { response }
    };
    let serving = axum::serve(listener, Router::new().route(path, get(page)));
    let broken =
        |cause: String| Error::new(ErrorKind::Unavailable, "nobody listens for the browser any more").cause(cause);
    tokio::select! {
        told = told => {
            // The page is on its way: it is seen off before the listener goes.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            told.map_err(|error| broken(error.to_string()))?
        }
        ended = serving.into_future() => Err(broken(format!("{ended:?}"))),
    }
}

type Tell<T> = Arc<Mutex<Option<oneshot::Sender<Result<T>>>>>;

fn answer<T>(read: Result<T>, tell: &Tell<T>) -> Response {
    match read {
        Err(error) if error.kind == ErrorKind::Forbidden => {
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
        read => {
            let waits = tell.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Nobody waits any more if it was told before; a browser that loads the page again sees the same words.
            if let Some(waits) = waits {
                drop(waits.send(read));
            }
            DONE.into_response()
        }
    }
}
