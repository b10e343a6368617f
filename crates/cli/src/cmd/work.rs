//! `work`: takes jobs from the queue that several processes share.

use std::io::IsTerminal;

use tidegate_model::Error;
use tidegate_server::{ServeOptions, Server};

use super::serve::{options, parts};
use crate::app::{App, Ending, block_on};
use crate::log;
use crate::workshop::Workshop;

/// How many at once, and where the probes are.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate work                            takes jobs; any number of these beside `tidegate serve`
  tidegate work --parallel 8
  tidegate work --listen 127.0.0.1:0       /healthz, /readyz and /metrics on a free port (this is the default)
")]
pub struct Args {
    /// Address and port of /healthz, /readyz and /metrics
    #[arg(long, value_name = "A", default_value = "127.0.0.1:0")]
    listen: String,
    /// Runs at work at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    parallel: usize,
}

/// Works until a signal.
pub fn run(app: &App, args: &Args) -> Ending {
    let text = std::io::stderr().is_terminal();
    log::start(text, app.out.quiet);
    block_on(async {
        let stop = tidegate_server::stop_signal()?;
        let shop = Workshop::open_to_serve(app).await?;
        if shop.state_is_a_file()? {
            return Err(Error::config("workers share a state in Postgres, and this project's is a SQLite file")
                .hint("`tidegate serve` alone does all the work there; set `state: postgres://…` or TIDEGATE_STATE")
                .into());
        }
        // What `serve:` says of addresses is the server's; a worker has none that browsers use.
        let options = ServeOptions {
            listen: args.listen.clone(),
            public_url: None,
            behind_proxy: false,
            tls: None,
            schedule: false,
            parallel_runs: args.parallel.max(1),
            ..options(&shop, Some(&args.listen))?
        };
        let server = Server::bind(options, &shop.store).await?;
        super::serve::say_address(&app.out, &server, text)?;
        let (parts, _) = parts(shop)?;
        let (done, ended) = tokio::sync::oneshot::channel();
        let until = async move {
            let code = stop.await;
            // The receiver lives until the server ends.
            let _ = done.send(code);
        };
        server.run(parts, until).await?;
        Ok(ended.await.unwrap_or(0))
    })
}
