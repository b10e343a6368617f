//! The hub as a person looks into it: list, set, unset, delete, forget.

use serde_json::{Map, Value as Json};
use tidegate_model::change::{Action, Change, FieldReject, Outcome};
use tidegate_model::ports::{Scratch, WriteAsk};
use tidegate_model::record::{Fields, Key, RemoteId};
use tidegate_model::schema::ModelName;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::Condition;
use tidegate_model::time::{parse_date, parse_timestamptz};
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{Error, ErrorKind, Result};

use super::cell::{Cell, CellRef};
use super::columns::Decode;
use super::db::{Row, Session};
use super::fence::Counter;
use super::ids::Ids;
use super::layout::{CUSTOM, Layout};
use super::models::{self, NUMBER, Place};
use super::source::{Attr, Select, Source, order};
use super::{Hub, Model, dataset, kind, records, rules, source};

impl Hub {
    /// Records, or rows of a series or dataset, that fulfil all conditions, ordered by key; at most `limit`.
    pub async fn list(&self, model: &str, filter: &[Condition], limit: usize) -> Result<Vec<Json>> {
        let (model, filter) = (ModelName(model.to_owned()), filter.to_vec());
        self.look(move |session, ids| {
            let records = matches!(kind(&model)?, Model::Records);
            let source = source(session, &model)?;
            list(session, ids, &source, &filter, limit, records)
        })
        .await
    }

    /// The same without a limit, as JSON texts into scratch space, rewound: all as they stood at one moment, and however
    /// many they are, no more than one is held in memory.
    pub async fn spool(&self, model: &str, filter: &[Condition], into: Box<dyn Scratch>) -> Result<Box<dyn Scratch>> {
        let (model, filter, mut into) = (ModelName(model.to_owned()), filter.to_vec(), into);
        self.look(move |session, ids| {
            let records = matches!(kind(&model)?, Model::Records);
            let source = source(session, &model)?;
            each(session, ids, &source, &filter, None, records, &mut |record| {
                let text = serde_json::to_vec(&record);
                into.push(&text.map_err(|error| Error::internal("a record has no text").cause(error))?)
            })?;
            into.rewind()?;
            Ok(into)
        })
        .await
    }

    /// Creates or changes a record. KEY is the externalId, or `sourceId:X`, `_id:X`, `email:X`; assignments are
    /// `field=value`, read by the field's type. The record as it then stands.
    pub async fn set(&self, model: &str, key: &str, assignments: &[String]) -> Result<Json> {
        let pairs: Result<Vec<(String, String)>> = assignments.iter().map(|text| assignment(text)).collect();
        let (model, key, pairs) = (model.to_owned(), key.to_owned(), pairs?);
        self.edit(move |session, ids| {
            let mut layout = Layout::load(session, &model)?;
            let mut counter = Counter::take(session)?;
            let mut new = Vec::new();
            for (name, text) in pairs.iter().filter(|(name, _)| name.starts_with(CUSTOM)) {
                if layout.field(name).is_none() {
                    new.push((name.clone(), guess(text)));
                }
            }
            layout.add(session, &new, counter.now)?;
            let mut fields = Fields::default();
            for (name, text) in &pairs {
                let field = layout.field(name).ok_or_else(|| refused(&model, layout.unknown(name)))?;
                fields.set(name.as_str(), rules::read_text(field, text).map_err(|why| refused(&model, why))?);
            }
            let (key_field, key) = split_key(&layout, &key)?;
            let action = if key_field == "_id" { Action::Update } else { Action::Create };
            let change = Change { key: Key::new(key), remote: None, action, fields, expect: None };
            change_one(session, ids, &model, &key_field, change, &mut counter)
        })
        .await
    }

    /// Clears fields of a record.
    pub async fn unset(&self, model: &str, key: &str, fields: &[String]) -> Result<Json> {
        let (model, key, names) = (model.to_owned(), key.to_owned(), fields.to_vec());
        self.edit(move |session, ids| {
            let layout = Layout::load(session, &model)?;
            let mut counter = Counter::take(session)?;
            let (key_field, key) = split_key(&layout, &key)?;
            let fields = names.iter().map(|name| (name.as_str().into(), Value::Null)).collect();
            let change = Change { key: Key::new(key), remote: None, action: Action::Update, fields, expect: None };
            change_one(session, ids, &model, &key_field, change, &mut counter)
        })
        .await
    }

    /// Deletes a record; it as it stood.
    pub async fn delete(&self, model: &str, key: &str) -> Result<Json> {
        let (model, key) = (model.to_owned(), key.to_owned());
        self.edit(move |session, ids| {
            let layout = Layout::load(session, &model)?;
            let mut counter = Counter::take(session)?;
            let (key_field, key) = split_key(&layout, &key)?;
            let id = find(session, ids, &layout, &key_field, &key)?.ok_or_else(|| no_record(&model, &key_field))?;
            let before = one(session, ids, &layout, id)?;
            let remote = Some(RemoteId::new(ids.text(id)));
            let change =
                Change { key: Key::new(key), remote, action: Action::Delete, fields: Fields::default(), expect: None };
            change_one(session, ids, &model, &key_field, change, &mut counter)?;
            Ok(before)
        })
        .await
    }

    /// Removes every trace of a record: itself, its activities and metrics with their roll-ups, dataset rows linked
    /// to it, and kept answers. Roll-ups of its company keep their numbers. Number of rows removed.
    pub async fn forget(&self, model: &str, key: &str) -> Result<u64> {
        let (model, key) = (model.to_owned(), key.to_owned());
        self.edit(move |session, ids| {
            let layout = Layout::load(session, &model)?;
            let (key_field, key) = split_key(&layout, &key)?;
            match find(session, ids, &layout, &key_field, &key)? {
                Some(id) => forget(session, &layout, id),
                None => Ok(0),
            }
        })
        .await
    }

    async fn edit<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Session, Ids) -> Result<T> + Send + 'static,
    {
        let ids = self.ready().await?;
        let points = ["hub.edit_before_commit", "hub.edit_after_commit"];
        self.pool.write(points, move |session| work(session, ids)).await
    }
}

fn assignment(text: &str) -> Result<(String, String)> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| {
        Error::config(format!("{text:?} is no assignment")).hint("write field=value, for example name=Acme")
    })
}

/// The type of a custom field that a person makes by setting it.
fn guess(text: &str) -> Type {
    if Decimal::parse(text).is_some() {
        NUMBER
    } else if text == "true" || text == "false" {
        Type::Bool
    } else if parse_date(text).is_ok() {
        Type::Date
    } else if parse_timestamptz(text).is_ok() {
        Type::TimestampTz
    } else {
        Type::Text
    }
}

/// `sourceId:X` → (sourceId, X); a key without such a prefix is an externalId.
fn split_key(layout: &Layout, key: &str) -> Result<(String, String)> {
    let (field, key) = match key.split_once(':') {
        Some((field, rest)) if ["externalId", "sourceId", "_id", "email"].contains(&field) => (field, rest),
        _ => ("externalId", key),
    };
    if !layout.def.keys.iter().any(|known| known == field) {
        return Err(Error::config(format!("records of {} are not found by {field}", layout.def.name))
            .hint(format!("use one of {}", layout.def.keys.join(", "))));
    }
    if key.is_empty() {
        return Err(Error::config("the key is empty").hint("KEY is the externalId, or sourceId:X, _id:X, email:X"));
    }
    Ok((field.to_owned(), key.to_owned()))
}

fn refused(model: &str, why: FieldReject) -> Error {
    Error::new(ErrorKind::BadRequest, format!("{model}: {}", why.reason)).hint(match &why.field {
        Some(field) => format!("see the field {field} with: tidegate discover CONNECTION {model}"),
        None => format!("see {model} with: tidegate discover CONNECTION {model}"),
    })
}

fn no_record(model: &str, field: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no {model} with this {field}"))
        .hint(format!("see what is there with: tidegate hub list {model}"))
}

fn find(session: &mut dyn Session, ids: Ids, layout: &Layout, field: &str, key: &str) -> Result<Option<i64>> {
    let Some(known) = layout.field(field) else { return Ok(None) };
    let text = rules::normal(known, key);
    let param = match known.place {
        Place::Id => Cell::Int(ids.parse(&text).unwrap_or(-1)),
        _ => Cell::Text(text.into_owned()),
    };
    let sql = format!("SELECT id FROM {} WHERE {} = $1 AND deleted = 0", layout.def.table, known.column);
    let mut found = Vec::new();
    session.query(&sql, &[param.as_ref()], &mut |row| {
        found.push(row.int(0)?);
        Ok(())
    })?;
    if found.len() > 1 {
        return Err(Error::new(ErrorKind::BadRequest, format!("{} records have this {field}", found.len()))
            .hint("name one by its externalId or _id:X"));
    }
    Ok(found.first().copied())
}

fn change_one(
    session: &mut dyn Session,
    ids: Ids,
    model: &str,
    key_field: &str,
    change: Change,
    counter: &mut Counter,
) -> Result<Json> {
    let ask = WriteAsk {
        model: ModelName(model.to_owned()),
        key: key_field.to_owned(),
        new_fields: Vec::new(),
        // No operation: what a person does is done once, and again if asked again.
        op: OpId(String::new()),
        fence: Fence { sync: String::new(), store: String::new(), epoch: 0 },
        records: 1,
        addresses: Vec::new(),
    };
    let outcomes = records::carry_out(session, ids, &ask, &[change], counter)?;
    counter.store(session)?;
    let remote = match outcomes.into_iter().next() {
        Some(Outcome::Applied { remote, .. } | Outcome::Unchanged { remote }) => remote,
        Some(Outcome::Rejected(why)) => return Err(refused(model, why)),
        _ => None,
    };
    let id = remote.and_then(|remote| ids.parse(remote.as_str())).ok_or_else(|| no_record(model, key_field))?;
    let layout = Layout::load(session, model)?;
    one(session, ids, &layout, id)
}

fn one(session: &mut dyn Session, ids: Ids, layout: &Layout, id: i64) -> Result<Json> {
    let mut source = Source::records(layout)?;
    source.only = format!("t.id = {id}");
    Ok(list(session, ids, &source, &[], 1, true)?.pop().unwrap_or(Json::Null))
}

fn list(
    session: &mut dyn Session,
    ids: Ids,
    source: &Source,
    filter: &[Condition],
    limit: usize,
    records: bool,
) -> Result<Vec<Json>> {
    let mut out = Vec::new();
    each(session, ids, source, filter, Some(limit), records, &mut |record| {
        out.push(record);
        Ok(())
    })?;
    Ok(out)
}

/// Calls back for each of the records, as they are read.
fn each(
    session: &mut dyn Session,
    ids: Ids,
    source: &Source,
    filter: &[Condition],
    limit: Option<usize>,
    records: bool,
    on: &mut dyn FnMut(Json) -> Result<()>,
) -> Result<()> {
    let mut select = Select::default();
    let dialect = session.dialect();
    source.attrs.iter().for_each(|attr| drop(select.pick(dialect, attr, &attr.field.schema.name)));
    if source.attrs.is_empty() {
        return Ok(());
    }
    select.filter(session, ids, source, filter)?;
    let by = source.attr("externalId").filter(|_| records).unwrap_or(&source.remote);
    let then = if records { ", t.id" } else { "" };
    let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
    let sql = format!("{}{}{then}{limit}", select.sql(source), order(dialect, by));
    let params: Vec<CellRef<'_>> = select.params.iter().map(Cell::as_ref).collect();
    session.query(&sql, &params, &mut |row| on(object(ids, source, row, records)?))
}

/// A row as an object: fields without value are left out, a record's own fields stand under `custom`.
fn object(ids: Ids, source: &Source, row: &dyn Row, records: bool) -> Result<Json> {
    let mut out = Map::new();
    let mut custom = Map::new();
    let mut at = 0;
    for attr in &source.attrs {
        let name = &attr.field.schema.name;
        let value = cell_json(ids, attr, row.cell(at)?);
        if attr.decode() == Decode::Reference
            && let Some(external) = row.text(at + 1)?
        {
            out.insert(format!("{}ExternalId", name.strip_suffix("Id").unwrap_or(name)), Json::String(external));
        }
        at += attr.decode().width();
        match name.strip_prefix(CUSTOM).filter(|_| records) {
            _ if value.is_null() && records => {}
            Some(own) => drop(custom.insert(own.to_owned(), value)),
            None => drop(out.insert(name.clone(), value)),
        }
    }
    if records {
        for name in ["externalId", "sourceId"] {
            if source.attr(name).is_some() {
                out.entry(name).or_insert(Json::Null);
            }
        }
        out.insert("custom".to_owned(), Json::Object(custom));
    }
    Ok(Json::Object(out))
}

fn cell_json(ids: Ids, attr: &Attr, cell: CellRef<'_>) -> Json {
    match (attr.field.place, cell) {
        (Place::Id | Place::Reference, CellRef::Int(id)) => Json::String(ids.text(id)),
        _ => cell.value(attr.field.schema.logical).to_json(),
    }
}

fn forget(session: &mut dyn Session, layout: &Layout, id: i64) -> Result<u64> {
    let own = [CellRef::Int(id)];
    let mut gone = 0;
    let number = super::series::MODELS.iter().find(|(_, model, _)| *model == layout.def.name).map(|(.., n)| *n);
    if let Some(number) = number {
        if ["company", "enduser"].contains(&layout.def.name.as_str()) {
            gone += session.exec(&format!("DELETE FROM hub_activity WHERE {} = $1", layout.def.name), &own)?;
        }
        let about = [CellRef::Int(number), CellRef::Int(id)];
        for table in ["hub_metric", "hub_rollup"] {
            gone += session.exec(&format!("DELETE FROM {table} WHERE model = $1 AND entity = $2"), &about)?;
        }
    }
    if layout.def.name == "enduser" {
        gone += dataset::forget(session, id)?;
    }
    if layout.def.name == "company" {
        gone += session.exec("DELETE FROM hub_domain WHERE company = $1", &own)?;
    }
    // Answers of writes may quote what was stored. Those of loads hold no values.
    session.exec("DELETE FROM hub_op WHERE kind = 'write'", &[])?;
    for def in models::defs()? {
        for field in def.fields.iter().filter(|field| field.parent() == Some(layout.def.name.as_str())) {
            let sql = format!("UPDATE {} SET {1} = NULL WHERE {1} = $1", def.table, field.column);
            session.exec(&sql, &own)?;
        }
    }
    gone += session.exec(&format!("DELETE FROM {} WHERE id = $1", layout.def.table), &own)?;
    Ok(gone)
}
