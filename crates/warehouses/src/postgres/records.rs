//! Writes of single records, each conditional on what stands there. The rows are read and locked first, compared here
//! under our own notion of equality, and written in one pipelined go; if one of them is refused, one by one.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::BytesMut;
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use tidegate_model::cells::value_at;
use tidegate_model::change::{Change, Effect, FieldReject, Outcome};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{Error, Result};
use tokio_postgres::types::{IsNull, ToSql, Type as PgType, to_sql_checked};

use super::catalog::{Shape, SourceColumn};
use super::client::Server;
use super::encode;
use super::errors::row_reject;
use super::load::target;
use super::order::among;
use super::read::{maker, put_row, select};
use super::write::Txn;
use crate::cell::Cell;
use crate::records::{Slots, Standing, Step, Told, applied, columns_of, decide, waves};

/// Writes a batch.
pub(super) async fn write(
    server: &Server,
    relation: &Relation,
    key: &str,
    batch: &[Change],
    op: &OpId,
    fence: &Fence,
) -> Result<Vec<Outcome>> {
    let txn = Txn::begin(server, fence).await?;
    let shape = target(&txn, relation).await?;
    let desk = Desk::new(&txn, &shape, relation, key, batch)?;
    if let Some(told) = txn.told::<Vec<Told>>(op).await? {
        if told.len() != batch.len() {
            return Err(Error::internal(format!("operation {} was of {} records", op.0, told.len())));
        }
        let standing = desk.standing(batch, "").await?;
        txn.rollback().await?;
        return Ok(told.iter().zip(batch).map(|(told, change)| told.again(change, of(&standing, change))).collect());
    }
    let mut outcomes = Vec::with_capacity(batch.len());
    for wave in waves(batch) {
        outcomes.extend(desk.wave(wave).await?);
    }
    let told: Vec<Told> = outcomes.iter().filter_map(Told::of).collect();
    txn.finish(op, &fence.sync, &told).await?;
    Ok(outcomes)
}

static NOTHING: LazyLock<Standing> = LazyLock::new(Standing::default);

fn of<'a>(standing: &'a HashMap<Key, Standing>, change: &Change) -> &'a Standing {
    standing.get(&change.key).unwrap_or(&NOTHING)
}

/// A parameter, encoded already.
#[derive(Debug)]
struct Param(Option<BytesMut>);

impl ToSql for Param {
    fn to_sql(
        &self,
        _: &PgType,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            None => Ok(IsNull::Yes),
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
        }
    }
    fn accepts(_: &PgType) -> bool {
        true
    }
    to_sql_checked!();
}

/// A statement to run for one record.
struct Job {
    sql: String,
    params: Vec<Param>,
    effect: Effect,
}

/// Everything that writing a record needs.
struct Desk<'a> {
    txn: &'a Txn<'a>,
    shape: &'a Shape,
    doing: String,
    key: &'a SourceColumn,
    /// Columns looked at, the key first.
    columns: Vec<SourceColumn>,
    slots: Slots,
}

impl<'a> Desk<'a> {
    fn new(txn: &'a Txn<'a>, shape: &'a Shape, relation: &'a Relation, key: &str, batch: &[Change]) -> Result<Self> {
        let key = shape.column(key, &Source::Relation(relation.clone()))?;
        let names = columns_of(batch);
        let mut columns = vec![key.clone()];
        columns.extend(shape.columns.iter().filter(|c| names.contains(&c.name)).cloned());
        let slots = shape.columns.iter().map(|column| (column.name.clone(), column.slot())).collect();
        Ok(Self { txn, shape, doing: format!("write {relation}"), key, columns, slots })
    }

    /// What stands under the keys of these changes.
    async fn standing(&self, changes: &[Change], lock: &str) -> Result<HashMap<Key, Standing>> {
        let keys: Vec<Key> = changes.iter().map(|change| change.key.clone()).collect();
        let (filter, texts) = among(self.key, &keys);
        let sql = select(&self.columns, &self.shape.from, &format!(" WHERE {filter}{lock}"));
        let fail = |error: tokio_postgres::Error| self.txn.fail(&error, &self.doing);
        let rows = self.txn.client().query_raw(&sql, [&texts]).await.map_err(fail)?;
        let mut rows = std::pin::pin!(rows);
        let mut found: HashMap<Key, Standing> = HashMap::new();
        let mut maker = maker(&self.columns, 1);
        while let Some(row) = rows.try_next().await.map_err(fail)? {
            put_row(&row, 0, &self.columns, &mut maker)?;
            maker.end_row(0);
            let page = maker.take()?;
            let Some(key) = Key::of(&value_at(&page.rows, 0, 0)) else { continue };
            let mut fields = Fields::new();
            for (at, column) in self.columns.iter().enumerate() {
                if !page.misfits.iter().any(|misfit| misfit.column == at) {
                    fields.set(column.name.as_str(), value_at(&page.rows, at, 0));
                }
            }
            let standing = found.entry(key).or_default();
            *standing = Standing { rows: standing.rows + 1, fields };
        }
        Ok(found)
    }

    async fn wave(&self, wave: &[Change]) -> Result<Vec<Outcome>> {
        let standing = self.standing(wave, " FOR UPDATE").await?;
        let steps: Vec<Step> = wave.iter().map(|change| decide(change, of(&standing, change), &self.slots)).collect();
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(wave.len());
        let mut jobs: Vec<(usize, Job)> = Vec::new();
        for (at, (step, change)) in steps.into_iter().zip(wave).enumerate() {
            outcomes.push(match self.job(&step, change) {
                Ok(None) => match step {
                    Step::Done(outcome) => Some(outcome),
                    _ => None,
                },
                Ok(Some(job)) => {
                    jobs.push((at, job));
                    None
                }
                Err(reject) => Some(Outcome::Rejected(reject)),
            });
        }
        self.txn.run("SAVEPOINT wave", &self.doing).await?;
        match self.together(&jobs).await {
            Ok(()) => jobs.iter().for_each(|(at, job)| outcomes[*at] = Some(applied(job.effect))),
            Err(error) if row_reject(&error).is_some() => {
                self.txn.run("ROLLBACK TO SAVEPOINT wave", &self.doing).await?;
                for (at, job) in &jobs {
                    outcomes[*at] = Some(self.alone(&wave[*at], job).await?);
                }
            }
            Err(error) => return Err(self.txn.fail(&error, &self.doing)),
        }
        self.txn.run("RELEASE SAVEPOINT wave", &self.doing).await?;
        outcomes.into_iter().map(|outcome| outcome.ok_or_else(|| Error::internal("a record without outcome"))).collect()
    }

    /// All jobs, sent without waiting for one another's answers.
    async fn together(&self, jobs: &[(usize, Job)]) -> std::result::Result<(), tokio_postgres::Error> {
        let mut prepared = HashMap::new();
        for (_, job) in jobs {
            if !prepared.contains_key(job.sql.as_str()) {
                prepared.insert(job.sql.as_str(), self.txn.client().prepare(&job.sql).await?);
            }
        }
        let runs = jobs.iter().filter_map(|(_, job)| {
            let statement = prepared.get(job.sql.as_str())?;
            Some(self.txn.client().execute_raw(statement, &job.params))
        });
        try_join_all(runs).await.map(|_| ())
    }

    /// One job; what the database refuses of it is a reject of the record.
    async fn alone(&self, change: &Change, job: &Job) -> Result<Outcome> {
        match self.attempt(job).await? {
            None => Ok(applied(job.effect)),
            // Somebody else may have created the record since we looked.
            Some(reject) if reject.rule == "unique" && job.effect == Effect::Created => {
                let standing = self.standing(std::slice::from_ref(change), " FOR UPDATE").await?;
                let step = decide(change, of(&standing, change), &self.slots);
                match (self.job(&step, change), step) {
                    (_, Step::Insert) => Ok(Outcome::Rejected(reject)),
                    (_, Step::Done(outcome)) => Ok(outcome),
                    (Ok(Some(job)), _) => {
                        Ok(self.attempt(&job).await?.map_or_else(|| applied(job.effect), Outcome::Rejected))
                    }
                    (Err(reject), _) => Ok(Outcome::Rejected(reject)),
                    (Ok(None), _) => Err(Error::internal("a step without a job")),
                }
            }
            Some(reject) => Ok(Outcome::Rejected(reject)),
        }
    }

    async fn attempt(&self, job: &Job) -> Result<Option<FieldReject>> {
        self.txn.run("SAVEPOINT record", &self.doing).await?;
        match self.txn.client().execute_raw(&job.sql, &job.params).await {
            Ok(_) => {
                self.txn.run("RELEASE SAVEPOINT record", &self.doing).await?;
                Ok(None)
            }
            Err(error) => match row_reject(&error) {
                Some(reject) => {
                    self.txn.run("ROLLBACK TO SAVEPOINT record; RELEASE SAVEPOINT record", &self.doing).await?;
                    Ok(Some(reject))
                }
                None => Err(self.txn.fail(&error, &self.doing)),
            },
        }
    }

    /// The value of a key in the key column's own type.
    fn key_value(&self, key: &Key) -> Value {
        let text = key.as_str();
        let number = match self.key.known.logical {
            Type::Int64 => text.parse().ok().map(Value::Int),
            Type::Decimal { .. } => Decimal::parse(text).map(Value::Decimal),
            _ => None,
        };
        number.unwrap_or_else(|| Value::text(text))
    }

    fn param(&self, name: &str, value: &Value) -> std::result::Result<Param, FieldReject> {
        let column = self.shape.columns.iter().find(|column| column.name == name);
        let (Some(column), Some(slot)) = (column, self.slots.get(name)) else {
            return Err(FieldReject::field(name, "missing_column", "the target has no column of this name"));
        };
        let wire = column.known.wire;
        match slot.fit(Cell::of(value))? {
            Cell::Null => Ok(Param(None)),
            cell => {
                let mut bytes = BytesMut::new();
                let encoded = encode::body(wire, &cell, &mut bytes);
                encoded.map_err(|fault| FieldReject::field(name, fault.rule, fault.reason))?;
                Ok(Param(Some(bytes)))
            }
        }
    }

    /// The statement that carries a step out.
    fn job(&self, step: &Step, change: &Change) -> std::result::Result<Option<Job>, FieldReject> {
        let quote = |name: &str| crate::findings::Dialect::quote(&super::types::Postgres, name);
        let from = &self.shape.from;
        if let Step::Done(_) = step {
            return Ok(None);
        }
        let mut params = vec![self.param(&self.key.name, &self.key_value(&change.key))?];
        let key = self.key.quoted();
        let fields: Vec<_> = match step {
            Step::Delete | Step::Done(_) => Vec::new(),
            Step::Insert => change.fields.iter().filter(|(name, _)| ***name != self.key.name).collect(),
            Step::Update => change.fields.iter().collect(),
        };
        for (name, value) in &fields {
            params.push(self.param(name, value)?);
        }
        let (sql, effect) = match step {
            Step::Insert => {
                let names: Vec<String> = fields.iter().map(|(name, _)| format!(", {}", quote(name))).collect();
                let marks: Vec<String> = (0..fields.len()).map(|at| format!(", ${}", at + 2)).collect();
                let sql = format!("INSERT INTO {from} ({key}{}) VALUES ($1{})", names.concat(), marks.concat());
                (sql, Effect::Created)
            }
            Step::Update => {
                let sets: Vec<String> =
                    fields.iter().enumerate().map(|(at, (name, _))| format!("{} = ${}", quote(name), at + 2)).collect();
                (format!("UPDATE {from} SET {} WHERE {key} = $1", sets.join(", ")), Effect::Updated)
            }
            _ => (format!("DELETE FROM {from} WHERE {key} = $1"), Effect::Deleted),
        };
        Ok(Some(Job { sql, params, effect }))
    }
}
