//! The project as it stands, for processes that stay: read again when a file of it changed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use async_trait::async_trait;
use tidegate_engine::RunOptions;
use tidegate_model::config::config_hash;
use tidegate_model::ports::{Cancel, Holder, ProcessId, Shard, Shards};
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::sync::{Direction, Sync as SyncSpec};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_server::desk::{StartAsk, Way};
use tidegate_server::{ConnectionSwitch, RunAsk, Runner, SyncInfo};

use crate::app::Failure;
use crate::project;
use crate::workshop::Workshop;

/// The project as it stands.
pub struct Live {
    /// Its folder.
    pub root: PathBuf,
    now: RwLock<Now>,
}

struct Now {
    stamp: Stamp,
    shop: Arc<Workshop>,
    infos: Option<Vec<SyncInfo>>,
}

/// Newest change, number and size of the project's files.
type Stamp = (Option<SystemTime>, usize, usize);

impl Live {
    /// From an open project.
    pub fn new(shop: Workshop) -> Result<Self> {
        let root = shop.root.clone();
        let now = Now { stamp: stamp(&root)?, shop: Arc::new(shop), infos: None };
        Ok(Self { root, now: RwLock::new(now) })
    }

    /// The project as it was last read.
    pub fn shop(&self) -> Arc<Workshop> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).shop)
    }

    /// Reads the files again if one changed; an error leaves the last good state.
    pub fn refresh(&self) -> Result<Arc<Workshop>, Failure> {
        let stamp = stamp(&self.root)?;
        let (old, old_stamp) = {
            let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&now.shop), now.stamp)
        };
        if stamp == old_stamp {
            return Ok(old);
        }
        let read = project::load(&self.root)?;
        let shop = old.with(read, Arc::clone(&old.store));
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
    Ok((files.iter().filter_map(changed).max(), files.len(), files.iter().map(|file| file.text.len()).sum()))
}

/// All errors in one, where only one is taken.
pub fn first(failure: Failure) -> Error {
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

/// What the queue says of a run, as the engine takes it.
fn options(ask: &RunAsk, wishes: &StartAsk) -> RunOptions {
    let direction = wishes.direction.map(|way| match way {
        Way::ToPlatform => Direction::ToPlatform,
        Way::ToWarehouse => Direction::ToWarehouse,
    });
    RunOptions {
        trigger: ask.trigger.clone(),
        full: ask.full || wishes.full,
        direction,
        limit: None,
        force_guards: wishes.force_guards.clone(),
        cancel: ask.cancel.clone(),
        shards: None,
    }
}

#[async_trait]
impl Runner for Live {
    async fn syncs(&self) -> Result<Vec<SyncInfo>> {
        let shop = self.refresh().map_err(first)?;
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
            let hash = config_hash(&shop.project, &sync.name);
            let mut info = SyncInfo::of(sync, switches(&shop, sync), references, hash);
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
        let work = tokio::task::spawn_blocking(move || runtime.block_on(work(&shop, &ask)));
        work.await.map_err(|error| Error::internal("a run ended in a panic").cause(error))?
    }

    async fn offered(&self) -> Result<usize> {
        let shop = self.shop();
        if shop.state_is_a_file()? {
            return Ok(0);
        }
        Ok(offered(&shop).await?.len())
    }

    async fn help(&self, cancel: Cancel) -> Result<bool> {
        let shop = self.shop();
        let now = shop.engine.env.now();
        let holder = Holder { name: shop.engine.holder.clone(), process: shop.engine.env.process() };
        let mut taken = None;
        for open in offered(&shop).await? {
            taken = shop.store.take_shard(&open, &holder, now).await?;
            if taken.is_some() {
                break;
            }
        }
        let Some(taken) = taken else { return Ok(false) };
        let runtime = tokio::runtime::Handle::current();
        let work = tokio::task::spawn_blocking(move || runtime.block_on(help(&shop, taken, cancel)));
        work.await.map_err(|error| Error::internal("a part of a run ended in a panic").cause(error))?.map(|()| true)
    }

    fn is_gone(&self, process: &ProcessId) -> bool {
        crate::process::is_gone(process)
    }
}

/// Parts that wait, of syncs that are the same in this project.
async fn offered(shop: &Workshop) -> Result<Vec<Shard>> {
    // Whoever is surely gone need not fall silent first.
    for (span, number, holder) in shop.store.held_shards().await? {
        if holder.process.as_ref().is_some_and(crate::process::is_gone) {
            shop.store.give_shard_back(&span, number, &holder.name).await?;
        }
    }
    let mut open = shop.store.open_shards(None, shop.engine.env.now()).await?;
    let known = |shard: &Shard| shop.project.syncs.contains_key(&shard.sync);
    open.retain(|shard| known(shard) && config_hash(&shop.project, &shard.sync) == shard.config_hash);
    Ok(open)
}

async fn help(shop: &Workshop, taken: Shard, cancel: Cancel) -> Result<()> {
    let shards = Arc::clone(&shop.store) as Arc<dyn Shards>;
    let options = RunOptions { cancel, ..RunOptions::default() };
    match shop.job(&taken.sync).await.map_err(first) {
        Ok(job) => shop.engine.help(&job, &options, &shards, taken).await,
        Err(error) => {
            shards.give_shard_back(&taken.span, taken.number, &shop.engine.holder).await?;
            Err(error)
        }
    }
}

async fn work(shop: &Workshop, ask: &RunAsk) -> Result<RunRecord> {
    let wishes: StartAsk = serde_json::from_str(&ask.wishes)
        .map_err(|error| Error::internal("what was asked for in the queue cannot be read").cause(error))?;
    let mut options = options(ask, &wishes);
    // A file has this process alone: nobody could help.
    options.shards = (!shop.state_is_a_file()?).then(|| Arc::clone(&shop.store) as Arc<dyn Shards>);
    let job = match shop.job(&ask.sync).await.map_err(first) {
        Ok(job) => job,
        // Somebody asked for a run, or the schedule did: that it was refused belongs among the sync's runs.
        Err(error) if error.kind != ErrorKind::Locked => {
            let hash = config_hash(&shop.project, &ask.sync);
            return shop.engine.refused(&ask.sync, &hash, &options, &error).await;
        }
        Err(error) => return Err(error),
    };
    let ran = if wishes.retry {
        let key = wishes.key.as_deref().map(Key::new);
        shop.engine.retry(&job, key.as_ref(), &options).await?
    } else {
        shop.engine.run(&job, &options).await?
    };
    if let Err(error) = shop.sweep().await {
        tracing::warn!(%error, "old runs, logs and before-images could not be removed");
    }
    Ok(ran)
}
