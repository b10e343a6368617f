//! What `serve` is handed: who runs a sync, what the state says, what time it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_engine::plan::due::OrderEntry;
use tidegate_model::ports::{Cancel, Memory, ProcessId};
use tidegate_model::run::RunRecord;
use tidegate_model::schedule::Schedule;
use tidegate_model::schema::ModelName;
use tidegate_model::sync::Sync as SyncSpec;
use tidegate_model::{Instant, Result};

/// A connection's switches, as its file says them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSwitch {
    /// Its name.
    pub name: String,
    /// Off: no run of any kind touches it.
    pub enabled: bool,
    /// Off: no sync of it runs by itself.
    pub automation: bool,
}

/// A sync of the project, as far as the scheduler needs to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncInfo {
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// `automation` of its file.
    pub automation: bool,
    /// Whether data flows both ways.
    pub two_way: bool,
    /// Its connections.
    pub connections: Vec<ConnectionSwitch>,
    /// Its name, its model and what it refers to.
    pub order: OrderEntry,
    /// Hash of its configuration and its connections': a job that was asked with another is left to others.
    pub config_hash: String,
}

impl SyncInfo {
    /// From a sync of the project, its connections, and the models that its platform's model refers to.
    pub fn of(
        sync: &SyncSpec,
        connections: Vec<ConnectionSwitch>,
        references: Vec<ModelName>,
        config_hash: String,
    ) -> Self {
        Self {
            schedule: sync.schedule.clone(),
            automation: sync.automation,
            two_way: sync.two_way(),
            connections,
            order: OrderEntry {
                sync: sync.name.clone(),
                platform: sync.platform_connection.clone(),
                model: sync.model.clone(),
                direction: sync.direction,
                references,
                after: sync.after.clone(),
            },
            config_hash,
        }
    }
    /// Its name.
    pub fn name(&self) -> &str {
        &self.order.sync
    }
}

/// One run to be done.
#[derive(Debug, Clone)]
pub struct RunAsk {
    /// The sync.
    pub sync: String,
    /// What started it: `schedule`, `manual`, …
    pub trigger: String,
    /// A complete read, whatever `changes` says.
    pub full: bool,
    /// What was asked for besides, as the desk put it into the queue (JSON).
    pub wishes: String,
    /// Asks the run to stop at its next safe point.
    pub cancel: Cancel,
}

/// Runs syncs.
#[async_trait]
pub trait Runner: Send + Sync {
    /// The syncs of the project as it stands now. Called every few seconds; must be cheap when nothing changed. An
    /// error leaves the syncs as they were.
    async fn syncs(&self) -> Result<Vec<SyncInfo>>;
    /// Does one run, from claiming the lease to its settled end, and answers with its record as it is kept. An error
    /// means that there is no record: the run could not begin (the lease is held elsewhere, the store is away). When
    /// asked to stop it ends within seconds. Dropping the future is as good as a crash.
    async fn run(&self, ask: RunAsk) -> Result<RunRecord>;
    /// How many parts of large deliveries of other processes wait for somebody.
    async fn offered(&self) -> Result<usize> {
        Ok(0)
    }
    /// Takes a part in a large delivery of another process's run, if there is one, until none of it is left; false if there
    /// is none. When asked to stop it ends within seconds, and others go on.
    async fn help(&self, _cancel: Cancel) -> Result<bool> {
        Ok(false)
    }
    /// Whether a process is surely gone: its jobs need not wait for its lease to run out.
    fn is_gone(&self, _process: &ProcessId) -> bool {
        false
    }
}

/// What the scheduler needs of the state.
#[async_trait]
pub trait StateView: Send + Sync {
    /// An error if the state cannot be reached.
    async fn ping(&self) -> Result<()>;
    /// A sync's last runs, newest first.
    async fn recent_runs(&self, sync: &str, limit: u32) -> Result<Vec<RunRecord>>;
    /// Whether a full run of the sync has been settled once.
    async fn full_settled(&self, sync: &str) -> Result<bool>;
    /// Settings whose name starts with a prefix.
    async fn settings(&self, prefix: &str) -> Result<BTreeMap<String, String>>;
    /// Sets a setting; `None` removes it.
    async fn set_setting(&self, name: &str, value: Option<&str>) -> Result<()>;
}

/// The engine's memory as a [`StateView`].
#[derive(Clone)]
pub struct MemoryView(pub Arc<dyn Memory>);

#[async_trait]
impl StateView for MemoryView {
    async fn ping(&self) -> Result<()> {
        self.0.store_id().await.map(|_| ())
    }
    async fn recent_runs(&self, sync: &str, limit: u32) -> Result<Vec<RunRecord>> {
        self.0.runs(Some(sync), limit).await
    }
    async fn full_settled(&self, sync: &str) -> Result<bool> {
        Ok(self.0.state(sync).await?.full_settled)
    }
    async fn settings(&self, prefix: &str) -> Result<BTreeMap<String, String>> {
        self.0.settings(prefix).await
    }
    async fn set_setting(&self, name: &str, value: Option<&str>) -> Result<()> {
        self.0.set_setting(name, value).await
    }
}

/// The time, and waiting for it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> Instant;
    /// Waits.
    async fn sleep(&self, millis: u64);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant(jiff::Timestamp::now().as_microsecond())
    }
    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
