//! A sync made ready for one operation: described, mapped, checked.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::finding::Severity;
use tidegate_model::ports::{
    Choice, ConflictState, HEARTBEAT_MS, Lease, Limits, Need, Shard, Shards, SyncState, WriteColumn,
};
use tidegate_model::record::Key;
use tidegate_model::schema::{Abilities, ModelKind, ModelSchema, NormalForm, Relation, RelationSchema, Source};
use tidegate_model::span::Fence;
use tidegate_model::sync::{Changes, Direction, OnUncertain, Sync, Target, WriteMode};
use tidegate_model::transform::Transform;

use crate::api::{Engine, Job, RunOptions};
use crate::plan::map::Mapping;
use crate::plan::prints::Printer;
use crate::plan::reconcile::Rules;
use crate::run::wanted::with_statements;

use super::aside::Aside;
use super::ground::Ground;
use super::history::decided;
use super::judged::Judged;
use super::retry::again;
use super::rows::Layout;
use super::sorted::{KeyRule, KeyTransform};

/// Most rejects and conflicts that are loaded to know what was open before.
const OPEN_MAX: u32 = 1_000_000;

/// What the ledger was made with, kept in the sync's state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptMapping {
    /// Hash over all fields.
    pub hash: u64,
    /// Platform name and id of each field.
    pub fields: Vec<(String, u64)>,
}

/// A sync made ready.
pub(crate) struct Ctx {
    pub engine: Engine,
    pub job: Job,
    pub sync: Arc<Sync>,
    pub options: RunOptions,
    pub mapping: Arc<Mapping>,
    pub printer: Printer,
    pub relation: RelationSchema,
    /// How the warehouse's changes are found; never `Auto`.
    pub changes: Changes,
    pub model: ModelSchema,
    pub abilities: Abilities,
    pub state: SyncState,
    pub lease: Lease,
    pub fence: Fence,
    /// The run's id.
    pub run: String,
    /// The run's clock: when it began.
    pub now: tidegate_model::Instant,
    /// Keys with open rejects.
    pub rejected: Arc<HashSet<Key>>,
    /// Those of them that the reject guard does not judge again.
    pub judged: Arc<Judged>,
    /// Batches of an earlier run were settled first: what is listed may have changed since it was read.
    pub resumed: AtomicBool,
    /// Records that the run is about to write, once that is known.
    pub work: AtomicU64,
    /// Calls by which rows of the warehouse were looked up by key.
    pub lookups: AtomicU64,
    /// Calls that write to the platform and have not come to an end; one that is dropped on its way stays counted.
    pub under_way: Arc<AtomicU64>,
    /// The part of another process's run that is delivered under this context, and where it is kept.
    pub part: Option<(Arc<dyn Shards>, Shard)>,
    /// When the lease was last known to be ours, microseconds.
    proved: AtomicI64,
    /// Keys that are held as `rekeyed`.
    pub rekeyed: Vec<Key>,
    /// Where the run's computing goes that need not be waited for.
    pub aside: Aside,
    ground: OnceLock<Arc<Ground>>,
    /// A person's choices, by key.
    pub choices: BTreeMap<Key, Vec<(Option<String>, Choice)>>,
}

impl Ctx {
    /// Describes both sides, compiles the mapping, and reads what is open.
    pub async fn open(engine: &Engine, job: &Job, options: &RunOptions, lease: Lease, run: &str) -> Result<Self> {
        let sync = job.sync.clone();
        let state = engine.memory.state(&sync.name).await?;
        refuse_new_shape(&state, job)?;
        let place = |error: Error| error.at(format!("sync {}", sync.name));
        let describe = || job.platform.model(&sync.model);
        let model = again(engine, &options.cancel, describe).await.map_err(place)?;
        let describe = || job.warehouse.describe(&sync.source);
        let relation = match again(engine, &options.cancel, describe).await {
            Ok(relation) => relation,
            Err(error) => return Err(place(with_statements(error, job, &model).await)),
        };
        let mapping = match Mapping::compile(&sync, &relation, &model) {
            Ok(mapping) => Arc::new(mapping),
            Err(error) => return Err(with_statements(error, job, &model).await),
        };
        let printer = Printer::new(engine.memory.print_key().await?, mapping.hash);
        let fence = Fence { sync: sync.name.clone(), store: engine.memory.store_id().await?, epoch: lease.epoch };
        let mut rejected = HashSet::new();
        for to in [Target::Platform, Target::Warehouse] {
            rejected.extend(engine.memory.rejected_keys(&sync.name, to).await?);
        }
        let judged = match rejected.is_empty() {
            true => Judged::default(),
            false => Judged::read(&*engine.memory, &sync.name).await?,
        };
        let mut choices: BTreeMap<Key, Vec<(Option<String>, Choice)>> = BTreeMap::new();
        let mut rekeyed = Vec::new();
        for listed in engine.memory.conflicts(Some(&sync.name), true, OPEN_MAX).await? {
            if listed.conflict.note.as_deref() == Some("rekeyed") {
                rekeyed.push(listed.conflict.key.clone());
            }
            if let (ConflictState::Chosen, Some(choice)) = (listed.conflict.state, listed.choice) {
                choices.entry(listed.conflict.key).or_default().push((listed.conflict.field, choice));
            }
        }
        Ok(Self {
            engine: engine.clone(),
            job: job.clone(),
            options: options.clone(),
            mapping,
            printer,
            changes: decided(sync.changes, &relation, job.warehouse.abilities()),
            abilities: job.platform.abilities(&sync.model),
            relation,
            model,
            state,
            lease,
            fence,
            run: run.to_owned(),
            now: engine.env.now(),
            rejected: Arc::new(rejected),
            judged: Arc::new(judged),
            resumed: AtomicBool::new(false),
            work: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
            under_way: Arc::default(),
            part: None,
            aside: Aside::new(engine.env.clone()),
            ground: OnceLock::new(),
            proved: AtomicI64::new(engine.env.now().0),
            rekeyed,
            choices,
            sync,
        })
    }

    /// The rules of reconciliation for this run.
    pub fn rules(&self) -> Rules<'_> {
        self.ground().rules(self.now)
    }

    /// What they are made of.
    pub fn ground(&self) -> &Arc<Ground> {
        self.ground.get_or_init(|| Arc::new(Ground::of(self)))
    }

    /// The directions that this run may write.
    pub fn direction(&self) -> Direction {
        self.options.direction.unwrap_or(self.sync.direction)
    }

    /// The sides that are written, of the sync and of this run.
    pub fn targets(&self) -> Vec<Target> {
        let both = [Target::Platform, Target::Warehouse];
        both.into_iter().filter(|to| self.sync.direction.reaches(*to) && self.direction().reaches(*to)).collect()
    }

    /// Whether the warehouse's change history is followed.
    pub fn follows(&self) -> bool {
        matches!(self.changes, Changes::Tracking | Changes::Stream) && self.reads(Target::Warehouse)
    }

    /// Whether a write to the platform that may have arrived is listed instead of being sent again.
    pub fn holds_uncertain(&self) -> bool {
        let able = &self.abilities;
        !able.keyed && !able.read && !able.fetch && self.sync.on_uncertain == OnUncertain::Hold
    }

    /// Whether a side is read.
    pub fn reads(&self, side: Target) -> bool {
        self.sync.two_way() || self.sync.direction.reaches(side.other())
    }

    /// How many records the run writes in all, of which `batch` are in hand.
    pub fn records(&self, batch: u64) -> u64 {
        self.work.load(Ordering::Relaxed).max(batch)
    }

    /// What the platform permits for a run that writes so many records.
    pub fn limits(&self, records: u64) -> Limits {
        self.job.platform.limits(&self.sync.model, Some(records))
    }

    /// Counts a call that writes to the platform as under way until it has ended.
    pub async fn counted<T>(&self, call: impl Future<Output = T>) -> T {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let ended = call.await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        ended
    }

    /// Refuses to go on if another process has taken the sync over. Asked before each call that writes to a platform:
    /// one that stood still between two steps would otherwise wake up and send what is old by now, and most platforms
    /// have no way to tell. Asked of the state only where a heartbeat's time has passed since it last said so.
    pub async fn still_ours(&self) -> Result<()> {
        let now = self.engine.env.now();
        let silent = now.millis_since(tidegate_model::Instant(self.proved.load(Ordering::Relaxed)));
        let fresh = u64::try_from(silent).is_ok_and(|silent| silent < HEARTBEAT_MS);
        if fresh || self.run.is_empty() {
            return Ok(());
        }
        match &self.part {
            Some((shards, part)) => shards.beat_shard(part, &self.engine.holder, now).await?,
            None => self.engine.memory.heartbeat(&self.lease, now).await?,
        }
        self.proved.store(now.0, Ordering::Relaxed);
        Ok(())
    }

    /// The platform's key field.
    pub fn platform_key(&self) -> Result<&str> {
        self.sync.key.platform.as_deref().ok_or_else(|| {
            Error::config(format!("sync {} has no `key.platform`", self.sync.name))
                .hint("name the platform's field that holds the key, such as `externalId`")
        })
    }

    /// The layout of one side's pages.
    pub fn layout(&self, side: Target) -> Result<Layout> {
        let (key, updated_at) = match side {
            Target::Warehouse => (self.sync.key.warehouse.clone(), self.sync.updated_at.warehouse.clone()),
            Target::Platform => (self.platform_key()?.to_owned(), self.sync.updated_at.platform.clone()),
        };
        let (mapping, printer) = (self.mapping.clone(), self.printer.clone());
        Ok(Layout { side, mapping, printer, key, updated_at })
    }

    /// How the warehouse's key becomes canonical, if its own order does not serve: transforms of the sync and the
    /// normal form of the platform's key.
    pub fn key_rule(&self) -> Result<Option<KeyRule>> {
        let mut steps: Vec<Transform> = self.sync.key.transform.clone();
        let platform = self.sync.key.platform.as_deref().and_then(|name| self.model.field(name));
        steps.extend(platform.map(|field| normal_steps(&field.normal)).unwrap_or_default());
        let plain = steps.iter().all(|step| *step == Transform::ToText);
        if plain {
            return Ok(None);
        }
        let transform = Some(key_transform(&steps, &self.mapping.zone)?);
        Ok(Some(KeyRule { transform, ..KeyRule::plain(0) }))
    }

    /// The mapping as it is kept in the state.
    pub fn kept_mapping(&self) -> Result<Vec<u8>> {
        let fields = self.mapping.fields.iter().map(|field| (field.name.to_string(), field.id)).collect();
        postcard::to_allocvec(&KeptMapping { hash: self.mapping.hash, fields })
            .map_err(|error| Error::internal("write the mapping").cause(error))
    }

    /// What this sync needs of its warehouse and of its platform.
    pub fn needs(&self) -> (Vec<Need>, Vec<Need>) {
        let sync = &self.sync;
        let columns: Vec<String> = self.layout(Target::Warehouse).map(|layout| layout.columns()).unwrap_or_default();
        let mut warehouse = vec![Need::Connect, Need::Read { source: sync.source.clone(), columns }];
        if matches!(self.changes, Changes::Tracking | Changes::Stream) {
            warehouse.push(Need::Follow { source: sync.source.clone() });
        }
        let model = Relation(vec![sync.model.0.clone()]);
        let fields = self.mapping.fields.iter().map(|field| field.name.to_string());
        let source = Source::Relation(model.clone());
        let mut platform = vec![Need::Connect];
        if self.reads(Target::Platform) {
            platform.push(Need::Read { source, columns: fields.collect() });
        }
        if sync.direction.reaches(Target::Warehouse)
            && let Source::Relation(relation) = &sync.source
        {
            let key = Some(sync.key.warehouse.clone());
            let columns = self.written_columns();
            warehouse.push(Need::Write { relation: relation.clone(), key, columns, mode: sync.write });
        }
        if sync.direction.reaches(Target::Platform) {
            let columns = self.written_fields();
            platform.push(Need::Write { relation: model, key: sync.key.platform.clone(), columns, mode: sync.write });
        }
        (warehouse, platform)
    }

    fn written_columns(&self) -> Vec<WriteColumn> {
        let sync = &self.sync;
        let fields = self.mapping.fields.iter().filter(|field| field.direction.reaches(Target::Warehouse));
        let mut columns: Vec<WriteColumn> = fields
            .filter_map(|field| {
                let logical = match sync.write {
                    WriteMode::Replace | WriteMode::Append => field.target.logical,
                    _ => field.source_type,
                };
                let max_length = field.target.max_length;
                Some(WriteColumn { name: field.column.as_ref()?.to_string(), logical, nulls: true, max_length })
            })
            .collect();
        if !columns.iter().any(|column| column.name == sync.key.warehouse) {
            let logical = self.relation.column(&sync.key.warehouse).map(|column| column.logical);
            let logical = logical.unwrap_or(tidegate_model::value::Type::Text);
            columns.push(WriteColumn { name: sync.key.warehouse.clone(), logical, nulls: false, max_length: None });
        }
        columns
    }

    fn written_fields(&self) -> Vec<WriteColumn> {
        let fields = self.mapping.fields.iter().filter(|field| field.direction.reaches(Target::Platform));
        fields
            .map(|field| WriteColumn {
                name: field.name.to_string(),
                logical: field.target.logical,
                nulls: true,
                max_length: None,
            })
            .collect()
    }

    /// Checks both sides; the first critical finding stops the run before anything is written.
    pub async fn preflight(&self) -> Result<()> {
        let (warehouse, platform) = self.needs();
        let found = [self.job.warehouse.check(&warehouse).await, self.job.platform.check(&platform).await].concat();
        let critical: Vec<_> = found.into_iter().filter(|finding| finding.severity == Severity::Critical).collect();
        let Some(first) = critical.first() else { return Ok(()) };
        let more =
            if critical.len() > 1 { format!(" (and {} more findings)", critical.len() - 1) } else { String::new() };
        let kind = if first.finding.contains("column") { ErrorKind::SchemaChanged } else { ErrorKind::Config };
        let message = format!("sync {} cannot run: {}{more}", self.sync.name, first.why);
        let hint = match first.fix.as_str() {
            "" => format!("`tidegate check {}` lists everything", self.sync.name),
            fix => format!("{fix}\n`tidegate check {}` lists everything", self.sync.name),
        };
        Err(Error::new(kind, message).hint(hint))
    }

    /// Whether this sync moves columns as a whole instead of records.
    pub fn columnar(&self) -> bool {
        let bulk = matches!(self.sync.write, WriteMode::Append | WriteMode::Replace);
        self.model.kind != ModelKind::Records || (bulk && self.sync.direction == Direction::ToWarehouse)
    }

    /// A line for the run's log. Who only looks has no run, and leaves no line.
    pub async fn log(&self, line: &str) -> Result<()> {
        if self.run.is_empty() {
            return Ok(());
        }
        self.engine.listener.log(&self.sync.name, Some(&self.run), line);
        self.engine.memory.log(&self.run, self.engine.env.now(), line).await
    }
}

/// The steps that make a key, compiled.
fn key_transform(steps: &[Transform], zone: &jiff::tz::TimeZone) -> Result<KeyTransform> {
    let compiled = tidegate_model::transform::compile(steps)?;
    let zone = zone.clone();
    Ok(Arc::new(move |value| compiled.apply(value, &zone).ok()))
}

/// What the platform itself does to its key, as transforms.
fn normal_steps(normal: &NormalForm) -> Vec<Transform> {
    let mut steps = Vec::new();
    if normal.trim {
        steps.push(Transform::Trim);
    }
    match normal.case {
        Some(tidegate_model::schema::Case::Lower) => steps.push(Transform::Lower),
        Some(tidegate_model::schema::Case::Upper) => steps.push(Transform::Upper),
        None => {}
    }
    steps
}

fn refuse_new_shape(state: &SyncState, job: &Job) -> Result<()> {
    if state.shape_hash.is_empty() || state.shape_hash == job.shape_hash {
        return Ok(());
    }
    let name = &job.sync.name;
    Err(Error::config(format!(
        "sync {name}: its key, relation, model or connection is not the one that its ledger of {} records was made with",
        state.linked
    ))
    .hint(format!("put it back, or `tidegate reset {name} --yes` to forget what was synced and start anew")))
}
