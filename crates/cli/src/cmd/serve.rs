//! `serve`: the scheduler, on this project.

use std::io::IsTerminal;
use std::sync::Arc;

use tidegate_model::ports::{Holder, Memory};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};
use tidegate_server::desk::Desk;
use tidegate_server::{MemoryView, Oidc, Outlook, Parts, ServeOptions, Server, SystemClock, TlsFiles};

use crate::app::{App, Ending, block_on};
use crate::desk::ProjectDesk;
use crate::live::Live;
use crate::log;
use crate::out::Out;
use crate::project;
use crate::workshop::Workshop;

/// Where it listens.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate serve                           runs what is due; http://127.0.0.1:8080/healthz
  tidegate serve --listen 127.0.0.1:9000
  tidegate serve 2>> serve.log             JSON lines, one per event; text on a terminal
  TIDEGATE_LOG=debug tidegate serve        more of them; or warn, error
")]
pub struct Args {
    /// Address and port, on this machine
    #[arg(long, value_name = "A")]
    listen: Option<String>,
    /// Runs at work at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    parallel: usize,
}

impl Args {
    /// As usual, at this address.
    pub fn at(listen: Option<String>) -> Self {
        Self { listen, parallel: 2 }
    }
}

/// Serves until a signal.
pub fn run(app: &App, args: &Args) -> Ending {
    let text = std::io::stderr().is_terminal();
    log::start(text, app.out.quiet);
    block_on(async {
        let stop = tidegate_server::stop_signal()?;
        let shop = Workshop::open_to_serve(app).await?;
        let mut options = options(&shop, args.listen.as_deref())?;
        options.parallel_runs = args.parallel.max(1);
        let server = Server::bind(options, &shop.store).await?;
        // Whoever reads the address may call at once: what could still go wrong has gone well by then.
        let (parts, live) = parts(shop)?;
        say_address(&app.out, &server, text)?;
        let outlook = Arc::clone(&parts.outlook);
        let desk: Arc<dyn Desk> = Arc::new(ProjectDesk::new(live, outlook));
        let (done, ended) = tokio::sync::oneshot::channel();
        let until = async move {
            let code = stop.await;
            // The receiver lives until the server ends.
            let _ = done.send(code);
        };
        server.run(Parts { desk: Some(desk), ..parts }, until).await?;
        Ok(ended.await.unwrap_or(0))
    })
}

/// What a server works with, but for the desk.
pub fn parts(shop: Workshop) -> Result<(Parts, Arc<Live>)> {
    let store = Arc::clone(&shop.store);
    let holder = Holder { name: shop.engine.holder.clone(), process: shop.engine.env.process() };
    let live = Arc::new(Live::new(shop)?);
    let parts = Parts {
        runner: Arc::clone(&live) as _,
        state: Arc::new(MemoryView(Arc::clone(&store) as Arc<dyn Memory>)),
        store,
        desk: None,
        outlook: Arc::new(Outlook::default()),
        clock: Arc::new(SystemClock),
        holder,
    };
    Ok((parts, live))
}

/// What `serve:` says, with its references read.
pub fn options(shop: &Workshop, listen: Option<&str>) -> Result<ServeOptions> {
    let serve = &shop.project.serve;
    let read = |written: &str, key: &str| -> Result<String> {
        let store = Arc::clone(&shop.store);
        let secrets = move |name: &str| {
            let wait = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| wait.block_on(store.get_secret(name)))
        };
        let lookups = project::Surroundings { root: &shop.root, secrets: &secrets };
        let place = shop.project.place(key).to_string();
        Ok(tidegate_model::config::resolve_text(written, &place, &lookups)?.0)
    };
    let file = |written: &str, key: &str| Ok::<_, Error>(shop.root.join(read(written, key)?));
    let tls = match &serve.tls {
        Some((cert, key)) => Some(TlsFiles { cert: file(cert, "serve.tls.cert")?, key: file(key, "serve.tls.key")? }),
        None => None,
    };
    let listen = match (listen, &serve.listen) {
        (Some(listen), _) => listen.to_owned(),
        (None, Some(written)) => read(written, "serve.listen")?,
        (None, None) => tidegate_server::DEFAULT_LISTEN.to_owned(),
    };
    let oidc = match &serve.oidc {
        Some(oidc) => Some(Oidc {
            issuer: read(&oidc.issuer, "serve.oidc.issuer")?,
            client_id: read(&oidc.client_id, "serve.oidc.client_id")?,
            client_secret: Secret::new(read(&oidc.client_secret, "serve.oidc.client_secret")?),
            role_claim: oidc.role_claim.clone().unwrap_or_else(|| "role".to_owned()),
        }),
        None => None,
    };
    let public_url = serve.public_url.as_deref().map(|url| read(url, "serve.public_url")).transpose()?;
    let alert = shop.project.alert_webhook.as_deref().map(|url| read(url, "alerts.webhook")).transpose()?;
    Ok(ServeOptions {
        listen,
        public_url,
        behind_proxy: serve.behind_proxy,
        tls,
        oidc,
        alert_url: alert.map(Secret::new),
        private_targets: serve.private_targets.clone(),
        ..ServeOptions::default()
    })
}

/// A person is told how it ends; a log says the address by itself.
pub fn say_address(out: &Out, server: &Server, text: bool) -> Result<()> {
    let address = server.address();
    if out.json {
        let mut line = crate::out::Object::default();
        line.put("listen", address.to_string());
        return out.json(&line);
    }
    if text {
        let scheme = if server.speaks_tls() { "https" } else { "http" };
        out.note(&format!("serving on {scheme}://{address} (healthz, readyz, metrics); end with Ctrl-C"));
    }
    Ok(())
}
