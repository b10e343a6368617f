//! A warehouse of one table, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tidegate_model::cells::PageBuilder;
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, PageStream, Pages};
use tidegate_model::ports::{
    Drained, Entry, Load, Loaded, Need, Outbox, Place, ReadAsk, ReadMode, Warehouse, WarehouseAbilities,
};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Column, Relation, RelationKind, RelationSchema, Source};
use tidegate_model::span::{CursorPoint, Fence, OpId};
use tidegate_model::time::Instant;
use tidegate_model::value::{Type, Value};

use super::World;
use super::past::{DELETED, Keeps, Past, ROW, row_of};
use super::world::Call;

/// A row: its cells by column.
pub type Cells = BTreeMap<String, Value>;

/// The column that grows with each change of a row.
const SEQ: &str = "seq";
/// The column with the time of a row's last change.
const CHANGED: &str = "changed_at";

/// A warehouse of one table with a text key `id`.
pub struct SimWarehouse {
    world: Arc<World>,
    columns: Vec<(String, Type)>,
    page_rows: usize,
    table: Mutex<Table>,
    handed: AtomicU64,
    /// After how many pages the next read without an order breaks off.
    breaks: Mutex<Option<usize>>,
}

#[derive(Default)]
struct Table {
    rows: Vec<Cells>,
    /// Rows that were written or removed since the last commit.
    touched: BTreeSet<i64>,
    past: Past,
    made: i64,
    seq: i64,
    fences: HashMap<String, (String, i64)>,
    done: HashMap<OpId, Vec<Outcome>>,
}

impl SimWarehouse {
    /// An empty table with these columns besides `id`, `seq` and `changed_at`.
    pub fn new(world: Arc<World>, columns: &[(&str, Type)], page_rows: usize) -> Self {
        let mut all = vec![("id".to_owned(), Type::Text)];
        all.extend(columns.iter().map(|(name, logical)| ((*name).to_owned(), *logical)));
        all.push((SEQ.to_owned(), Type::Int64));
        all.push((CHANGED.to_owned(), Type::TimestampTz));
        Self {
            world,
            columns: all,
            page_rows,
            table: Mutex::default(),
            handed: AtomicU64::new(0),
            breaks: Mutex::default(),
        }
    }

    /// What it keeps of its past, from the beginning on.
    pub fn keep(&self, keeps: Keeps) {
        self.table().past.keeps = keeps;
    }

    /// Rows that its reads handed out so far; those that were asked for by key are not among them.
    pub fn handed_out(&self) -> u64 {
        self.handed.load(Ordering::Relaxed)
    }

    /// The next read without an order breaks off after so many pages.
    pub fn break_off(&self, after: usize) {
        *self.breaks.lock().expect("no panic while it is held") = Some(after);
    }

    /// The history so far expires.
    pub fn expire(&self) {
        let now = self.world.now();
        self.table().past.expire(now);
    }

    /// The stream goes stale.
    pub fn go_stale(&self) {
        self.table().past.go_stale();
    }

    /// Somebody makes the stream anew.
    pub fn make_stream(&self) {
        self.table().past.make_stream();
    }

    /// Rows that wait in the outbox, and rows that wait in the stream.
    pub fn pending(&self) -> (usize, usize) {
        self.table().past.pending()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap()
    }

    /// A person inserts a row, whatever stands under its key.
    pub fn insert(&self, id: Option<&str>, cells: &[(&str, Value)]) {
        let now = self.world.now();
        let mut row: Cells = cells.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        row.insert("id".to_owned(), id.map_or(Value::Null, Value::text));
        let mut table = self.table();
        table.put(row, now);
        table.note(now);
    }

    /// A person gives the rows with a key another one.
    pub fn rename(&self, id: &str, other: &str) {
        self.set(id, "id", Value::text(other));
    }

    /// A person changes a cell of all rows with a key; false if there is none.
    pub fn set(&self, id: &str, column: &str, value: Value) -> bool {
        let now = self.world.now();
        let mut table = self.table();
        let found = table.find(id);
        for at in &found {
            table.rows[*at].insert(column.to_owned(), value.clone());
            table.touch(*at, now);
        }
        table.note(now);
        !found.is_empty()
    }

    /// A person removes all rows with a key.
    pub fn delete(&self, id: &str) {
        let now = self.world.now();
        let mut table = self.table();
        let mut found = table.find(id);
        while let Some(at) = found.pop() {
            table.remove(at);
        }
        table.note(now);
    }

    /// The rows by key, as a person sees them (of several with one key the last).
    pub fn rows(&self) -> BTreeMap<String, Cells> {
        let table = self.table();
        let keyed = |row: &Cells| match row.get("id") {
            Some(Value::Text(id)) => {
                let mut row = row.clone();
                row.remove(ROW);
                Some((id.to_string(), row))
            }
            _ => None,
        };
        table.rows.iter().filter_map(keyed).collect()
    }

    /// How many rows have a key.
    pub fn copies(&self, id: &str) -> usize {
        self.table().find(id).len()
    }

    /// A cell, as a person sees it.
    pub fn get(&self, id: &str, column: &str) -> Option<Value> {
        self.rows().get(id).map(|row| row.get(column).cloned().unwrap_or(Value::Null))
    }

    fn page(&self, columns: &[String], rows: &[Cells]) -> Result<Page> {
        let typed = |name: &String| {
            if name == DELETED {
                return Ok((name.clone(), Type::Bool));
            }
            let column = self.columns.iter().find(|(column, _)| column == name);
            column.cloned().ok_or_else(|| Error::new(ErrorKind::SchemaChanged, format!("no column `{name}`")))
        };
        let typed = columns.iter().map(typed).collect::<Result<Vec<_>>>()?;
        let mut builder = PageBuilder::new(&typed);
        for row in rows {
            columns.iter().for_each(|name| builder.push(row.get(name).unwrap_or(&Value::Null)));
            builder.end_row();
        }
        builder.take()
    }

    fn chosen(&self, mode: &ReadMode) -> Result<Vec<Cells>> {
        let table = self.table();
        let mut rows = table.rows.clone();
        let id = |row: &Cells| Key::of(row.get("id").unwrap_or(&Value::Null));
        match mode {
            ReadMode::Unordered => {}
            ReadMode::Changes { from, to, .. } => rows = table.past.changes(at(from)?, at(to)?)?,
            ReadMode::Outbox { through, .. } => rows = table.past.waiting(*through),
            ReadMode::Full { after, at: mark, .. } => {
                if let Some(mark) = mark {
                    rows = table.past.as_of(at(mark)?);
                }
                rows.sort_by_key(id);
                rows.retain(|row| after.as_ref().is_none_or(|after| id(row).is_some_and(|id| id > *after)));
            }
            ReadMode::Cursor { column, from, to, .. } => {
                let at = |row: &Cells| number(row.get(column).unwrap_or(&Value::Null));
                rows.retain(|row| {
                    let Some(value) = at(row) else { return true };
                    let key = id(row);
                    let after = |point: &CursorPoint| match (number(&point.value), &point.key) {
                        (Some(edge), _) if value != edge => value > edge,
                        (Some(_), Some(edge)) => key.as_ref().is_some_and(|key| key > edge),
                        _ => false,
                    };
                    from.as_ref().is_none_or(&after) && !after(to)
                });
                rows.sort_by_key(|row| (at(row), id(row)));
            }
        }
        Ok(rows)
    }
}

/// The time that a mark stands for.
fn at(mark: &str) -> Result<i64> {
    mark.strip_prefix("at ").and_then(|at| at.parse().ok()).ok_or_else(|| Error::internal("this is no mark of ours"))
}

/// A cursor's value as a number.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) | Value::TimestampTz(value) | Value::Timestamp(value) => Some(*value),
        _ => None,
    }
}

impl Table {
    fn find(&self, id: &str) -> Vec<usize> {
        let wanted = Value::text(id);
        (0..self.rows.len()).filter(|at| self.rows[*at].get("id") == Some(&wanted)).collect()
    }

    fn touch(&mut self, at: usize, now: i64) {
        self.seq += 1;
        self.rows[at].insert(SEQ.to_owned(), Value::Int(self.seq));
        self.rows[at].insert(CHANGED.to_owned(), Value::TimestampTz(now));
        self.touched.insert(row_of(&self.rows[at]));
    }

    fn remove(&mut self, at: usize) {
        let row = self.rows.remove(at);
        self.touched.insert(row_of(&row));
    }

    fn note(&mut self, now: i64) {
        self.past.note(std::mem::take(&mut self.touched), &self.rows, now);
    }

    fn put(&mut self, mut row: Cells, now: i64) {
        self.made += 1;
        row.insert(ROW.to_owned(), Value::Int(self.made));
        self.rows.push(row);
        self.touch(self.rows.len() - 1, now);
    }

    fn fence(&mut self, fence: &Fence) -> Result<()> {
        let held = self.fences.entry(fence.sync.clone()).or_insert_with(|| (fence.store.clone(), fence.epoch));
        if held.0 != fence.store {
            return Err(Error::new(ErrorKind::ForeignStore, "another store drives this sync into the table"));
        }
        if held.1 > fence.epoch {
            return Err(Error::new(ErrorKind::LeaseLost, "another run took over"));
        }
        held.1 = fence.epoch;
        Ok(())
    }

    fn one(&mut self, change: &Change, now: i64) -> Outcome {
        let found = self.find(change.key.as_str());
        if let Some(field) = change.fields.iter().find(|(_, value)| refused(value)) {
            let why = FieldReject::field(&**field.0, "check_failed", "the table refuses this value");
            return Outcome::Rejected(why);
        }
        let shown = |row: &Cells| -> Fields {
            let names = change.fields.iter().chain(change.expect.iter().flat_map(Fields::iter)).map(|(name, _)| name);
            let mut now = Fields::new();
            names.for_each(|name| now.set(name.clone(), row.get(&**name).cloned().unwrap_or(Value::Null)));
            now
        };
        let applied = |effect| Outcome::Applied { remote: None, effect, dropped: Vec::new(), stored: None };
        let (Some(at), 0 | 1) = (found.first().copied(), found.len()) else {
            return match change.action {
                _ if found.len() > 1 => Outcome::Rejected(FieldReject::record("duplicate_key", "several rows")),
                Action::Create => {
                    let mut row: Cells = change.fields.iter().map(|(n, v)| (n.to_string(), v.clone())).collect();
                    row.insert("id".to_owned(), Value::text(change.key.as_str()));
                    self.put(row, now);
                    applied(Effect::Created)
                }
                Action::Delete if change.expect.is_none() => Outcome::Unchanged { remote: None },
                _ => Outcome::Missed { now: None, remote: None },
            };
        };
        let row = &self.rows[at];
        let holds = |(name, value): (&tidegate_model::record::FieldName, &Value)| {
            row.get(&**name).unwrap_or(&Value::Null) == value
        };
        let missed = match (&change.expect, change.action) {
            (Some(_), Action::Create) => true,
            (Some(expect), _) => !expect.iter().all(holds),
            (None, _) => false,
        };
        if missed {
            return Outcome::Missed { now: Some(shown(row)), remote: None };
        }
        if change.action == Action::Delete {
            self.remove(at);
            return applied(Effect::Deleted);
        }
        if change.fields.iter().all(holds) {
            return Outcome::Unchanged { remote: None };
        }
        for (name, value) in change.fields.iter() {
            self.rows[at].insert(name.to_string(), value.clone());
        }
        self.touch(at, now);
        applied(Effect::Updated)
    }
}

/// Values that a target refuses, so that people can make rejects.
pub(super) fn refused(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.contains("refuse-me"))
}

/// Pages that fail in the middle when the world says so.
pub(super) struct SimPages {
    pub world: Arc<World>,
    pub pages: VecDeque<Page>,
    /// After how many pages they break off.
    pub breaks: Option<usize>,
}

#[async_trait]
impl PageStream for SimPages {
    async fn next(&mut self) -> Result<Option<Page>> {
        match &mut self.breaks {
            Some(0) => return Err(Error::new(ErrorKind::Unavailable, "the connection broke in the middle of a read")),
            Some(left) => *left -= 1,
            None => {}
        }
        self.world.enter(Call::Read)?.leave(self.pages.pop_front())
    }
}

#[async_trait]
impl Warehouse for SimWarehouse {
    fn abilities(&self) -> WarehouseAbilities {
        let Keeps { tracking, stream, time_travel, .. } = self.table().past.keeps;
        WarehouseAbilities { write: true, conditional: true, tracking, stream, time_travel }
    }
    async fn check(&self, _needs: &[Need]) -> Vec<Finding> {
        Vec::new()
    }
    async fn browse(&self, _at: &Place) -> Result<Vec<Entry>> {
        Ok(Vec::new())
    }
    async fn describe(&self, _source: &Source) -> Result<RelationSchema> {
        let gate = self.world.enter(Call::Read)?;
        let column = |(name, logical): &(String, Type)| Column {
            name: name.clone(),
            logical: *logical,
            native: logical.to_string(),
            nullable: true,
            max_length: None,
            filled: name == SEQ || name == CHANGED,
        };
        let keeps = self.table().past.keeps;
        gate.leave(RelationSchema {
            kind: if keeps.stream { RelationKind::Stream } else { RelationKind::Table },
            columns: self.columns.iter().map(column).collect(),
            primary_key: Vec::new(),
            change_tracking: keeps.tracking,
            appends: false,
            history_days: None,
            rows_estimate: None,
        })
    }
    async fn now(&self) -> Result<Instant> {
        self.world.enter(Call::Read)?.leave(Instant(self.world.now()))
    }
    async fn bound(&self, _source: &Source, column: &str, _key: &str) -> Result<Option<CursorPoint>> {
        let gate = self.world.enter(Call::Read)?;
        let table = self.table();
        let of = |row: &Cells| {
            let value = row.get(column)?;
            Some((number(value)?, Key::of(row.get("id")?), value.clone()))
        };
        let greatest = table.rows.iter().filter_map(of).max_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        gate.leave(greatest.map(|(_, key, value)| CursorPoint { value, key }))
    }
    async fn mark(&self, _source: &Source) -> Result<String> {
        let gate = self.world.enter(Call::Read)?;
        let lag = self.table().past.keeps.lag;
        gate.leave(format!("at {}", self.world.now() - lag))
    }
    async fn changed(&self, _source: &Source, since: &str, to: &str) -> Result<bool> {
        let gate = self.world.enter(Call::Read)?;
        let changed = self.table().past.changed(at(since)?, at(to)?);
        gate.leave(changed)
    }
    async fn drain(&self, _outbox: &Outbox, fence: &Fence) -> Result<Drained> {
        let gate = self.world.enter(Call::Write)?;
        let mut table = self.table();
        table.fence(fence)?;
        let drained = table.past.drain()?;
        gate.leave(drained)
    }
    async fn trim(&self, _outbox: &Outbox, through: u64, fence: &Fence) -> Result<()> {
        let gate = self.world.enter(Call::Write)?;
        let mut table = self.table();
        table.fence(fence)?;
        table.past.trim(through);
        gate.leave(())
    }
    async fn read(&self, ask: ReadAsk) -> Result<Pages> {
        let gate = self.world.enter(Call::Read)?;
        let rows = self.chosen(&ask.mode)?;
        self.handed.fetch_add(rows.len() as u64, Ordering::Relaxed);
        let mut columns = ask.columns;
        if matches!(ask.mode, ReadMode::Changes { .. } | ReadMode::Outbox { .. }) {
            columns.push(DELETED.to_owned());
        }
        let pages = rows.chunks(self.page_rows).map(|rows| self.page(&columns, rows)).collect::<Result<_>>()?;
        let mut breaks = self.breaks.lock().expect("no panic while it is held");
        let breaks = if ask.mode == ReadMode::Unordered { breaks.take() } else { None };
        let pages: Pages = Box::new(SimPages { world: self.world.clone(), pages, breaks });
        gate.leave(pages)
    }
    async fn fetch(&self, _: &Source, columns: &[String], _: &str, keys: &[Key], _: &str) -> Result<Page> {
        let gate = self.world.enter(Call::Read)?;
        let mut rows = self.table().rows.clone();
        rows.retain(|row| Key::of(row.get("id").unwrap_or(&Value::Null)).is_some_and(|key| keys.contains(&key)));
        gate.leave(self.page(columns, &rows)?)
    }
    async fn count(&self, _source: &Source) -> Result<u64> {
        self.world.enter(Call::Read)?.leave(self.table().rows.len() as u64)
    }
    async fn load(&self, _: &Relation, _: &Load, _: Pages) -> Result<Loaded> {
        Err(Error::config("this warehouse takes records only"))
    }
    async fn write(
        &self,
        _relation: &Relation,
        _key: &str,
        batch: &[Change],
        op: &OpId,
        fence: &Fence,
    ) -> Result<Vec<Outcome>> {
        let gate = self.world.enter(Call::Write)?;
        let now = self.world.now();
        let mut table = self.table();
        table.fence(fence)?;
        if let Some(done) = table.done.get(op) {
            let done = done.clone();
            return gate.leave(done);
        }
        let outcomes: Vec<Outcome> = batch.iter().map(|change| table.one(change, now)).collect();
        table.note(now);
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Applied { .. })) {
            self.world.wrote();
        }
        table.done.insert(op.clone(), outcomes.clone());
        gate.leave(outcomes)
    }
    async fn adopt(&self, fence: &Fence) -> Result<()> {
        let gate = self.world.enter(Call::Write)?;
        self.table().fences.insert(fence.sync.clone(), (fence.store.clone(), fence.epoch));
        gate.leave(())
    }
}
