//! Time series: user activities and custom metrics.
//!
//! Rows load columnar, page by page, and are deduplicated by the sync and its source key. Whom a row is about is
//! resolved set-wise, once per distinct value, by this rule:
//! - an activity's end user by `externalId`, else by `email` (of several with one address, the one in the row's
//!   company); its company by `companyExternalId` or `companyId` (see [`super::refs`]), else the end user's own;
//! - a metric's record by `externalId` in the model named by `model` (Company if it is not given), then by
//!   sourceId, for end users then by mail address.
//!
//! What a row names must be there: a row whose company or end user is unknown is a reject `unresolved_reference`,
//! and so is a row that names nobody.

mod activity;
mod lookup;
mod metric;
mod rows;
mod table;

use tidegate_model::change::FieldReject;
use tidegate_model::page::Page;
use tidegate_model::ports::{Load, LoadMode, Loaded, MAX_REJECTS_LISTED};
use tidegate_model::schema::{Case, FieldSchema, ModelKind, ModelName, ModelSchema, NormalForm};
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result, failpoint};

use super::cell::{CellRef, Kind};
use super::db::{Session, first};
use super::fence;
use super::frame::Inlet;
use super::ids::Ids;
use super::models::{NUMBER, Place};
use super::rollup::Rollup;
use super::source::{Attr, Source};
use lookup::Lookups;

/// The model of user activities.
pub const ACTIVITY: &str = "user_activity";
/// The model of custom metrics.
pub const METRIC: &str = "custom_metric";
/// The field of the source key.
pub const KEY: &str = "sourceKey";
/// What a metric can be about, and its number in the tables.
pub const MODELS: [(&str, &str, i64); 4] =
    [("Company", "company", 1), ("EndUser", "enduser", 2), ("Asset", "asset", 3), ("Project", "project", 4)];

/// Whether a model is a series.
pub fn is_series(model: &str) -> bool {
    model == ACTIVITY || model == METRIC
}

fn field(name: &str, logical: Type, help: &str) -> FieldSchema {
    FieldSchema { help: help.to_owned(), ..FieldSchema::new(name, logical) }
}

fn to(model: &str, name: &str, help: &str) -> FieldSchema {
    FieldSchema { references: Some(ModelName(model.to_owned())), ..field(name, Type::Text, help) }
}

/// As described to the outside.
pub fn schema(model: &str) -> Result<ModelSchema> {
    let key = FieldSchema { read_only: true, ..field(KEY, Type::Text, "The sync's key; rows are taken once by it.") };
    let date = field("date", Type::TimestampTz, "When; the time of arrival if it is not given.");
    let fields = if model == ACTIVITY {
        let lower = NormalForm { trim: true, case: Some(Case::Lower), ..NormalForm::default() };
        vec![
            key,
            to("company", "companyExternalId", "The company's externalId; the end user's own company if not given."),
            to("company", "companyId", "The company's _id, externalId or sourceId."),
            FieldSchema { normal: lower, ..to("enduser", "email", "The end user's mail address.") },
            to("enduser", "externalId", "The end user's externalId; looked at before the mail address."),
            field("action", Type::Text, "What was done."),
            field("weight", NUMBER, "How much it weighs; 1 if not given."),
            field("count", Type::Int64, "How often; 1 if not given."),
            date,
            field("info", Type::Json, "Anything more."),
        ]
    } else {
        let models = MODELS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        vec![
            key,
            FieldSchema { required: true, ..field("dimensionId", Type::Text, "What is measured.") },
            FieldSchema { required: true, ..field("value", NUMBER, "The measured value.") },
            FieldSchema { one_of: models, ..field("model", Type::Text, "What it is about; Company if not given.") },
            FieldSchema { required: true, ..to("company", "externalId", "The record's externalId.") },
            date,
        ]
    };
    let name = ModelName(model.to_owned());
    Ok(ModelSchema {
        name,
        kind: ModelKind::Series,
        fields,
        keys: vec![KEY.to_owned()],
        custom_fields: false,
        open: false,
        customs: Vec::new(),
    })
}

/// For reading.
pub fn source(model: &str) -> Result<Source> {
    let shown = |table: &str, column: &str, id: &str| format!("(SELECT x.{column} FROM {table} x WHERE x.id = {id})");
    let sql = |name: &str| match (model, name) {
        (_, KEY) => "t.key".to_owned(),
        (_, "date") => "t.at".to_owned(),
        (ACTIVITY, "companyExternalId") => shown("hub_r_company", "\"externalId\"", "t.company"),
        (ACTIVITY, "companyId") => "t.company".to_owned(),
        (ACTIVITY, "email") => shown("hub_r_enduser", "email", "t.enduser"),
        (ACTIVITY, "externalId") => shown("hub_r_enduser", "\"externalId\"", "t.enduser"),
        (ACTIVITY, "action") => shown("hub_name", "name", "t.action"),
        (ACTIVITY, "count") => "t.times".to_owned(),
        (_, "dimensionId") => shown("hub_name", "name", "t.dimension"),
        (_, "model") => {
            let names = MODELS.iter().map(|(name, _, number)| format!("WHEN {number} THEN '{name}'"));
            format!("CASE t.model {} END", names.collect::<Vec<_>>().join(" "))
        }
        (_, "externalId") => {
            let ids = MODELS.iter().map(|(_, table, number)| {
                format!("WHEN {number} THEN {}", shown(&format!("hub_r_{table}"), "\"externalId\"", "t.entity"))
            });
            format!("CASE t.model {} END", ids.collect::<Vec<_>>().join(" "))
        }
        (_, other) => format!("t.{other}"),
    };
    let attr = |field: FieldSchema| {
        let mut attr = Attr::plain(&field.name, sql(&field.name), field.logical);
        if field.name == "companyId" {
            attr.field.place = Place::Id;
            attr.field.kind = Kind::Int;
        }
        attr
    };
    Ok(Source {
        from: if model == ACTIVITY { "hub_activity t" } else { "hub_metric t" }.to_owned(),
        only: "t.sync > 0".to_owned(),
        attrs: schema(model)?.fields.into_iter().map(attr).collect(),
        remote: Attr::plain("id", "(t.sync || '/' || t.key)".to_owned(), Type::Text),
        updated: Attr::plain("at", "t.at".to_owned(), Type::TimestampTz),
        deleted: None,
        seq: None,
    })
}

/// A row that was taken: whom it is about, and what it adds to the roll-ups.
#[derive(Debug, Clone, Copy)]
struct Taken {
    about: [Option<(i64, i64)>; 2],
    name: i64,
    times: i64,
    number: i128,
    at: i64,
}

/// One load on its way.
struct Loading {
    lookups: Lookups,
    rollup: Rollup,
    sync: i64,
    number: i64,
    now: i64,
    done: Loaded,
    rows: u64,
}

/// Loads pages into a series, inside an open transaction.
pub fn load(session: &mut dyn Session, ids: Ids, model: &str, load: &Load, pages: &mut Inlet) -> Result<Loaded> {
    if load.mode != LoadMode::Append {
        return Err(Error::config(format!("{model} takes rows by write: append only")));
    }
    let Some(key) = &load.key else {
        return Err(Error::config(format!("{model} needs the source key of its rows")).hint("name key.warehouse"));
    };
    fence::check(session, &load.fence)?;
    if let Some(answer) = fence::replay(session, &load.op)? {
        return replayed(&answer);
    }
    // Loads of one series go one after the other: they add to the same roll-ups.
    let lock = format!("SELECT number FROM hub_meta WHERE name = $1{}", session.dialect().for_update());
    first(session, &lock, &[CellRef::Text(model)], 1)?;
    let number = session.next_number()?;
    let mut lookups = Lookups::new(ids);
    let sync = lookups.name(session, &load.fence.sync)?;
    let (rollup, now, done) = (Rollup::default(), super::clock(), Loaded { requests: 1, ..Loaded::default() });
    let mut loading = Loading { lookups, rollup, sync, number, now, done, rows: 0 };
    let mut part = 0;
    while let Some(page) = pages.next()? {
        failpoint::hit("hub.series_page");
        loading.page(session, model, key, &page, part)?;
        part += 1;
    }
    loading.rollup.flush(session)?;
    let answer = postcard::to_allocvec(&loading.done);
    let answer = answer.map_err(|e| Error::internal("an answer cannot be kept").cause(e))?;
    fence::remember(session, "load", &load.op, &load.fence, number, &answer)?;
    Ok(loading.done)
}

/// The answer of a load that was carried out before.
pub fn replayed(answer: &[u8]) -> Result<Loaded> {
    let broken = |e| Error::internal("a kept answer cannot be read").cause(e);
    let loaded: Loaded = postcard::from_bytes(answer).map_err(broken)?;
    Ok(Loaded { replayed: true, ..loaded })
}

impl Loading {
    fn page(&mut self, session: &mut dyn Session, model: &str, key: &str, page: &Page, part: i64) -> Result<()> {
        let mut rows = rows::Rows::of(page, key)?;
        // Numbers of pages within a load: rows of this page are told from those of the pages before.
        let number = (self.number << 24) | part;
        let context = rows::Context { sync: self.sync, load: number, now: self.now };
        let (taken, known) = if model == ACTIVITY {
            activity::page(session, &mut self.lookups, &mut rows, &context)?
        } else {
            metric::page(session, &mut self.lookups, &mut rows, &context)?
        };
        let series = if model == ACTIVITY { 1 } else { 2 };
        let mut known = known.into_iter().peekable();
        for (at, row) in taken.iter().enumerate() {
            if known.peek() == Some(&at) {
                known.next();
                self.done.unchanged += 1;
                continue;
            }
            self.done.created += 1;
            for (model, entity) in row.about.into_iter().flatten() {
                let group =
                    super::rollup::Group { series, model, entity, name: row.name, day: super::rollup::day(row.at) };
                self.rollup.add(group, row.times, row.number, row.at)?;
            }
        }
        for (row, why) in rows.rejected {
            reject(&mut self.done, self.rows + u64::from(row), why);
        }
        self.rows += page.len() as u64;
        if self.rollup.full() { self.rollup.flush(session) } else { Ok(()) }
    }
}

/// Adds a reject; past the limit its reason is short.
pub fn reject(done: &mut Loaded, row: u64, mut why: FieldReject) {
    if done.rejected.len() >= MAX_REJECTS_LISTED {
        why.reason = String::new();
    }
    done.rejected.push((row, why));
}

/// The error for a column that a series does not have.
fn no_column(model: &str, name: &str) -> Result<Error> {
    let schema = schema(model)?;
    let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
    Ok(Error::new(ErrorKind::NotFound, format!("{model} has no field {name:?}"))
        .hint(format!("it has {}", names.join(", "))))
}
