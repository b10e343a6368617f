//! What stands on the way to the Storage Read API: a line that breaks, and an API that refuses.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on, and breaks each of the first lines after so many bytes of answers. Its address, and how many
/// lines were broken.
pub async fn breaking(target: &str, lines: usize, bytes: usize) -> (String, Arc<AtomicUsize>) {
    let target = target.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let broken = Arc::new(AtomicUsize::new(0));
    let count = broken.clone();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(&target).await.unwrap();
            let (count, most) = (count.clone(), bytes);
            tokio::spawn(async move {
                let (mut asks, mut answers) = near.into_split();
                let (mut theirs, mut ours) = far.into_split();
                let there = tokio::spawn(async move { tokio::io::copy(&mut asks, &mut ours).await });
                let (mut passed, mut piece) = (0, vec![0; 16 << 10]);
                while let Ok(read @ 1..) = theirs.read(&mut piece).await {
                    passed += read;
                    if passed > most && count.load(Ordering::SeqCst) < lines {
                        count.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    if answers.write_all(&piece[..read]).await.is_err() {
                        break;
                    }
                }
                there.abort();
            });
        }
    });
    (url, broken)
}

/// Answers every call with a status of gRPC.
pub async fn refusing(code: u8, message: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (line, _) = listener.accept().await.unwrap();
            let answer = move |_: Request<hyper::body::Incoming>| async move {
                let answer = Response::builder()
                    .header("content-type", "application/grpc")
                    .header("grpc-status", code.to_string())
                    .header("grpc-message", message);
                Ok::<_, Infallible>(answer.body(Body::empty()).unwrap())
            };
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(line), service_fn(answer)));
        }
    });
    url
}
