//! `sandbox planhat`: a stand-in for a platform, until a signal.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_model::{Error, ErrorKind, Result};
use tidegate_twins::planhat::{Planhat, TENANT, TOKEN};
use tidegate_twins::{Knobs, Start, Twin, start};

use crate::app::{App, Ending, block_on};
use crate::out::Object;

/// Which platform, and how it behaves.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate sandbox planhat                          a tenant of Planhat's on this machine, in memory
  tidegate sandbox planhat --file planhat.db        it keeps what it was given
  tidegate sandbox planhat --knobs knobs.json       {\"latency_ms\": 50, \"lost_pct\": 5, \"reject_pct\": 10}
")]
pub struct Args {
    /// The platform
    #[arg(value_name = "PLATFORM", value_enum)]
    platform: Platform,
    /// Address and port
    #[arg(long, value_name = "A", default_value = "127.0.0.1:8901")]
    listen: SocketAddr,
    /// Keep the records in this SQLite file; else in memory
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
    /// Faults, latency and limits, as JSON; docs/twins.md lists them
    #[arg(long, value_name = "F")]
    knobs: Option<PathBuf>,
    /// The token that it lets in
    #[arg(long, value_name = "T", default_value = TOKEN, hide_env_values = true)]
    token: String,
    /// The tenant's UUID
    #[arg(long, value_name = "UUID", default_value = TENANT)]
    tenant: String,
}

/// The platforms that there are twins of.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Platform {
    /// Planhat: its API and its analytics host
    Planhat,
    /// Batch (comes with a later part)
    #[value(hide = true)]
    Batch,
}

fn twin(args: &Args) -> Result<Arc<dyn Twin>> {
    match args.platform {
        Platform::Planhat => Ok(Arc::new(Planhat::new(&args.token, &args.tenant))),
        Platform::Batch => Err(Error::config("the twin of Batch comes with a later part and is not in this build")
            .hint("today: tidegate sandbox planhat")),
    }
}

/// Reads knobs.
pub fn knobs(file: Option<&Path>) -> Result<Knobs> {
    let Some(file) = file else { return Ok(Knobs::default()) };
    let text = std::fs::read_to_string(file).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::Config,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("the knobs in {} cannot be read", file.display())).cause(error)
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Error::config(format!("{} holds no knobs", file.display())).cause(error).hint("docs/twins.md lists them")
    })
}

/// Serves until a signal.
pub fn run(app: &App, args: &Args) -> Ending {
    let twin = twin(args)?;
    let knobs = knobs(args.knobs.as_deref())?;
    block_on(async {
        let stop = tidegate_server::stop_signal()?;
        let mut running = start(twin, Start { listen: args.listen, file: args.file.clone(), knobs }).await?;
        let url = running.url();
        if app.out.json {
            let mut line = Object::default();
            line.put("listen", url.as_str()).put("tenant", args.tenant.as_str());
            app.out.json(&line)?;
        }
        app.out.note(&format!("a twin of Planhat listens on {url}; its page is there too"));
        let told = if args.token == TOKEN { TOKEN } else { "the one you gave" };
        app.out.note(&format!("token: {told}; tenant: {}", args.tenant));
        if !args.listen.ip().is_loopback() {
            app.out.warn("others can reach it, and its page shows what it holds to everybody");
        }
        tokio::select! {
            code = stop => Ok(code),
            () = running.ended() => {
                Err(Error::new(ErrorKind::Unavailable, "the twin stopped listening").into())
            }
        }
    })
}
