//! A platform of one model, in memory, with every ability that can be switched off.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tidegate_model::cells::PageBuilder;
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::finding::Finding;
use tidegate_model::page::{DELETED, Page, Pages, REMOTE_ID, UPDATED_AT};
use tidegate_model::ports::{Env, Limits, Load, Loaded, Need, Platform, PlatformAsk, PlatformRead, WriteAsk};
use tidegate_model::record::{Fields, Key, RecordRef, RemoteId};
use tidegate_model::schema::{Abilities, Case, FieldSchema, ModelKind, ModelName, ModelSchema, NormalForm};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::Condition;
use tidegate_model::value::{Decimal, Type, Value};

use super::World;
use super::knobs::{Knobs, SimCall};
use super::warehouse::{SimPages, refused};
use super::world::Call;

/// The key's field.
const KEY: &str = "externalId";

#[derive(Debug, Clone)]
struct Record {
    key: Option<String>,
    fields: BTreeMap<String, Value>,
    updated_at: i64,
    change: u64,
    deleted: bool,
    /// What reads show until a time, with its own update time.
    shadow: Option<(i64, BTreeMap<String, Value>, i64)>,
}

#[derive(Default)]
struct Store {
    records: BTreeMap<RemoteId, Record>,
    changes: u64,
    ids: u64,
    done: HashMap<OpId, Vec<Outcome>>,
    fences: HashMap<String, (String, i64)>,
}

/// A platform of one model with a text key `externalId`.
pub struct SimPlatform {
    world: Arc<World>,
    knobs: Knobs,
    fields: Vec<FieldSchema>,
    store: Mutex<Store>,
    calls: Mutex<Vec<SimCall>>,
}

impl SimPlatform {
    /// An empty model with these fields besides the key.
    pub fn new(world: Arc<World>, knobs: Knobs, fields: Vec<FieldSchema>) -> Self {
        let mut all = vec![FieldSchema::new(KEY, Type::Text)];
        all.extend(fields);
        Self { world, knobs, fields: all, store: Mutex::default(), calls: Mutex::default() }
    }

    /// The writes that arrived, in order.
    pub fn calls(&self) -> Vec<SimCall> {
        self.calls.lock().unwrap().clone()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn field(&self, name: &str) -> Option<&FieldSchema> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// What this platform stores of a value: its normal form, and what it does without saying.
    pub fn stored(&self, name: &str, value: &Value) -> Value {
        let form = self.field(name).map(|field| field.normal).unwrap_or_default();
        match normalised(value, &form) {
            Value::Text(text) if self.knobs.collapses => Value::text(settled(&text)),
            value => value,
        }
    }

    /// A person creates a record; false if a living one has the key.
    pub fn insert(&self, key: &str, fields: &[(&str, Value)]) -> bool {
        let now = self.world.now();
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), self.stored(name, value))).collect();
        let mut store = self.store();
        if store.by_key(key).is_some() {
            return false;
        }
        store.create(key, fields, now);
        true
    }

    /// A person changes a field; false if there is no such record.
    pub fn set(&self, key: &str, field: &str, value: Value) -> bool {
        let now = self.world.now();
        let value = self.stored(field, &value);
        let mut store = self.store();
        let Some(id) = store.by_key(key) else { return false };
        store.touch(&id, now, |record| {
            record.fields.insert(field.to_owned(), value);
        })
    }

    /// A person gives a record another key.
    pub fn rekey(&self, key: &str, to: &str) -> bool {
        let now = self.world.now();
        let mut store = self.store();
        let Some(id) = store.by_key(key) else { return false };
        store.touch(&id, now, |record| record.key = Some(to.to_owned()))
    }

    /// A person deletes a record.
    pub fn delete(&self, key: &str) -> bool {
        let now = self.world.now();
        let mut store = self.store();
        let Some(id) = store.by_key(key) else { return false };
        store.touch(&id, now, |record| record.deleted = true)
    }

    /// The living records by key, as a person sees them.
    pub fn rows(&self) -> BTreeMap<String, BTreeMap<String, Value>> {
        let store = self.store();
        let living = store.records.values().filter(|record| !record.deleted);
        living.filter_map(|record| Some((record.key.clone()?, record.fields.clone()))).collect()
    }

    /// A field, as a person sees it.
    pub fn get(&self, key: &str, field: &str) -> Option<Value> {
        self.rows().get(key).map(|fields| fields.get(field).cloned().unwrap_or(Value::Null))
    }

    fn page(&self, fields: &[String], records: &[(RemoteId, Record)], deleted: bool) -> Result<Page> {
        let mut columns = vec![(REMOTE_ID.to_owned(), Type::Text), (KEY.to_owned(), Type::Text)];
        for name in fields {
            let field = self.field(name).ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no field {name}")))?;
            columns.push((name.clone(), field.logical));
        }
        columns.push((UPDATED_AT.to_owned(), Type::TimestampTz));
        if deleted {
            columns.push((DELETED.to_owned(), Type::Bool));
        }
        let now = self.world.now();
        let mut builder = PageBuilder::new(&columns);
        for (id, record) in records {
            let (cells, at) = match &record.shadow {
                Some((until, cells, at)) if now < *until => (cells, at),
                _ => (&record.fields, &record.updated_at),
            };
            builder.push(&Value::text(id.as_str()));
            builder.push(&record.key.as_deref().map_or(Value::Null, Value::text));
            for name in fields {
                let key = record.key.as_deref().map_or(Value::Null, Value::text);
                builder.push(if name == KEY { &key } else { cells.get(name).unwrap_or(&Value::Null) });
            }
            let timed = self.knobs.abilities.update_time;
            builder.push(&if timed { Value::TimestampTz(*at) } else { Value::Null });
            if deleted {
                builder.push(&Value::Bool(record.deleted));
            }
            builder.end_row();
        }
        builder.take()
    }

    fn one(&self, store: &mut Store, change: &Change, now: i64) -> Outcome {
        let id = match &change.remote {
            Some(id) => store.records.get(id).filter(|record| !record.deleted).map(|_| id.clone()),
            None => store.by_key(change.key.as_str()),
        };
        if let Some((name, _)) = change.fields.iter().find(|(_, value)| refused(value)) {
            return Outcome::Rejected(FieldReject::field(&**name, "refused", "the platform does not take this value"));
        }
        match (id, change.action) {
            (None, Action::Create) => self.create(store, change, now),
            (None, Action::Delete) if change.expect.is_none() => Outcome::Unchanged { remote: None },
            (None, _) => Outcome::Missed { now: None, remote: None },
            (Some(id), Action::Create) if change.expect.is_some() => store.missed(change, id),
            (Some(id), Action::Delete) => {
                if !self.holds(store, change, &id) {
                    return store.missed(change, id);
                }
                store.touch(&id, now, |record| record.deleted = true);
                self.applied(change, &id, Effect::Deleted, Vec::new(), None)
            }
            (Some(id), _) => self.update(store, change, id, now),
        }
    }

    fn create(&self, store: &mut Store, change: &Change, now: i64) -> Outcome {
        let (kept, dropped) = self.parts(change);
        let fields = kept.iter().map(|(name, value)| (name.to_string(), self.stored(name, value))).collect();
        let id = store.create(change.key.as_str(), fields, now);
        self.applied(change, &id, Effect::Created, dropped, Some(&store.records[&id]))
    }

    fn update(&self, store: &mut Store, change: &Change, id: RemoteId, now: i64) -> Outcome {
        if !self.holds(store, change, &id) {
            return store.missed(change, id);
        }
        let (kept, dropped) = self.parts(change);
        let record = &store.records[&id];
        let mut fields = record.fields.clone();
        for (name, value) in kept.iter() {
            if !(value.is_null() && self.knobs.ignores_clears) {
                fields.insert(name.to_string(), self.stored(name, value));
            }
        }
        let same = |(name, value): (&String, &Value)| record.fields.get(name).unwrap_or(&Value::Null) == value;
        if fields.iter().all(same) && dropped.is_empty() {
            return Outcome::Unchanged { remote: Some(id) };
        }
        let before = (record.fields.clone(), record.updated_at);
        if fields.iter().all(same) {
            return self.applied(change, &id, Effect::Updated, dropped, Some(record));
        }
        let stale = self.world.stale();
        store.touch(&id, now, |record| {
            record.fields = fields;
            if stale {
                record.shadow = Some((now + self.knobs.stale_ms * 1_000, before.0, before.1));
            }
        });
        self.applied(change, &id, Effect::Updated, dropped, Some(&store.records[&id]))
    }

    fn parts(&self, change: &Change) -> (Fields, Vec<FieldReject>) {
        let (mut kept, mut dropped) = (Fields::new(), Vec::new());
        for (name, value) in change.fields.iter() {
            if matches!(value, Value::Text(text) if text.contains("drop-me")) {
                dropped.push(FieldReject::field(&**name, "dropped", "the platform leaves this field out"));
            } else {
                kept.push(name.clone(), value.clone());
            }
        }
        (kept, dropped)
    }

    fn holds(&self, store: &Store, change: &Change, id: &RemoteId) -> bool {
        let record = &store.records[id];
        let holds = |(name, value): (&tidegate_model::record::FieldName, &Value)| {
            let form = self.field(name).map(|field| field.normal).unwrap_or_default();
            normalised(record.fields.get(&**name).unwrap_or(&Value::Null), &form) == normalised(value, &form)
        };
        !self.knobs.abilities.conditional || change.expect.iter().flat_map(Fields::iter).all(holds)
    }

    fn applied(
        &self,
        change: &Change,
        id: &RemoteId,
        effect: Effect,
        dropped: Vec<FieldReject>,
        record: Option<&Record>,
    ) -> Outcome {
        let stored = record.filter(|_| self.knobs.tells_stored).map(|record| {
            let told = change.fields.iter().filter(|(name, _)| record.fields.contains_key(&***name));
            told.map(|(name, _)| (name.clone(), record.fields[&**name].clone())).collect()
        });
        Outcome::Applied { remote: Some(id.clone()), effect, dropped, stored }
    }

    fn chosen(&self, mode: &PlatformRead) -> Vec<(RemoteId, Record)> {
        let store = self.store();
        let since = match mode {
            PlatformRead::Full => None,
            PlatformRead::Since(mark) => mark.parse::<u64>().ok(),
        };
        let wanted = |record: &Record| match since {
            Some(mark) => record.change > mark,
            None => !record.deleted,
        };
        let records = store.records.iter().filter(|(_, record)| wanted(record));
        let mut records: Vec<_> = records.map(|(id, record)| (id.clone(), record.clone())).collect();
        if self.knobs.abilities.ordered {
            records.sort_by(|a, b| a.1.key.cmp(&b.1.key));
        }
        records
    }
}

/// A value under a normal form.
pub fn normalised(value: &Value, form: &NormalForm) -> Value {
    match value {
        Value::Text(text) => {
            let text = if form.trim { text.trim() } else { text };
            match form.case {
                _ if text.is_empty() && form.empty_is_null => Value::Null,
                Some(Case::Lower) => Value::text(text.to_lowercase()),
                Some(Case::Upper) => Value::text(text.to_uppercase()),
                None => Value::text(text),
            }
        }
        Value::Decimal(number) => match form.scale {
            Some(scale) if number.scale() > scale => {
                let digits: f64 = number.to_string().parse().unwrap();
                let rounded = format!("{digits:.*}", usize::from(scale.unsigned_abs()));
                Value::Decimal(Decimal::parse(&rounded).unwrap())
            }
            _ => value.clone(),
        },
        Value::TimestampTz(us) => match form.time_step_us {
            Some(step) => Value::TimestampTz(us.div_euclid(step) * step),
            None => value.clone(),
        },
        other => other.clone(),
    }
}

/// What a collapsing platform makes of a text.
pub fn settled(text: &str) -> String {
    let mut text = text.to_owned();
    while text.contains("  ") {
        text = text.replace("  ", " ");
    }
    text
}

impl Store {
    fn by_key(&self, key: &str) -> Option<RemoteId> {
        let living = self.records.iter().filter(|(_, record)| !record.deleted);
        living.filter(|(_, record)| record.key.as_deref() == Some(key)).map(|(id, _)| id.clone()).next()
    }

    fn create(&mut self, key: &str, fields: BTreeMap<String, Value>, now: i64) -> RemoteId {
        self.ids += 1;
        self.changes += 1;
        let id = RemoteId::new(format!("r{:05}", self.ids));
        let change = self.changes;
        let key = Some(key.to_owned());
        let record = Record { key, fields, updated_at: now, change, deleted: false, shadow: None };
        self.records.insert(id.clone(), record);
        id
    }

    fn touch(&mut self, id: &RemoteId, now: i64, edit: impl FnOnce(&mut Record)) -> bool {
        self.changes += 1;
        let change = self.changes;
        let Some(record) = self.records.get_mut(id) else { return false };
        record.shadow = None;
        record.updated_at = now;
        record.change = change;
        edit(record);
        true
    }

    fn missed(&self, change: &Change, id: RemoteId) -> Outcome {
        let record = &self.records[&id];
        let names = change.fields.iter().chain(change.expect.iter().flat_map(Fields::iter)).map(|(name, _)| name);
        let mut now = Fields::new();
        names.for_each(|name| now.set(name.clone(), record.fields.get(&**name).cloned().unwrap_or(Value::Null)));
        Outcome::Missed { now: Some(now), remote: Some(id) }
    }

    fn fence(&mut self, fence: &Fence) -> Result<()> {
        let held = self.fences.entry(fence.sync.clone()).or_insert_with(|| (fence.store.clone(), fence.epoch));
        if held.0 == fence.store && held.1 > fence.epoch {
            return Err(Error::new(ErrorKind::LeaseLost, "another run took over"));
        }
        *held = (fence.store.clone(), fence.epoch);
        Ok(())
    }
}

#[async_trait]
impl Platform for SimPlatform {
    async fn check(&self, _needs: &[Need]) -> Vec<Finding> {
        Vec::new()
    }
    async fn models(&self) -> Result<Vec<ModelSchema>> {
        Ok(vec![self.model(&ModelName("company".to_owned())).await?])
    }
    async fn model(&self, name: &ModelName) -> Result<ModelSchema> {
        let gate = self.world.enter(Call::Read)?;
        gate.leave(ModelSchema {
            name: name.clone(),
            kind: ModelKind::Records,
            fields: self.fields.clone(),
            keys: vec![KEY.to_owned()],
            custom_fields: false,
            open: false,
            customs: Vec::new(),
        })
    }
    fn abilities(&self, _model: &ModelName) -> Abilities {
        self.knobs.abilities
    }
    async fn mark(&self, _model: &ModelName) -> Result<String> {
        self.world.enter(Call::Read)?.leave(self.store().changes.to_string())
    }
    async fn read(&self, ask: PlatformAsk) -> Result<Pages> {
        let gate = self.world.enter(Call::Read)?;
        let deleted = ask.mode != PlatformRead::Full;
        let records = self.chosen(&ask.mode);
        let pages = records.chunks(self.knobs.page_rows).map(|part| self.page(&ask.fields, part, deleted));
        let pages: Pages =
            Box::new(SimPages { world: self.world.clone(), pages: pages.collect::<Result<_>>()?, breaks: None });
        gate.leave(pages)
    }
    async fn fetch(&self, _: &ModelName, _: &str, fields: &[String], wanted: &[RecordRef]) -> Result<Page> {
        let gate = self.world.enter(Call::Read)?;
        if !self.knobs.abilities.fetch {
            return Err(Error::internal("this platform cannot be read by key, and was"));
        }
        let records = self.chosen(&PlatformRead::Full);
        let named = |(id, record): &(RemoteId, Record)| {
            let key = record.key.as_deref().map(Key::new);
            wanted.iter().any(|wanted| match wanted {
                RecordRef::Remote(remote) => remote == id,
                RecordRef::Key(name) => Some(name) == key.as_ref(),
            })
        };
        let records: Vec<_> = records.into_iter().filter(named).collect();
        gate.leave(self.page(fields, &records, false)?)
    }
    async fn count(&self, _model: &ModelName, _filter: &[Condition]) -> Result<u64> {
        self.world.enter(Call::Read)?.leave(self.rows().len() as u64)
    }
    fn limits(&self, _model: &ModelName, _records: Option<u64>) -> Limits {
        self.knobs.limits
    }

    async fn write(&self, ask: &WriteAsk, batch: &[Change]) -> Result<Vec<Outcome>> {
        let in_flight = self.world.in_flight(true);
        self.calls.lock().unwrap().push(SimCall { at: self.world.now(), records: batch.len() as u64, in_flight });
        if self.knobs.write_ms > 0 {
            super::SimEnv(self.world.clone()).sleep(self.knobs.write_ms).await;
        }
        self.world.in_flight(false);
        let gate = self.world.enter(Call::Write)?;
        assert!(batch.len() <= self.knobs.abilities.max_batch as usize, "a batch over the platform's limit");
        let now = self.world.now();
        let mut store = self.store();
        store.fence(&ask.fence)?;
        if let Some(done) = store.done.get(&ask.op).filter(|_| self.knobs.replays_ops) {
            let done = done.clone();
            return gate.leave(done);
        }
        let before = store.changes;
        let mut outcomes = Vec::with_capacity(batch.len());
        for change in batch {
            outcomes.push(if self.world.retry_some() {
                Outcome::Retry(Error::new(ErrorKind::Unavailable, "try this record again"))
            } else {
                self.one(&mut store, change, now)
            });
        }
        if store.changes > before {
            self.world.wrote();
        }
        if outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Retry(_))) {
            store.done.insert(ask.op.clone(), outcomes.clone());
        }
        gate.leave(outcomes)
    }
    async fn load(&self, _: &ModelName, _: &Load, _: Pages) -> Result<Loaded> {
        Err(Error::config("this platform takes records only"))
    }
    async fn adopt(&self, fence: &Fence) -> Result<()> {
        let gate = self.world.enter(Call::Write)?;
        self.store().fences.insert(fence.sync.clone(), (fence.store.clone(), fence.epoch));
        gate.leave(())
    }
}
