//! The desk on this project: what `serve` shows and does, through the same engine, store and connectors as the commands.

mod connections;
mod discover;
mod draft;
mod files;
mod inbox;
mod marks;
mod runs;
mod shapes;
mod sign_in;
mod syncs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tidegate_model::ports::Scratch;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Instant, Result};
use tidegate_server::Outlook;
use tidegate_server::desk::*;

use crate::live::Live;
use crate::workshop::Workshop;

/// The desk.
pub struct ProjectDesk {
    live: Arc<Live>,
    outlook: Arc<Outlook>,
    /// The last check of each connection.
    checks: Mutex<BTreeMap<String, Check>>,
    /// People who are on their way to sign in to a connection.
    attempts: sign_in::Attempts,
    /// Texts that are not let out, one project at a time: two people who save at once do not mix.
    saving: tokio::sync::Mutex<()>,
}

/// A check of a connection.
#[derive(Debug, Clone)]
struct Check {
    at: Instant,
    findings: Vec<FindingAnswer>,
}

impl ProjectDesk {
    /// On a project that is read again when it changes.
    pub fn new(live: Arc<Live>, outlook: Arc<Outlook>) -> Self {
        Self {
            live,
            outlook,
            checks: Mutex::default(),
            attempts: sign_in::Attempts::default(),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// The project as it stands; the last good state if its files are broken.
    fn shop(&self) -> Arc<Workshop> {
        self.live.refresh().unwrap_or_else(|_| self.live.shop())
    }

    fn check_of(&self, connection: &str) -> Option<Check> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).get(connection).cloned()
    }
}

/// The error of a name that is not there: the same words as the commands', as what was not found.
fn known<T>(found: Result<T>) -> Result<T> {
    found.map_err(|mut error| {
        error.kind = ErrorKind::NotFound;
        error
    })
}

/// A run that is not there.
fn no_run() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such run in this state").hint("`GET /api/v1/runs` lists them")
}

#[async_trait]
impl Desk for ProjectDesk {
    async fn project(&self) -> Result<ProjectAnswer> {
        Ok(files::project(self))
    }

    async fn syncs(&self) -> Result<Vec<SyncAnswer>> {
        syncs::all(self).await
    }
    async fn sync(&self, sync: &str) -> Result<SyncDetail> {
        syncs::one(self, sync).await
    }
    async fn plan(&self, sync: &str, ask: &PlanAsk) -> Result<PlanAnswer> {
        syncs::plan(self, sync, ask).await
    }
    async fn start(&self, sync: &str, ask: &StartAsk) -> Result<Queued> {
        syncs::start(self, sync, ask).await
    }
    async fn full_sync(&self, connection: &str, _by: &str) -> Result<Vec<Queued>> {
        syncs::full_sync(self, connection).await
    }
    async fn unqueue(&self, sync: &str) -> Result<()> {
        syncs::unqueue(self, sync).await
    }
    async fn pause(&self, sync: &str, paused: bool, by: &str) -> Result<()> {
        let shop = self.shop();
        known(shop.sync(sync))?;
        let why = format!("by {by}");
        shop.memory().set_setting(&crate::cmd::pause::setting(sync), paused.then_some(why.as_str())).await
    }
    async fn automation(&self, sync: &str, on: Option<bool>) -> Result<()> {
        let shop = self.shop();
        known(shop.sync(sync))?;
        shop.memory().set_setting(&format!("automation:{sync}"), on.map(word)).await
    }

    async fn runs(&self, ask: &RunsAsk) -> Result<Page<RunAnswer>> {
        runs::list(self, ask).await
    }
    async fn run(&self, run: &str) -> Result<RunAnswer> {
        runs::one(self, run).await
    }
    async fn log(&self, run: &str, ask: &ListAsk) -> Result<Page<LogLine>> {
        runs::log(self, run, ask).await
    }
    async fn logs(&self, ask: &OfSyncAsk) -> Result<Page<RunLogLine>> {
        runs::logs(self, ask).await
    }
    async fn writes(&self, run: &str, ask: &ListAsk) -> Result<Page<WriteAnswer>> {
        runs::writes(self, run, ask).await
    }
    async fn cancel(&self, run: &str) -> Result<()> {
        runs::cancel(self, run).await
    }
    async fn undo(&self, run: &str) -> Result<Undone> {
        runs::undo(self, run).await
    }

    async fn rejects(&self, ask: &OfSyncAsk) -> Result<Page<RejectAnswer>> {
        inbox::rejects(self, ask).await
    }
    async fn rejects_csv(&self, sync: Option<&str>) -> Result<String> {
        inbox::rejects_csv(self, sync).await
    }
    async fn conflicts(&self, ask: &ConflictsAsk) -> Result<Page<ConflictAnswer>> {
        inbox::conflicts(self, ask).await
    }
    async fn resolve(&self, ask: &ResolveAsk) -> Result<()> {
        inbox::resolve(self, ask).await
    }
    async fn why(&self, sync: &str, key: &str) -> Result<WhyAnswer> {
        inbox::why(self, sync, key).await
    }

    async fn kinds(&self) -> Result<Vec<KindAnswer>> {
        Ok(connections::kinds())
    }
    async fn connections(&self) -> Result<Vec<ConnectionAnswer>> {
        connections::all(self).await
    }
    async fn connection(&self, connection: &str) -> Result<ConnectionDetail> {
        connections::one(self, connection).await
    }
    async fn check_connection(&self, connection: &str) -> Result<Vec<FindingAnswer>> {
        connections::check(self, connection).await
    }
    async fn check_sync(&self, sync: &str) -> Result<Vec<FindingAnswer>> {
        connections::check_sync(self, sync).await
    }
    async fn discover(&self, connection: &str, place: Option<&str>) -> Result<Discovered> {
        discover::at(self, connection, place).await
    }
    async fn enable(&self, connection: &str, on: Option<bool>) -> Result<()> {
        let shop = self.shop();
        known(shop.connection(connection))?;
        shop.memory().set_setting(&crate::workshop::enabled_setting(connection), on.map(word)).await
    }
    async fn connection_automation(&self, connection: &str, on: Option<bool>) -> Result<()> {
        let shop = self.shop();
        known(shop.connection(connection))?;
        shop.memory().set_setting(&format!("automation-connection:{connection}"), on.map(word)).await
    }
    async fn records(&self, connection: &str, ask: &RecordsAsk) -> Result<Page<serde_json::Value>> {
        discover::records(self, connection, ask).await
    }
    async fn all_records(&self, connection: &str, ask: &RecordsAsk) -> Result<Box<dyn Scratch>> {
        discover::all_records(self, connection, ask).await
    }

    async fn usage(&self, connection: &str, series: &str, days: u32) -> Result<Vec<UsageAnswer>> {
        discover::usage(self, connection, series, days).await
    }
    async fn setup(&self, connection: &str, ask: &SetupAsk) -> Result<Option<String>> {
        let shop = self.shop();
        let found = known(shop.connection(connection))?;
        crate::cmd::setup::text_of(&shop.root, shop.project.serve.public_url.as_deref(), found, ask)
    }

    async fn redirect_uri(&self, here: &str) -> Result<String> {
        Ok(sign_in::redirect_uri(self, here))
    }
    async fn begin_sign_in(&self, connection: &str, here: &str) -> Result<Option<SignInAnswer>> {
        sign_in::begin(self, connection, here)
    }
    async fn end_sign_in(&self, query: &str) -> Result<String> {
        sign_in::end(self, query).await
    }

    async fn preview(&self, sync: &str, text: &str) -> Result<PreviewAnswer> {
        draft::preview(self, sync, text).await
    }
    async fn plan_draft(&self, sync: &str, text: &str, ask: &PlanAsk) -> Result<PlanAnswer> {
        let shop = draft::shop(self, sync, text)?;
        syncs::plan_on(&shop, sync, ask).await
    }

    async fn file(&self, file: &FileName) -> Result<FileAnswer> {
        files::read(self, file)
    }
    async fn check_file(&self, file: &FileName, text: &str) -> Result<Vec<ProblemAnswer>> {
        files::check(self, file, text)
    }
    async fn save_file(&self, file: &FileName, ask: &SaveAsk) -> Result<FileAnswer> {
        files::save(self, file, ask).await
    }
    async fn remove_file(&self, file: &FileName) -> Result<()> {
        files::remove(self, file).await
    }

    async fn secrets(&self) -> Result<Vec<SecretAnswer>> {
        connections::secrets(self).await
    }
    async fn set_secret(&self, name: &str, value: &Secret) -> Result<Vec<String>> {
        files::set_secret(self, name, value).await
    }
    async fn remove_secret(&self, name: &str) -> Result<Vec<String>> {
        files::remove_secret(self, name).await
    }
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
