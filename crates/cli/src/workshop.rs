//! An open project: its files, its state, its connections as far as they were needed, and the engine.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_engine::plan::due::{OrderEntry, run_order};
use tidegate_engine::{Engine, Job, Quota};
use tidegate_model::config::{self, Connection, Found, Project, Side, Sides};
use tidegate_model::finding::Finding;
use tidegate_model::ports::{Env, Listener, Memory, Platform, Warehouse, WarehouseAbilities};
use tidegate_model::schema::ModelName;
use tidegate_model::secret::Secret;
use tidegate_model::sync::{Changes, Sync};
use tidegate_model::{Error, ErrorKind, Instant, Result};
use tidegate_net::oauth::{Login, Vault};
use tidegate_net::targets::Targets;
use tidegate_platforms::hub::Hub;
use tidegate_store::{OpenOptions, Store};
use tokio::sync::Mutex;

use crate::addresses;
use crate::app::{App, Failure};
use crate::gate::gate;
use crate::out::Watcher;
use crate::project::{self, Surroundings, unknown};
use crate::surroundings::World;

/// Where outbox, fence and staging tables go when a connection does not say.
const DEFAULT_WORK_SCHEMA: &str = "tidegate";

/// Between two looks for what is older than the retention.
const SWEEP_EVERY_MS: i64 = 3_600_000;

/// An open project. Connections are opened when first needed, once.
pub struct Workshop {
    /// The project's folder.
    pub root: PathBuf,
    /// Its files, checked.
    pub project: Project,
    /// Its state.
    pub store: Arc<Store>,
    /// The engine, on that state.
    pub engine: Engine,
    /// Shows progress.
    pub watcher: Arc<Watcher>,
    /// Whether it works for others (`serve`, `work`), and not for who typed a command.
    serves: bool,
    warehouses: Mutex<HashMap<String, Arc<dyn Warehouse>>>,
    platforms: Mutex<HashMap<String, Arc<dyn Platform>>>,
}

/// The setting that holds a connection's switch, before what its file says.
pub fn enabled_setting(connection: &str) -> String {
    format!("enabled-connection:{connection}")
}

/// The key of the secrets, if the environment has it.
fn key() -> Option<Secret> {
    std::env::var("TIDEGATE_KEY").ok().filter(|key| !key.is_empty()).map(Secret::new)
}

/// Opens the state of a project.
pub async fn open_store(url: &str) -> Result<Store> {
    if let Some(dir) = url.strip_prefix("sqlite:").and_then(|path| std::path::Path::new(path).parent()) {
        make_private_dir(dir)?;
    }
    Store::open(url, &OpenOptions { key: key(), ..OpenOptions::default() }).await
}

/// Makes a folder that only its owner can look into.
fn make_private_dir(dir: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        Error::new(crate::scratch::kind_of(&error), format!("cannot make the folder {}", dir.display()))
            .hint("make it yourself, or look at the permissions of the folder above it")
            .cause(error)
    })
}

impl Workshop {
    /// Finds, reads and checks the project, and opens its state.
    pub async fn open(app: &App) -> Result<Self, Failure> {
        Self::open_as(app, Watcher::new(&app.out), false).await
    }

    /// The same for a process that works for others, whose log says what its runs do.
    pub async fn open_to_serve(app: &App) -> Result<Self, Failure> {
        Self::open_as(app, Watcher::logging(), true).await
    }

    async fn open_as(app: &App, watcher: Watcher, serves: bool) -> Result<Self, Failure> {
        let root = project::root(app)?;
        let root = std::path::absolute(&root).unwrap_or(root);
        let project = project::load(&root)?;
        let url = project::state_url(&root, &project)?;
        let store = Arc::new(open_store(&url).await?);
        Ok(Self { serves, ..Self::of(root, project, store, Arc::new(watcher)) })
    }

    /// With other files or another state, for whom this one works.
    pub fn with(&self, project: Project, store: Arc<Store>) -> Self {
        let (root, watcher) = (self.root.clone(), Arc::clone(&self.watcher));
        Self { serves: self.serves, ..Self::of(root, project, store, watcher) }
    }

    fn of(root: PathBuf, project: Project, store: Arc<Store>, watcher: Arc<Watcher>) -> Self {
        let env = Arc::new(World::new(root.join(".tidegate").join("scratch")));
        let engine = Engine {
            memory: Arc::clone(&store) as Arc<dyn Memory>,
            holder: format!("{}-{}", std::process::id(), env.new_id()),
            env,
            listener: Arc::clone(&watcher) as Arc<dyn Listener>,
        };
        let (warehouses, platforms) = (Mutex::default(), Mutex::default());
        Self { root, project, store, engine, watcher, serves: false, warehouses, platforms }
    }

    /// Whether the state is a file of this machine.
    pub fn state_is_a_file(&self) -> Result<bool> {
        Ok(project::state_url(&self.root, &self.project)?.starts_with("sqlite:"))
    }

    /// A sync of the project.
    pub fn sync(&self, name: &str) -> Result<&Sync> {
        let known = self.project.syncs.keys().map(String::as_str);
        self.project.syncs.get(name).ok_or_else(|| unknown("sync", name, known))
    }

    /// A connection of the project, whatever its switches say.
    pub fn connection(&self, name: &str) -> Result<&Connection> {
        let known = self.project.connections.keys().map(String::as_str);
        self.project.connections.get(name).ok_or_else(|| unknown("connection", name, known))
    }

    /// The same, for use.
    fn usable(&self, name: &str, side: Side) -> Result<&Connection> {
        let connection = self.connection(name)?;
        if connection.side != side {
            return Err(Error::config(format!("the connection {name} is a {}", connection.side.word()))
                .hint(format!("name a {} here", side.word())));
        }
        Ok(connection)
    }

    /// Refuses a connection that is switched off, in its file or over it.
    pub async fn refuse_if_off(&self, name: &str) -> Result<()> {
        let connection = self.connection(name)?;
        let over = self.over(name).await?;
        if over.unwrap_or(connection.enabled) {
            return Ok(());
        }
        let hint = match over {
            Some(_) => {
                "switch it on in the pages of `tidegate serve`, or with `POST /api/v1/connections/NAME/enabled`; \
                        until then no run of any kind touches it"
                    .to_owned()
            }
            None => format!("set `enabled: true` in {}; until then no run of any kind touches it", connection.file),
        };
        Err(Error::config(format!("the connection {name} is switched off (`enabled: false`)")).hint(hint))
    }

    /// What somebody switched over what the file says.
    async fn over(&self, connection: &str) -> Result<Option<bool>> {
        let setting = enabled_setting(connection);
        let settings = self.memory().settings(&setting).await?;
        Ok(settings.get(&setting).and_then(|text| tidegate_server::is_switched_on(text)))
    }

    /// Reads the references of a connection's settings.
    fn settings(&self, connection: &Connection) -> Result<serde_json::Value> {
        let store = Arc::clone(&self.store);
        let secrets = move |name: &str| {
            let wait = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| wait.block_on(store.get_secret(name)))
        };
        let lookups = Surroundings { root: &self.root, secrets: &secrets };
        Ok(connection.resolve(&lookups)?.settings)
    }

    /// An open warehouse.
    pub async fn warehouse(&self, name: &str) -> Result<Arc<dyn Warehouse>> {
        self.refuse_if_off(name).await?;
        let mut open = self.warehouses.lock().await;
        if let Some(warehouse) = open.get(name) {
            return Ok(Arc::clone(warehouse));
        }
        let connection = self.usable(name, Side::Warehouse)?;
        let (settings, targets) = self.reach(connection).await?;
        let context = tidegate_warehouses::OpenContext { targets, ..self.warehouse_context(connection) };
        let warehouse = tidegate_warehouses::open(&connection.kind, &settings, &context)?;
        open.insert(name.to_owned(), Arc::clone(&warehouse));
        Ok(warehouse)
    }

    fn warehouse_context(&self, connection: &Connection) -> tidegate_warehouses::OpenContext {
        tidegate_warehouses::OpenContext {
            project_dir: self.root.clone(),
            access_write: connection.access_write,
            work_schema: connection.work_schema.clone().unwrap_or_else(|| DEFAULT_WORK_SCHEMA.to_owned()),
            name: connection.name.clone(),
            vault: Arc::clone(&self.store) as Arc<dyn Vault>,
            targets: None,
        }
    }

    /// The settings of a connection, and where its calls over HTTP may go if not everywhere: out only, where its address
    /// was given in the pages, or a person signs in to it there. Files that were written by hand are their owner's word.
    async fn reach(&self, connection: &Connection) -> Result<(serde_json::Value, Option<Targets>)> {
        let settings = self.settings(connection)?;
        let noted = addresses::given_in_the_pages(&connection.name);
        let given = self.memory().settings(&noted).await?.get(&noted) == Some(&addresses::mark(connection));
        let signed_in = self.serves && addresses::is_signed_in_to(connection);
        if !given && !signed_in {
            return Ok((settings, None));
        }
        let targets = Targets::public_and(&self.project.serve.private_targets);
        addresses::check(&targets, &connection.kind, &settings)
            .map_err(|error| error.at(format!("connection {}", connection.name)))?;
        Ok((settings, Some(targets)))
    }

    /// Closes connections, so that their next use reads their settings anew.
    pub async fn close(&self, names: &[String]) {
        self.warehouses.lock().await.retain(|name, _| !names.contains(name));
        self.platforms.lock().await.retain(|name, _| !names.contains(name));
    }

    /// The login of a connection that a person signs in to.
    pub fn login(&self, name: &str) -> Result<Login> {
        let connection = self.connection(name)?;
        let by_itself = || {
            Error::config(format!("nobody signs in to the connection {name}: it logs in with what its file says"))
                .hint("`tidegate auth` is for connections with `auth: {method: oauth, …}`")
        };
        if connection.side != Side::Warehouse {
            return Err(by_itself());
        }
        let context = self.warehouse_context(connection);
        tidegate_warehouses::login(&connection.kind, &self.settings(connection)?, &context)?.ok_or_else(by_itself)
    }

    fn platform_context(&self, name: &str) -> tidegate_platforms::OpenContext {
        tidegate_platforms::OpenContext {
            project_dir: self.root.clone(),
            name: name.to_owned(),
            private_targets: self.project.serve.private_targets.clone(),
            targets: None,
            gate: self.connection(name).ok().map(|connection| gate(&self.engine, quota(connection))),
        }
    }

    /// An open platform.
    pub async fn platform(&self, name: &str) -> Result<Arc<dyn Platform>> {
        self.refuse_if_off(name).await?;
        let mut open = self.platforms.lock().await;
        if let Some(platform) = open.get(name) {
            return Ok(Arc::clone(platform));
        }
        let connection = self.usable(name, Side::Platform)?;
        let (settings, targets) = self.reach(connection).await?;
        let context = tidegate_platforms::OpenContext { targets, ..self.platform_context(name) };
        let platform = tidegate_platforms::open(&connection.kind, &settings, &context)?;
        open.insert(name.to_owned(), Arc::clone(&platform));
        Ok(platform)
    }

    /// Another platform in the place of a connection's own.
    pub async fn put_platform(&self, name: &str, platform: Arc<dyn Platform>) {
        self.platforms.lock().await.insert(name.to_owned(), platform);
    }

    /// A hub as itself, for the commands that look into it.
    pub fn hub(&self, name: &str) -> Result<Hub> {
        let connection = self.usable(name, Side::Platform)?;
        if !connection.enabled {
            return Err(Error::config(format!("the connection {name} is switched off (`enabled: false`)"))
                .hint(format!("set `enabled: true` in {}", connection.file)));
        }
        let context = self.platform_context(name);
        tidegate_platforms::hub::from_config(&self.settings(connection)?, &context)
    }

    /// A sync with its two open ports, checked: what `check` refuses is refused here too, before anything is written.
    pub async fn job(&self, name: &str) -> Result<Job, Failure> {
        let sync = self.sync(name)?;
        let warehouse = self.warehouse(&sync.warehouse_connection).await?;
        let platform = self.platform(&sync.platform_connection).await?;
        refuse(&self.findings(Some(name)).await)?;
        Ok(Job {
            sync: Arc::new(sync.clone()),
            warehouse,
            platform,
            config_hash: config::config_hash(&self.project, name),
            shape_hash: config::shape_hash(&self.project, name),
            quota: quota(self.connection(&sync.platform_connection)?),
        })
    }

    /// What `check` finds in the files about one sync or all, and about the two sides of each as far as they answer.
    pub async fn findings(&self, only: Option<&str>) -> Vec<Found> {
        let about = |found: &Found| match (only, &found.sync) {
            (Some(only), Some(sync)) => only == sync,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let mut all: Vec<Found> = config::check(&self.project).into_iter().filter(about).collect();
        for sync in self.project.syncs.values().filter(|sync| only.is_none_or(|only| only == sync.name)) {
            if self.switched_on(sync).await {
                all.extend(self.side_findings(sync).await);
            }
        }
        all
    }

    /// A side that does not answer is not judged here: the engine's own check and run tell why.
    async fn side_findings(&self, sync: &Sync) -> Vec<Found> {
        let mut found = Vec::new();
        let relation = match self.warehouse(&sync.warehouse_connection).await {
            Ok(warehouse) => {
                found.extend(self.no_history(sync, warehouse.abilities()));
                warehouse.describe(&sync.source).await.ok()
            }
            Err(_) => None,
        };
        let platform = self.platform(&sync.platform_connection).await.ok();
        let model = match &platform {
            Some(platform) => platform.model(&sync.model).await.ok(),
            None => None,
        };
        let abilities = platform.map(|platform| platform.abilities(&sync.model));
        let sides = Sides { relation: relation.as_ref(), model: model.as_ref(), abilities: abilities.as_ref() };
        found.extend(config::check_with(&self.project, &sync.name, &sides));
        found
    }

    /// A way of finding changes that the warehouse does not have.
    fn no_history(&self, sync: &Sync, can: WarehouseAbilities) -> Option<Found> {
        let (word, has) = match sync.changes {
            Changes::Tracking => ("tracking", can.tracking),
            // That it needs `access: write` is said from the files.
            Changes::Stream if !can.write => return None,
            Changes::Stream => ("stream", can.stream),
            Changes::Auto | Changes::Full | Changes::Cursor => return None,
        };
        let why = format!("`changes: {word}`: the warehouse {} keeps no such history", sync.warehouse_connection);
        let fix = "write `changes: auto`, or `changes: cursor` with a column that grows";
        (!has).then(|| Found {
            connection: None,
            sync: Some(sync.name.clone()),
            place: self.project.sync_place(&sync.name, "changes"),
            finding: Finding::critical(format!("no_{word}"), why, fix),
        })
    }

    /// Removes what is older than the project's retention, at most once an hour; how many rows went.
    pub async fn sweep(&self) -> Result<u64> {
        const SWEPT: &str = "swept";
        let now = self.engine.env.now();
        let noted = self.memory().settings(SWEPT).await?;
        let last = noted.get(SWEPT).and_then(|text| text.parse().ok()).map_or(Instant(0), Instant);
        if now.millis_since(last) < SWEEP_EVERY_MS {
            return Ok(0);
        }
        self.memory().set_setting(SWEPT, Some(&now.0.to_string())).await?;
        let keep = &self.project.retention;
        let before = |ms: i64| now.plus_millis(-ms);
        self.memory().sweep(before(keep.runs_ms), before(keep.logs_ms), before(keep.before_images_ms)).await
    }

    /// Names of syncs in the order in which they run: those asked for, or all whose connections are switched on.
    pub async fn order(&self, asked: &[String]) -> Result<Vec<String>> {
        for name in asked {
            self.sync(name)?;
        }
        let mut entries = Vec::new();
        for sync in self.project.syncs.values() {
            let chosen = asked.is_empty() || asked.contains(&sync.name);
            if chosen && (!asked.is_empty() || self.switched_on(sync).await) {
                entries.push(self.order_entry(sync, asked).await?);
            }
        }
        run_order(&entries)
    }

    /// Whether both connections are on. One that does not exist counts as on: the run says what is wrong with it.
    async fn switched_on(&self, sync: &Sync) -> bool {
        for name in [&sync.warehouse_connection, &sync.platform_connection] {
            if let Some(connection) = self.project.connections.get(name) {
                // A state that does not answer is told by the run.
                let over = self.over(name).await.ok().flatten();
                if !over.unwrap_or(connection.enabled) {
                    return false;
                }
            }
        }
        true
    }

    /// Models that the mapped fields of a sync refer to.
    pub async fn references(&self, sync: &Sync) -> Result<Vec<ModelName>> {
        let model = self.platform(&sync.platform_connection).await?.model(&sync.model).await?;
        let mapped = sync.field_list().iter().filter_map(|field| model.field(&field.platform));
        Ok(mapped.filter_map(|field| field.references.clone()).collect())
    }

    async fn order_entry(&self, sync: &Sync, asked: &[String]) -> Result<OrderEntry> {
        // A platform that does not answer gives no order; the run itself then tells why, in one place.
        let references = self.references(sync).await.unwrap_or_default();
        let mut after = Vec::new();
        for name in &sync.after {
            if let Some(other) = self.project.syncs.get(name)
                && self.switched_on(other).await
                && (asked.is_empty() || asked.contains(name))
            {
                after.push(name.clone());
            }
        }
        Ok(OrderEntry {
            sync: sync.name.clone(),
            platform: sync.platform_connection.clone(),
            model: sync.model.clone(),
            direction: sync.direction,
            references,
            after,
        })
    }

    /// The memory, as the port.
    pub fn memory(&self) -> &dyn Memory {
        self.store.as_ref()
    }

    /// A run of the state, or an error that says how to find one.
    pub async fn run_record(&self, run: &str) -> Result<tidegate_model::run::RunRecord> {
        self.memory().run(run).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no run `{run}` in this state"))
                .hint("`tidegate runs` lists them")
        })
    }
}

/// Stops if anything critical was found.
fn refuse(found: &[Found]) -> Result<(), Failure> {
    let critical: Vec<Error> = found
        .iter()
        .filter(|found| found.is_critical())
        .map(|found| project::problem_error(&found.problem()))
        .collect();
    if critical.is_empty() { Ok(()) } else { Err(Failure::several(critical)) }
}

fn quota(connection: &Connection) -> Quota {
    let limits = &connection.quota;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie between 0.001 and 1e12"
    )]
    let whole = |limit: f64| (limit.floor() as u64).max(1);
    let per_minute = limits.requests_per_minute.into_iter().chain(limits.requests_per_second.map(|n| n * 60.0));
    let per_second = limits.records_per_second.into_iter().chain(limits.records_per_minute.map(|n| n / 60.0));
    Quota {
        account: connection.name.clone(),
        requests_per_minute: per_minute.reduce(f64::min).map(whole),
        records_per_second: per_second.reduce(f64::min).map(whole),
        requests_per_day: limits.requests_per_day.map(whole),
        share: limits.share.unwrap_or(1.0),
        #[cfg(feature = "failpoints")]
        unlimited: crate::failpoints::unlimited(),
        #[cfg(not(feature = "failpoints"))]
        unlimited: false,
    }
}
