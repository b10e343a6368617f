//! Putting the parts together: listen, schedule, answer, end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::error::ErrorKind;
use tidegate_model::ports::Holder;
use tidegate_model::{Error, Result};
use tidegate_net::certificate::Certificate;
use tidegate_net::oauth::Vault;
use tidegate_net::targets::Targets;
use tidegate_store::{Jobs, Store};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

use crate::access::{Access, Gate, Hosts, Provider};
use crate::alerts::Alerts;
use crate::api::Api;
use crate::desk::Desk;
use crate::http::{Probes, router};
use crate::listen::{Reach, reach};
use crate::options::{HTTP_STOP_MS, ServeOptions};
use crate::outlook::Outlook;
use crate::ports::{Clock, Runner, StateView};
use crate::scheduler::Scheduler;
use crate::status::Status;
use crate::tls::{Peer, TlsListener};
use crate::worker::Worker;

/// What a server works with.
pub struct Parts {
    /// Runs syncs.
    pub runner: Arc<dyn Runner>,
    /// What the scheduler needs of the state.
    pub state: Arc<dyn StateView>,
    /// The state itself: the queue, users, tokens, sessions, the audit log.
    pub store: Arc<Store>,
    /// What the API and the pages stand on; without it there are only the probes.
    pub desk: Option<Arc<dyn Desk>>,
    /// Where the scheduler says what it thinks.
    pub outlook: Arc<Outlook>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who this process is, for the queue.
    pub holder: Holder,
}

/// A server that listens but does not work yet.
pub struct Server {
    options: ServeOptions,
    listener: TcpListener,
    address: SocketAddr,
    reach: Reach,
    alerts: Alerts,
    certificate: Option<Certificate>,
    oidc: Option<Arc<Provider>>,
}

impl Server {
    /// Takes the address. One that other machines can reach is refused as long as nobody can sign in.
    pub async fn bind(options: ServeOptions, store: &Store) -> Result<Self> {
        let reach = reach(&options)?;
        if !reach.local && options.oidc.is_none() && store.users().await?.is_empty() {
            return Err(Error::config(format!(
                "refusing to listen on {}: other machines could reach it, and nobody can sign in",
                reach.address
            ))
            .hint("add somebody with `tidegate users add NAME --role admin`, or set `serve.oidc`"));
        }
        let targets = Targets::public_and(&options.private_targets);
        let alerts = Alerts::new(options.alert_url.clone(), &targets, options.public_url.clone())?;
        let oidc = match &options.oidc {
            Some(oidc) => Some(Arc::new(Provider::new(oidc.clone(), &targets)?)),
            None => None,
        };
        let certificate = options.tls.clone().map(Certificate::load).transpose()?;
        let wanted = reach.address;
        let refused = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("cannot listen on {wanted}"))
                .cause(error)
                .hint("stop what listens there, or take another port: serve --listen 127.0.0.1:PORT")
        };
        let listener = TcpListener::bind(wanted).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { options, listener, address, reach, alerts, certificate, oidc })
    }

    /// Where it listens; the port that was found if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS itself.
    pub fn speaks_tls(&self) -> bool {
        self.certificate.is_some()
    }

    /// Who may come in, and how.
    fn gate(&self) -> Gate {
        let here = if self.reach.secure { "https" } else { "http" };
        let own = format!("{here}://{}", self.address);
        Gate {
            local: self.reach.local,
            secure: self.reach.secure,
            behind_proxy: self.options.behind_proxy,
            oidc: self.oidc.clone(),
            url: self.options.public_url.as_ref().map_or(own, |url| url.trim_end_matches('/').to_owned()),
        }
    }

    /// Works until `stop` ends: runs what is due, takes jobs, answers. Then it takes no more work, asks running runs to
    /// end, and returns within [`ServeOptions::stop_ms`] and a moment.
    pub async fn run(self, parts: Parts, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Parts { runner, state, store, desk, outlook, clock, holder } = parts;
        let status = Arc::new(Status::default());
        let wake = Arc::new(Notify::new());
        let probes = Probes {
            status: Arc::clone(&status),
            state: Arc::clone(&state),
            clock: Arc::clone(&clock),
            tick_ms: self.options.tick_ms,
        };
        let access = Arc::new(Access::new(Arc::clone(&store), Arc::clone(&clock), self.gate()));
        let api = desk.map(|desk| Api { desk, access: Arc::clone(&access), wake: Arc::clone(&wake) });
        let hosts = Arc::new(Hosts { public: self.reach.public.clone(), numbers: !self.address.ip().is_loopback() });
        let (close, closed) = oneshot::channel::<()>();
        let service = router(probes, hosts, access, api).into_make_service_with_connect_info::<Peer>();
        let closed = async move {
            // a dropped sender closes it as well
            let _ = closed.await;
        };
        let http = match self.certificate {
            None => {
                let http = axum::serve(self.listener, service).with_graceful_shutdown(closed);
                tokio::spawn(async move { http.await })
            }
            Some(certificate) => {
                let listener = TlsListener::new(self.listener, self.address, certificate);
                let http = axum::serve(listener, service).with_graceful_shutdown(closed);
                tokio::spawn(async move { http.await })
            }
        };
        tracing::info!(listen = %self.address, parallel_runs = self.options.parallel_runs, "tidegate serves");

        let alerts = self.alerts.begin(Arc::clone(&state), Arc::clone(&store) as Arc<dyn Vault>, holder.name.clone());
        let jobs = store as Arc<dyn Jobs>;
        let worker = Worker::new(runner, state, jobs, clock, status, (holder, self.options.parallel_runs));
        Scheduler::new(self.options, worker, wake, outlook, alerts).run(stop).await;

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
