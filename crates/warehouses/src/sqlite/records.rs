//! Writes of single records, each conditional on what stands there. The file's write lock is held from the look to
//! the write, so comparing here is as good as comparing in SQL, and knows our types.

use rusqlite::params_from_iter;
use tidegate_model::change::{Change, Effect, FieldReject, Outcome};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Decimal, Value};
use tidegate_model::{Error, Result};

use jiff::tz::TimeZone;

use super::catalog::{Shape, SourceColumn};
use super::client::File;
use super::errors::row_reject;
use super::load::target;
use super::read::{among, select};
use super::types::{decode, encode};
use super::write::Txn;
use crate::cell::Cell;
use crate::findings::Dialect;
use crate::records::{Slots, Standing, Step, Told, applied, columns_of, decide};

/// Writes a batch.
pub(super) fn write(
    file: &File,
    relation: &Relation,
    key: &str,
    batch: &[Change],
    op: &OpId,
    fence: &Fence,
) -> Result<Vec<Outcome>> {
    let connection = file.writer()?;
    let txn = Txn::begin(&connection, file, fence)?;
    let shape = target(&connection, file, relation)?;
    let desk = Desk::new(&txn, &shape, relation, key, batch)?;
    if let Some(told) = txn.told::<Vec<Told>>(op)? {
        if told.len() != batch.len() {
            return Err(Error::internal(format!("operation {} was of {} records", op.0, told.len())));
        }
        return told
            .iter()
            .zip(batch)
            .map(|(told, change)| Ok(told.again(change, &desk.standing(&change.key)?)))
            .collect();
    }
    let outcomes = batch.iter().map(|change| desk.one(change)).collect::<Result<Vec<_>>>()?;
    let told: Vec<Told> = outcomes.iter().filter_map(Told::of).collect();
    drop(desk);
    txn.finish(op, &fence.sync, &told)?;
    Ok(outcomes)
}

/// Everything that writing a record needs.
struct Desk<'a> {
    txn: &'a Txn<'a>,
    shape: &'a Shape,
    relation: &'a Relation,
    key: &'a SourceColumn,
    /// Columns looked at.
    columns: Vec<SourceColumn>,
    slots: Slots,
    select: String,
}

impl<'a> Desk<'a> {
    fn new(txn: &'a Txn<'a>, shape: &'a Shape, relation: &'a Relation, key: &str, batch: &[Change]) -> Result<Self> {
        let key = shape.column(key, &Source::Relation(relation.clone()))?;
        let names = columns_of(batch);
        let columns: Vec<SourceColumn> = shape.columns.iter().filter(|c| names.contains(&c.name)).cloned().collect();
        let slots = shape.columns.iter().map(|column| (column.name.clone(), column.slot())).collect();
        let (filter, _) = among(key, std::iter::empty());
        let select = select(&columns, &shape.from, &filter, "");
        Ok(Self { txn, shape, relation, key, columns, slots, select })
    }

    fn fail(&self, error: &rusqlite::Error) -> Error {
        self.txn.error(error, &format!("write {}", self.relation))
    }

    /// What stands under a key.
    fn standing(&self, key: &Key) -> Result<Standing> {
        let read = || -> rusqlite::Result<Standing> {
            let mut statement = self.txn.connection.prepare_cached(&self.select)?;
            let (_, params) = among(self.key, std::iter::once(key));
            let mut rows = statement.query([std::rc::Rc::new(params)])?;
            let mut standing = Standing::default();
            while let Some(row) = rows.next()? {
                standing.rows += 1;
                let mut fields = Fields::new();
                for (at, column) in self.columns.iter().enumerate() {
                    if let Ok(cell) = decode(row.get_ref(at)?, column.logical, &TimeZone::UTC) {
                        fields.push(column.name.as_str(), cell.into_value());
                    }
                }
                standing.fields = fields;
            }
            Ok(standing)
        };
        read().map_err(|error| self.fail(&error))
    }

    fn one(&self, change: &Change) -> Result<Outcome> {
        let standing = self.standing(&change.key)?;
        let done = match decide(change, &standing, &self.slots) {
            Step::Done(outcome) => return Ok(outcome),
            Step::Insert => self.insert(change).map(|()| Effect::Created),
            Step::Update => self.update(change).map(|()| Effect::Updated),
            Step::Delete => self.delete(change).map(|()| Effect::Deleted),
        };
        match done {
            Ok(effect) => Ok(applied(effect)),
            Err(Refused::Row(reject)) => Ok(Outcome::Rejected(reject)),
            Err(Refused::Database(error)) => match row_reject(&error) {
                // A failed statement leaves nothing behind; but a trigger may have rolled back everything.
                Some(reject) if !self.txn.connection.is_autocommit() => Ok(Outcome::Rejected(reject)),
                _ => Err(self.fail(&error)),
            },
        }
    }

    /// The value of a key in the key column's own type.
    fn key_value(&self, key: &Key) -> Value {
        use tidegate_model::value::Type;
        let text = key.as_str();
        let number = match self.key.logical {
            Type::Int64 => text.parse().ok().map(Value::Int),
            Type::Decimal { .. } => Decimal::parse(text).map(Value::Decimal),
            _ => None,
        };
        number.unwrap_or_else(|| Value::text(text))
    }

    fn run(&self, sql: &str, fields: &[(&str, &Value)], keys: Option<&Key>) -> std::result::Result<(), Refused> {
        let mut cells: Vec<(Cell<'_>, &SourceColumn)> = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let column = self.shape.columns.iter().find(|column| column.name == *name);
            let (Some(column), Some(slot)) = (column, self.slots.get(*name)) else { continue };
            cells.push((slot.fit(Cell::of(value)).map_err(Refused::Row)?, column));
        }
        let mut statement = self.txn.connection.prepare_cached(sql).map_err(Refused::Database)?;
        let mut bind = || -> rusqlite::Result<()> {
            let first = usize::from(keys.is_some());
            if let Some(key) = keys {
                let (_, params) = among(self.key, std::iter::once(key));
                statement.raw_bind_parameter(1, std::rc::Rc::new(params))?;
            }
            for (at, (cell, column)) in cells.iter().enumerate() {
                statement.raw_bind_parameter(first + at + 1, encode(cell, column.affinity))?;
            }
            statement.raw_execute().map(|_| ())
        };
        bind().map_err(Refused::Database)
    }

    fn insert(&self, change: &Change) -> std::result::Result<(), Refused> {
        let key = self.key_value(&change.key);
        let mut fields: Vec<(&str, &Value)> = vec![(self.key.name.as_str(), &key)];
        let others = change.fields.iter().filter(|(name, _)| ***name != self.key.name);
        fields.extend(others.map(|(name, value)| (&**name, value)));
        let names: Vec<String> = fields.iter().map(|(name, _)| super::dialect::Sqlite.quote(name)).collect();
        let marks: Vec<String> = (1..=names.len()).map(|at| format!("?{at}")).collect();
        let sql = format!("INSERT INTO {} ({}) VALUES ({})", self.shape.from, names.join(", "), marks.join(", "));
        self.run(&sql, &fields, None)
    }

    fn update(&self, change: &Change) -> std::result::Result<(), Refused> {
        let fields: Vec<(&str, &Value)> = change.fields.iter().map(|(name, value)| (&**name, value)).collect();
        let sets: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(at, (name, _))| format!("{} = ?{}", super::dialect::Sqlite.quote(name), at + 2))
            .collect();
        let (filter, _) = among(self.key, std::iter::empty());
        let sql = format!("UPDATE {} SET {} WHERE {filter}", self.shape.from, sets.join(", "));
        self.run(&sql, &fields, Some(&change.key))
    }

    fn delete(&self, change: &Change) -> std::result::Result<(), Refused> {
        let (filter, params) = among(self.key, std::iter::once(&change.key));
        let sql = format!("DELETE FROM {} WHERE {filter}", self.shape.from);
        let mut statement = self.txn.connection.prepare_cached(&sql).map_err(Refused::Database)?;
        statement.execute(params_from_iter([std::rc::Rc::new(params)])).map(|_| ()).map_err(Refused::Database)
    }
}

enum Refused {
    Row(FieldReject),
    Database(rusqlite::Error),
}
