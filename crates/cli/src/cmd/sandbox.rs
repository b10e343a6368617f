//! `sandbox planhat|batch`: a stand-in for a platform, until a signal.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_model::{Error, ErrorKind, Result};
use tidegate_twins::batch::{self, Batch};
use tidegate_twins::planhat::{self, Planhat};
use tidegate_twins::{Knobs, Start, Twin, start};

use crate::app::{App, Ending, block_on};
use crate::out::Object;

/// Which platform, and how it behaves.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate sandbox planhat                          a tenant of Planhat's on this machine, in memory
  tidegate sandbox planhat --file planhat.db        it keeps what it was given
  tidegate sandbox planhat --knobs knobs.json       {\"latency_ms\": 50, \"lost_pct\": 5, \"reject_pct\": 10}
  tidegate sandbox batch                            a project of Batch's
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
    /// The token or key that it lets in
    #[arg(long, value_name = "T")]
    token: Option<String>,
    /// The tenant's UUID (planhat)
    #[arg(long, value_name = "UUID")]
    tenant: Option<String>,
    /// The project's key (batch)
    #[arg(long, value_name = "KEY")]
    project_key: Option<String>,
}

/// The platforms that there are twins of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// Planhat: its API and its analytics host
    Planhat,
    /// Batch: its Profile API
    Batch,
}

impl Platform {
    /// By the `type:` of a connection.
    pub fn of_kind(kind: &str) -> Option<Self> {
        <Self as clap::ValueEnum>::value_variants().iter().copied().find(|one| one.kind() == kind)
    }

    /// The `type:` of its connections.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Planhat => "planhat",
            Self::Batch => "batch",
        }
    }

    /// Its twin, as it is when nobody says otherwise.
    pub fn twin(self) -> Arc<dyn Twin> {
        match self {
            Self::Planhat => Arc::new(Planhat::new(planhat::TOKEN, planhat::TENANT)),
            Self::Batch => Arc::new(Batch::default()),
        }
    }

    /// What a connection has to say to reach that twin.
    pub fn settings(self, url: &str) -> Vec<(&'static str, String)> {
        let said = match self {
            Self::Planhat => vec![("analytics_url", url), ("token", planhat::TOKEN), ("tenant", planhat::TENANT)],
            Self::Batch => vec![("project_key", batch::PROJECT), ("rest_api_key", batch::KEY)],
        };
        said.into_iter().chain([("url", url)]).map(|(key, value)| (key, value.to_owned())).collect()
    }
}

/// The twin that was asked for, and its place: the tenant or the project.
fn twin(args: &Args) -> Result<(Arc<dyn Twin>, &'static str, String)> {
    let or = |given: &Option<String>, otherwise: &str| given.clone().unwrap_or_else(|| otherwise.to_owned());
    let stray = match args.platform {
        Platform::Planhat => args.project_key.as_ref().map(|_| "--project-key"),
        Platform::Batch => args.tenant.as_ref().map(|_| "--tenant"),
    };
    if let Some(flag) = stray {
        return Err(Error::config(format!("{flag} says nothing to the twin of {}", args.platform.kind()))
            .hint("leave it out; --help tells which flag is whose"));
    }
    Ok(match args.platform {
        Platform::Planhat => {
            let tenant = or(&args.tenant, planhat::TENANT);
            (Arc::new(Planhat::new(or(&args.token, planhat::TOKEN), &*tenant)), "tenant", tenant)
        }
        Platform::Batch => {
            let project = or(&args.project_key, batch::PROJECT);
            (Arc::new(Batch::new(&*project, or(&args.token, batch::KEY))), "project_key", project)
        }
    })
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
    let (twin, word, place) = twin(args)?;
    let about = twin.about();
    let knobs = knobs(args.knobs.as_deref())?;
    block_on(async {
        let stop = tidegate_server::stop_signal()?;
        let mut running = start(twin, Start { listen: args.listen, file: args.file.clone(), knobs }).await?;
        let url = running.url();
        if app.out.json {
            let mut line = Object::default();
            line.put("listen", url.as_str()).put(word, place.as_str());
            app.out.json(&line)?;
        }
        app.out.note(&format!("a twin of {} listens on {url}; its page is there too", about.platform));
        let usual = if args.platform == Platform::Planhat { planhat::TOKEN } else { batch::KEY };
        let told = if args.token.is_none() { usual } else { "the one you gave" };
        app.out.note(&format!("token: {told}; {word}: {place}"));
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
