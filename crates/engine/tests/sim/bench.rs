//! One sync between a warehouse and a platform of the simulation, with a real state in a file.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;

use tidegate_engine::{Engine, Job, Quota, RunOptions};
use tidegate_model::error::Result;
use tidegate_model::ports::{Deaf, Memory};
use tidegate_model::record::Key;
use tidegate_model::run::{Books, RunRecord, RunStatus};
use tidegate_model::schema::{FieldSchema, Relation, Source};
use tidegate_model::sync::{
    Direction, EmptyText, FieldMap, FieldSet, FieldSource, KeySpec, LedgerKind, Nulls, OnMisfit, Sync, Target,
};
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_testkit::sim::{Knobs, SimEnv, SimMemory, SimPlatform, SimWarehouse, World, drive, state_folder};

/// The columns of the table besides `id`, `seq` and `changed_at`.
pub const COLUMNS: [(&str, Type); 4] = [
    ("name", Type::Text),
    ("note", Type::Text),
    ("score", Type::Decimal { precision: 12, scale: 4 }),
    ("size", Type::Int64),
];

/// The fields of the model: those of the table, without any normal form.
pub fn plain_fields() -> Vec<FieldSchema> {
    COLUMNS.iter().map(|(name, logical)| FieldSchema::new(*name, *logical)).collect()
}

/// A mapping of a column to the field of the same name.
pub fn field(name: &str, direction: Direction) -> FieldMap {
    FieldMap {
        source: FieldSource::Column(name.to_owned()),
        platform: name.to_owned(),
        direction,
        transform: Vec::new(),
        map: Default::default(),
        nulls: Nulls::Clear,
        on_misfit: OnMisfit::RejectRecord,
        empty: EmptyText::Keep,
        hint: None,
        format: None,
        conflict: None,
    }
}

/// A sync of these fields; its direction is their union.
pub fn sync(fields: &[(&str, Direction)]) -> Sync {
    let key = KeySpec { warehouse: "id".to_owned(), platform: Some("externalId".to_owned()), transform: Vec::new() };
    let source = Source::Relation(Relation(vec!["companies".to_owned()]));
    let mut sync = Sync::new("companies", "wh", source, "crm", "company", key);
    sync.fields = FieldSet::List(fields.iter().map(|(name, direction)| field(name, *direction)).collect());
    let reaches = |to: Target| fields.iter().any(|(_, direction)| direction.reaches(to));
    sync.direction = match (reaches(Target::Platform), reaches(Target::Warehouse)) {
        (true, true) => Direction::Both,
        (true, false) => Direction::ToPlatform,
        _ => Direction::ToWarehouse,
    };
    sync.ledger = if sync.two_way() { LedgerKind::Values } else { LedgerKind::Fingerprints };
    sync
}

pub fn text(value: &str) -> Value {
    Value::text(value)
}

pub fn number(value: &str) -> Value {
    Value::Decimal(Decimal::parse(value).unwrap())
}

/// A sync with both of its sides.
pub struct Bench {
    pub world: Arc<World>,
    pub warehouse: Arc<SimWarehouse>,
    pub platform: Arc<SimPlatform>,
    /// The state as the engine sees it.
    pub memory: Arc<dyn Memory>,
    /// The state without faults.
    pub state: Arc<dyn Memory>,
    pub sync: Sync,
    pub runs: Vec<RunRecord>,
    runtime: Arc<tokio::runtime::Runtime>,
    processes: u32,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub fn new(sync: Sync) -> Self {
        Self::of(0, sync, Knobs::default(), plain_fields(), 2)
    }

    pub fn with(sync: Sync, knobs: Knobs) -> Self {
        Self::of(0, sync, knobs, plain_fields(), 2)
    }

    pub fn of(seed: u64, sync: Sync, knobs: Knobs, fields: Vec<FieldSchema>, page_rows: usize) -> Self {
        let world = Arc::new(World::new(seed));
        let folder = state_folder();
        let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
        let url = format!("sqlite:{}", folder.path().join("state.db").display());
        let state = runtime.block_on(tidegate_store::open(&url, &Default::default())).unwrap();
        Self {
            warehouse: Arc::new(SimWarehouse::new(world.clone(), &COLUMNS, page_rows)),
            platform: Arc::new(SimPlatform::new(world.clone(), knobs, fields)),
            memory: Arc::new(SimMemory::new(world.clone(), runtime.clone(), state.clone())),
            state,
            sync,
            runs: Vec::new(),
            runtime,
            processes: 0,
            world,
            _folder: folder,
        }
    }

    /// The engine of the process in hand.
    pub fn engine(&self) -> Engine {
        Engine {
            memory: self.memory.clone(),
            env: Arc::new(SimEnv(self.world.clone())),
            listener: Arc::new(Deaf),
            holder: format!("process-{}", self.processes),
        }
    }

    pub fn job(&self) -> Job {
        Job {
            sync: Arc::new(self.sync.clone()),
            warehouse: self.warehouse.clone(),
            platform: self.platform.clone(),
            config_hash: "config".to_owned(),
            shape_hash: "shape".to_owned(),
            quota: Quota::default(),
        }
    }

    /// One run with these options.
    pub fn try_run(&mut self, options: &RunOptions) -> Result<RunRecord> {
        let (engine, job) = (self.engine(), self.job());
        let run = drive(&self.world, engine.run(&job, options))?;
        self.runs.push(run.clone());
        Ok(run)
    }

    /// One run that has to be recorded.
    pub fn run(&mut self) -> RunRecord {
        self.try_run(&RunOptions::default()).unwrap()
    }

    /// One run that has to end without an error; its books.
    pub fn ok(&mut self) -> Books {
        let run = self.run();
        assert!(run.error.is_none(), "{:?}", run.error);
        assert!(matches!(run.status, RunStatus::Succeeded | RunStatus::Partial), "{run:?}");
        run.books
    }

    /// A run that has to find nothing to do.
    pub fn quiet(&mut self) {
        let before = self.world.writes();
        let books = self.ok();
        assert_eq!(self.world.writes(), before, "a quiet run wrote: {books:?}");
    }

    /// A new process takes over, once the lease of the old one is over.
    pub fn restart(&mut self) {
        self.world.restart();
        self.world.pass(200_000);
        self.processes += 1;
    }

    /// Asks the state something, without faults.
    pub fn ask<T>(&self, work: impl Future<Output = Result<T>>) -> T {
        self.runtime.block_on(work).unwrap()
    }

    /// Open rejects as `key/field rule`.
    pub fn rejects(&self) -> Vec<String> {
        let listed = self.ask(self.state.rejects(Some("companies"), 1_000));
        let shown = |listed: tidegate_model::ports::ListedReject| {
            let reject = listed.reject;
            let key = reject.key.map_or("-".to_owned(), |key| key.to_string());
            format!("{key}/{} {}", reject.why.field.as_deref().unwrap_or("-"), reject.why.rule)
        };
        listed.into_iter().map(shown).collect()
    }

    /// Conflicts, oldest first, as `key/field state winner note`.
    pub fn conflicts(&self) -> Vec<String> {
        let listed = self.ask(self.state.conflicts(Some("companies"), false, 1_000));
        let shown = |listed: &tidegate_model::ports::ListedConflict| {
            let it = &listed.conflict;
            let winner = it.winner.map_or("-".to_owned(), |winner| format!("{winner:?}"));
            let (field, note) = (it.field.as_deref().unwrap_or("-"), it.note.as_deref().unwrap_or("-"));
            format!("{}/{field} {:?} {winner} {note}", it.key, it.state)
        };
        listed.iter().rev().map(shown).collect()
    }

    /// The log of the last run.
    pub fn log(&self) -> String {
        let Some(run) = self.runs.last() else { return String::new() };
        let lines = self.ask(self.state.log_lines(&run.run, 0));
        lines.into_iter().map(|(_, _, line)| line + "\n").collect()
    }

    /// The ledger's flags of a key, if it has an entry.
    pub fn flags(&self, key: &str) -> Option<u8> {
        let records = self.ask(self.state.entries("companies", &[Key::new(key)]));
        records.into_iter().next().flatten().map(|record| record.entry.flags)
    }
}
