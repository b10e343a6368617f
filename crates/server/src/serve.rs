//! Putting the parts together: listen, schedule, answer, end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::error::ErrorKind;
use tidegate_model::{Error, Result};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::http::{Pages, router};
use crate::listen::loopback_address;
use crate::options::{HTTP_STOP_MS, ServeOptions};
use crate::ports::{Clock, Runner, StateView};
use crate::scheduler::Scheduler;
use crate::status::Status;

/// Serves until `stop` ends: runs what is due, answers the pages. Then it takes no more work, asks running runs to end,
/// and returns within [`ServeOptions::stop_ms`] and a moment.
pub async fn serve(
    options: ServeOptions,
    runner: Arc<dyn Runner>,
    state: Arc<dyn StateView>,
    clock: Arc<dyn Clock>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    Server::bind(options).await?.run(runner, state, clock, stop).await
}

/// A server that listens but does not work yet.
pub struct Server {
    options: ServeOptions,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address.
    pub async fn bind(options: ServeOptions) -> Result<Self> {
        let wanted = loopback_address(&options.listen)?;
        let refused = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("cannot listen on {wanted}"))
                .cause(error)
                .hint("stop what listens there, or take another port: serve --listen 127.0.0.1:PORT")
        };
        let listener = TcpListener::bind(wanted).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { options, listener, address })
    }

    /// Where it listens; the port that was found if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Works until `stop` ends, see [`serve`].
    pub async fn run(
        self,
        runner: Arc<dyn Runner>,
        state: Arc<dyn StateView>,
        clock: Arc<dyn Clock>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let status = Arc::new(Status::default());
        let pages = Pages {
            status: Arc::clone(&status),
            state: Arc::clone(&state),
            clock: Arc::clone(&clock),
            tick_ms: self.options.tick_ms,
        };
        let (close, closed) = oneshot::channel::<()>();
        let http = axum::serve(self.listener, router(pages)).with_graceful_shutdown(async move {
            // a dropped sender closes it as well
            let _ = closed.await;
        });
        let http = tokio::spawn(async move { http.await });
        tracing::info!(listen = %self.address, parallel_runs = self.options.parallel_runs, "tidegate serves");

        Scheduler::new(self.options, runner, state, clock, status).run(stop).await;

        let _ = close.send(());
        let abort = http.abort_handle();
        let ended = tokio::time::timeout(Duration::from_millis(HTTP_STOP_MS), http).await;
        tracing::info!("stopped");
        match ended {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(Error::new(ErrorKind::Unavailable, "the HTTP server failed").cause(error)),
            Ok(Err(error)) => Err(Error::internal("the HTTP server did not end well").cause(error)),
            // Somebody holds a connection open: that must not hold up the end.
            Err(_) => {
                abort.abort();
                Ok(())
            }
        }
    }
}
