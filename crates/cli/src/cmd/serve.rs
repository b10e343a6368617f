//! `serve`: the scheduler, on this project.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use async_trait::async_trait;
use tidegate_engine::RunOptions;
use tidegate_model::ports::Memory;
use tidegate_model::run::RunRecord;
use tidegate_model::sync::Sync as SyncSpec;
use tidegate_model::{Error, Result};
use tidegate_server::{ConnectionSwitch, MemoryView, RunAsk, Runner, ServeOptions, Server, SyncInfo, SystemClock};

use crate::app::{App, Ending, Failure, block_on};
use crate::log;
use crate::out::{Out, Watcher};
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

/// Serves until a signal.
pub fn run(app: &App, args: &Args) -> Ending {
    let text = std::io::stderr().is_terminal();
    log::start(text, app.out.quiet);
    block_on(async {
        let stop = tidegate_server::stop_signal()?;
        let shop = Workshop::open_with(app, Watcher::logging()).await?;
        let listen = match (&args.listen, &shop.project.serve.listen) {
            (Some(listen), _) => listen.clone(),
            (None, Some(written)) => {
                let lookups = project::Surroundings { root: &shop.root, secrets: &|_| Ok(None) };
                let place = shop.project.place("serve.listen").to_string();
                tidegate_model::config::resolve_text(written, &place, &lookups)?.0
            }
            (None, None) => tidegate_server::DEFAULT_LISTEN.to_owned(),
        };
        let options = ServeOptions { listen, parallel_runs: args.parallel.max(1), ..ServeOptions::default() };
        let server = Server::bind(options).await?;
        say_address(&app.out, &server, text)?;
        let memory = Arc::clone(&shop.store) as Arc<dyn Memory>;
        let runner = Arc::new(Project::new(shop)?);
        let (done, ended) = tokio::sync::oneshot::channel();
        let until = async move {
            let code = stop.await;
            // The receiver lives until the server ends.
            let _ = done.send(code);
        };
        server.run(runner, Arc::new(MemoryView(memory)), Arc::new(SystemClock), until).await?;
        Ok(ended.await.unwrap_or(0))
    })
}

/// A person is told how it ends; a log says the address by itself.
fn say_address(out: &Out, server: &Server, text: bool) -> Result<()> {
    let address = server.address();
    if out.json {
        let mut line = crate::out::Object::default();
        line.put("listen", address.to_string());
        return out.json(&line);
    }
    if text {
        out.note(&format!("serving on http://{address} (healthz, readyz, metrics); end with Ctrl-C"));
    }
    Ok(())
}

/// The project as it stands: read again when a file of it changed.
struct Project {
    root: PathBuf,
    now: RwLock<Now>,
}

struct Now {
    stamp: Stamp,
    shop: Arc<Workshop>,
    infos: Option<Vec<SyncInfo>>,
}

/// Newest change and number of the project's files.
type Stamp = (Option<SystemTime>, usize);

impl Project {
    fn new(shop: Workshop) -> Result<Self> {
        let root = shop.root.clone();
        let now = Now { stamp: stamp(&root)?, shop: Arc::new(shop), infos: None };
        Ok(Self { root, now: RwLock::new(now) })
    }

    fn shop(&self) -> Arc<Workshop> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).shop)
    }

    /// Reads the files again if one changed.
    fn refresh(&self) -> Result<Arc<Workshop>> {
        let stamp = stamp(&self.root)?;
        let (old, old_stamp) = {
            let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&now.shop), now.stamp)
        };
        if stamp == old_stamp {
            return Ok(old);
        }
        let read = project::load(&self.root).map_err(first)?;
        let shop = Workshop::of(self.root.clone(), read, Arc::clone(&old.store), Arc::clone(&old.watcher));
        let shop = Arc::new(shop);
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        *now = Now { stamp, shop: Arc::clone(&shop), infos: None };
        Ok(shop)
    }
}

fn stamp(root: &std::path::Path) -> Result<Stamp> {
    let files = project::files(root)?;
    let changed = |file: &tidegate_model::config::SourceFile| {
        std::fs::metadata(root.join(&file.path)).and_then(|meta| meta.modified()).ok()
    };
    Ok((files.iter().filter_map(changed).max(), files.len()))
}

/// The scheduler takes one error; it holds all of them.
fn first(failure: Failure) -> Error {
    let mut errors = failure.errors.into_iter();
    let Some(mut error) = errors.next() else { return Error::internal("a failure without an error") };
    for other in errors {
        error.message = format!("{}; {}", error.message, other.message);
    }
    error
}

fn switches(shop: &Workshop, sync: &SyncSpec) -> Vec<ConnectionSwitch> {
    [&sync.warehouse_connection, &sync.platform_connection]
        .into_iter()
        .filter_map(|name| shop.project.connections.get(name))
        .map(|connection| ConnectionSwitch {
            name: connection.name.clone(),
            enabled: connection.enabled,
            automation: connection.automation,
        })
        .collect()
}

#[async_trait]
impl Runner for Project {
    async fn syncs(&self) -> Result<Vec<SyncInfo>> {
        let shop = self.refresh()?;
        if let Some(infos) = &self.now.read().unwrap_or_else(PoisonError::into_inner).infos {
            return Ok(infos.clone());
        }
        let mut infos = Vec::new();
        let mut whole = true;
        for sync in shop.project.syncs.values() {
            // A platform that does not answer gives no order for now; it is asked again.
            let references = shop.references(sync).await.unwrap_or_else(|_| {
                whole = false;
                Vec::new()
            });
            let mut info = SyncInfo::of(sync, switches(&shop, sync), references);
            info.order.after.retain(|name| shop.project.syncs.contains_key(name));
            infos.push(info);
        }
        if whole {
            self.now.write().unwrap_or_else(PoisonError::into_inner).infos = Some(infos.clone());
        }
        Ok(infos)
    }

    async fn run(&self, ask: RunAsk) -> Result<RunRecord> {
        let shop = self.shop();
        let runtime = tokio::runtime::Handle::current();
        // A thread of its own: sorting and mapping are work for the processor, and must not hold up the pages.
        let work = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                let job = shop.job(&ask.sync).await.map_err(first)?;
                let options =
                    RunOptions { trigger: ask.trigger, full: ask.full, cancel: ask.cancel, ..RunOptions::default() };
                let ran = shop.engine.run(&job, &options).await?;
                if let Err(error) = shop.sweep().await {
                    tracing::warn!(%error, "old runs, logs and before-images could not be removed");
                }
                Ok(ran)
            })
        });
        work.await.map_err(|error| Error::internal("a run ended in a panic").cause(error))?
    }
}
