//! TLS of `serve`'s own: a listener that shakes hands with many at once, and who called.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tidegate_net::certificate::Certificate;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;

/// Who does not shake hands within this time is no browser.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that are shaking hands at once; further ones wait to be taken.
const HANDSHAKES_MAX: usize = 256;

/// The address of who called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A listener that hands out connections once they are encrypted.
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
    _accepting: tokio::task::JoinSet<()>,
}

impl TlsListener {
    /// Listens with this certificate.
    pub(crate) fn new(listener: TcpListener, address: SocketAddr, certificate: Certificate) -> Self {
        let (done, ready) = mpsc::channel(HANDSHAKES_MAX);
        let mut accepting = tokio::task::JoinSet::new();
        accepting.spawn(accept(listener, Arc::new(certificate), done));
        Self { ready, address, _accepting: accepting }
    }
}

async fn accept(
    mut listener: TcpListener,
    certificate: Arc<Certificate>,
    done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let mut open = tokio::task::JoinSet::new();
    loop {
        while open.len() >= HANDSHAKES_MAX {
            let _ended = open.join_next().await;
        }
        while open.try_join_next().is_some() {}
        let (stream, peer) = Listener::accept(&mut listener).await;
        let (acceptor, done) = (certificate.acceptor(told), done.clone());
        open.spawn(async move {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                // Nobody takes it any more when the server ends.
                Ok(Ok(stream)) => drop(done.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS came about"),
                Err(_) => tracing::debug!(%peer, "no TLS came about in time"),
            }
        });
    }
}

/// Says that another certificate was read, or why it could not be.
fn told(read: tidegate_model::Result<()>) {
    match read {
        Ok(()) => tracing::info!("the certificate was read again: its files changed"),
        Err(error) => tracing::error!(code = error.code(), "the certificate read before is kept: {error}"),
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The task that accepts never ends by itself.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
