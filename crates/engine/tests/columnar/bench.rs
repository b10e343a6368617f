//! A warehouse file, a hub file and a state file, with a clock and a kill switch in the test's hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tidegate_engine::{Engine, Job, Quota, RunOptions};
use tidegate_model::change::{Action, Change};
use tidegate_model::error::Result;
use tidegate_model::ports::{Deaf, Env, Memory, Platform, Scratch, Warehouse, WriteAsk};
use tidegate_model::record::{Fields, Key};
use tidegate_model::run::RunRecord;
use tidegate_model::schema::{ModelName, Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::{
    Changes, CursorSpec, Direction, EmptyText, FieldMap, FieldSet, FieldSource, KeySpec, Nulls, OnMisfit, Sync,
    WriteMode,
};
use tidegate_model::time::Instant;
use tidegate_model::value::Value;

/// The surroundings.
pub struct TestEnv {
    clock: AtomicI64,
    ids: AtomicU64,
    /// Failpoint to die at, and how many times it is passed before.
    kill: Mutex<Option<(&'static str, u32)>>,
    /// It died: the engine catches a panic of a run and writes it down, which nobody does who is dead.
    dead: AtomicBool,
    /// Failpoints that were passed.
    pub passed: Mutex<BTreeMap<&'static str, u32>>,
}

#[async_trait]
impl Env for TestEnv {
    fn now(&self) -> Instant {
        Instant(self.clock.fetch_add(1_000, Ordering::SeqCst))
    }
    fn new_id(&self) -> String {
        format!("{:026}", self.ids.fetch_add(1, Ordering::SeqCst))
    }
    fn random(&self) -> u64 {
        7
    }
    async fn sleep(&self, millis: u64) {
        // A run that waits lets the others work: nothing here waits for the clock.
        tokio::time::sleep(std::time::Duration::from_millis(millis.min(50))).await;
    }
    fn scratch(&self) -> Result<Box<dyn Scratch>> {
        Ok(Box::<Held>::default())
    }
    fn failpoint(&self, name: &'static str) {
        assert!(!self.dead.load(Ordering::SeqCst), "dead, and come to {name}");
        *self.passed.lock().unwrap().entry(name).or_default() += 1;
        let mut kill = self.kill.lock().unwrap();
        match &mut *kill {
            Some((point, left)) if *point == name && *left == 0 => {
                *kill = None;
                drop(kill);
                self.dead.store(true, Ordering::SeqCst);
                panic!("killed at {name}");
            }
            Some((point, left)) if *point == name => *left -= 1,
            _ => {}
        }
    }
}

#[derive(Default)]
struct Held(Vec<Vec<u8>>, usize);

impl Scratch for Held {
    fn push(&mut self, record: &[u8]) -> Result<()> {
        self.0.push(record.to_vec());
        Ok(())
    }
    fn rewind(&mut self) -> Result<()> {
        self.1 = 0;
        Ok(())
    }
    fn next(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        into.clear();
        let Some(record) = self.0.get(self.1) else { return Ok(false) };
        into.extend_from_slice(record);
        self.1 += 1;
        Ok(true)
    }
}

/// Everything a test needs.
pub struct Bench {
    dir: tempfile::TempDir,
    pub env: Arc<TestEnv>,
    pub memory: Arc<dyn Memory>,
    pub warehouse: Arc<dyn Warehouse>,
    pub platform: Arc<dyn Platform>,
}

impl Bench {
    /// An empty world with these tables in the warehouse.
    pub async fn new(sql: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        rusqlite::Connection::open(path.join("warehouse.db")).unwrap().execute_batch(sql).unwrap();
        let warehouse = open_warehouse(path);
        let context =
            tidegate_platforms::OpenContext { project_dir: path.to_owned(), name: "crm".into(), ..Default::default() };
        let config = serde_json::json!({ "url": "sqlite:hub.db" });
        let platform = tidegate_platforms::open("hub", &config, &context).unwrap();
        let url = format!("sqlite:{}", path.join("state.db").display());
        let memory = tidegate_store::open(&url, &tidegate_store::OpenOptions::default()).await.unwrap();
        let env = Arc::new(TestEnv {
            clock: AtomicI64::new(1_700_000_000_000_000),
            ids: AtomicU64::new(1),
            kill: Mutex::new(None),
            dead: AtomicBool::new(false),
            passed: Mutex::new(BTreeMap::new()),
        });
        Self { dir, env, memory, warehouse, platform }
    }

    /// Runs SQL in the warehouse, as other people do.
    pub fn sql(&self, sql: &str) {
        self.connection("warehouse.db").execute_batch(sql).unwrap();
    }

    /// The first column of a query in the warehouse, as text.
    pub fn ask(&self, sql: &str) -> Vec<String> {
        ask(&self.connection("warehouse.db"), sql)
    }

    /// The same in the platform's own file.
    pub fn ask_platform(&self, sql: &str) -> Vec<String> {
        ask(&self.connection("hub.db"), sql)
    }

    fn connection(&self, file: &str) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.dir.path().join(file)).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection
    }

    pub fn engine(&self) -> Engine {
        Engine {
            memory: self.memory.clone(),
            env: self.env.clone(),
            listener: Arc::new(Deaf),
            holder: "test".to_owned(),
        }
    }

    pub fn job(&self, sync: &Sync) -> Job {
        Job {
            sync: Arc::new(sync.clone()),
            warehouse: self.warehouse.clone(),
            platform: self.platform.clone(),
            config_hash: "config".into(),
            shape_hash: "shape".into(),
            quota: Quota::default(),
        }
    }

    /// Runs a sync; whatever becomes of it, its books balance.
    pub async fn run(&self, sync: &Sync) -> RunRecord {
        self.run_with(sync, RunOptions::default()).await
    }

    pub async fn run_with(&self, sync: &Sync, options: RunOptions) -> RunRecord {
        let run = self.engine().run(&self.job(sync), &options).await.unwrap();
        assert!(run.books.balanced(), "{run:#?}");
        let kept = self.memory.run(&run.run).await.unwrap().expect("the run is kept");
        assert_eq!(kept, run);
        run
    }

    /// Runs a sync that dies at a failpoint, passed `after` times before. False if it never came there.
    pub async fn killed(&self, sync: &Sync, point: &'static str, after: u32) -> bool {
        *self.env.kill.lock().unwrap() = Some((point, after));
        let (engine, job) = (self.engine(), self.job(sync));
        // A thread of its own: the run's future stays on one thread, as in the binary.
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(engine.run(&job, &RunOptions::default()))
        };
        let died = std::thread::spawn(body).join().is_err();
        *self.env.kill.lock().unwrap() = None;
        self.env.dead.store(false, Ordering::SeqCst);
        // The dead holder's lease has to run out, and the longest call it may have had on its way.
        self.env.clock.fetch_add(200_000_000, Ordering::SeqCst);
        died
    }

    /// Open rejects: key and rule.
    pub async fn rejects(&self, sync: &Sync) -> Vec<(Option<String>, String)> {
        let listed = self.memory.rejects(Some(&sync.name), 1_000).await.unwrap();
        let pair = |listed: tidegate_model::ports::ListedReject| {
            (listed.reject.key.map(|key| key.to_string()), listed.reject.why.rule)
        };
        listed.into_iter().map(pair).collect()
    }

    /// Makes companies `c1`, `c2`, … on the platform, each with a score.
    pub async fn companies(&self, from: u32, to: u32) {
        let ask = WriteAsk {
            model: ModelName("company".into()),
            key: "externalId".into(),
            new_fields: vec![("custom.Score".into(), tidegate_model::value::Type::Int64)],
            op: OpId(format!("made-{from}-{to}-{}", self.env.ids.fetch_add(1, Ordering::SeqCst))),
            fence: Fence { sync: "made".into(), store: "made".into(), epoch: 1 },
            records: 1,
            addresses: Vec::new(),
        };
        let change = |number: u32| {
            let mut fields = Fields::new();
            fields.push("name", Value::text(format!("Company {number}")));
            fields.push("custom.Score", Value::Int(i64::from(number)));
            Change { key: Key::new(format!("c{number}")), remote: None, action: Action::Create, fields, expect: None }
        };
        let batch: Vec<Change> = (from..=to).map(change).collect();
        for outcome in self.platform.write(&ask, &batch).await.unwrap() {
            assert!(matches!(outcome, tidegate_model::change::Outcome::Applied { .. }), "{outcome:?}");
        }
    }
}

fn open_warehouse(path: &Path) -> Arc<dyn Warehouse> {
    let context = tidegate_warehouses::OpenContext {
        project_dir: path.to_owned(),
        access_write: true,
        work_schema: "TIDEGATE".into(),
        name: "lake".into(),
        vault: tidegate_warehouses::in_memory(),
        targets: None,
    };
    tidegate_warehouses::open("sqlite", &serde_json::json!({ "path": "warehouse.db" }), &context).unwrap()
}

fn ask(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Null => "NULL".to_owned(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Real(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            rusqlite::types::ValueRef::Blob(_) => "blob".to_owned(),
        })
    });
    rows.unwrap().map(|row| row.unwrap()).collect()
}

/// A line of `fields:`.
pub fn line(column: &str, platform: &str, direction: Direction) -> FieldMap {
    FieldMap {
        source: FieldSource::Column(column.into()),
        platform: platform.into(),
        direction,
        transform: Vec::new(),
        map: BTreeMap::new(),
        nulls: Nulls::Clear,
        on_misfit: OnMisfit::RejectRecord,
        empty: EmptyText::Keep,
        hint: None,
        format: None,
        conflict: None,
    }
}

/// Usage events by cursor.
pub fn usage() -> Sync {
    let key = KeySpec { warehouse: "id".into(), platform: None, transform: vec![] };
    let mut sync = Sync::new("usage", "lake", Source::Relation(Relation::parse("events")), "crm", "user_activity", key);
    sync.changes = Changes::Cursor;
    sync.cursor = Some(CursorSpec { column: "id".into(), lookback: None });
    sync.write = WriteMode::Append;
    sync.batch_size = Some(10);
    let there = Direction::ToPlatform;
    sync.fields = FieldSet::List(vec![
        line("company", "companyExternalId", there),
        line("action", "action", there),
        line("weight", "weight", there),
        line("at", "date", there),
    ]);
    sync
}

/// Events `from..=to`, all of company `c1`.
pub fn events(from: i64, to: i64) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to})
         INSERT INTO events SELECT i, 'c1', 'open', i % 3 + 1, '2024-01-01T00:00:00' FROM n;"
    )
}

pub const EVENTS: &str = "CREATE TABLE events (id INTEGER, company TEXT, action TEXT, weight INTEGER, at TIMESTAMP);";

/// A table into a dataset.
pub fn revenue(changes: Changes, write: WriteMode) -> Sync {
    let key = KeySpec { warehouse: "invoice_id".into(), platform: None, transform: vec![] };
    let mut sync =
        Sync::new("revenue", "lake", Source::Relation(Relation::parse("revenue")), "crm", "dataset:revenue", key);
    sync.changes = changes;
    if changes == Changes::Cursor {
        sync.cursor = Some(CursorSpec { column: "updated_at".into(), lookback: None });
    }
    sync.write = write;
    sync.fields = FieldSet::All;
    sync.batch_size = Some(7);
    sync
}

pub const REVENUE: &str =
    "CREATE TABLE revenue (invoice_id TEXT, company_id TEXT, amount DECIMAL(12,2), updated_at TIMESTAMP);";

/// Scores of companies into a table.
pub fn scores(write: WriteMode) -> Sync {
    let key = KeySpec { warehouse: "company_id".into(), platform: Some("externalId".into()), transform: vec![] };
    let mut sync = Sync::new("scores", "lake", Source::Relation(Relation::parse("scores")), "crm", "company", key);
    sync.direction = Direction::ToWarehouse;
    sync.write = write;
    sync.batch_size = Some(10);
    let back = Direction::ToWarehouse;
    sync.fields = FieldSet::List(vec![line("name", "name", back), line("score", "custom.Score", back)]);
    sync
}

pub const SCORES: &str =
    "CREATE TABLE scores (company_id TEXT, name TEXT, score INTEGER, tidegate_run TEXT, tidegate_at TIMESTAMP);";
