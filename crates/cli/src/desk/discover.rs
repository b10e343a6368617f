//! What there is on the other side: catalogues, columns, models, fields, records.

use serde_json::Value as Json;
use tidegate_model::config::Side;
use tidegate_model::ports::{Place, Scratch};
use tidegate_model::schema::{ModelKind, ModelName, ModelSchema, Relation, RelationKind, RelationSchema, Source};
use tidegate_model::sync::Condition;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_platforms::hub::Hub;
use tidegate_server::desk::*;

use super::{ProjectDesk, known, marks};
use crate::workshop::Workshop;

/// Entries of one place that are listed: more is a place to narrow down by name.
const ENTRIES_MAX: usize = 5_000;
/// How far records can be leafed through: past it, a condition finds what is looked for.
const RECORDS_MAX: usize = 50_000;

/// What there is at a place.
pub async fn at(desk: &ProjectDesk, connection: &str, place: Option<&str>) -> Result<Discovered> {
    let shop = desk.shop();
    let place = place.filter(|place| !place.is_empty());
    match known(shop.connection(connection))?.side {
        Side::Warehouse => warehouse(&*shop.warehouse(connection).await?, place).await,
        Side::Platform => {
            let platform = shop.platform(connection).await?;
            match place {
                Some(name) => Ok(fields(&platform.model(&ModelName(name.to_owned())).await?)),
                None => Ok(models(&platform.models().await?)),
            }
        }
    }
}

async fn warehouse(warehouse: &dyn tidegate_model::ports::Warehouse, place: Option<&str>) -> Result<Discovered> {
    let Some(place) = place else {
        let mut entries = warehouse.browse(&Place::default()).await?;
        // A single container on top is no choice: show what is in it.
        let mut at = Place::default();
        while let [only] = entries.as_slice()
            && only.container
        {
            at.0.push(only.name.clone());
            entries = warehouse.browse(&at).await?;
        }
        return Ok(listed(&at, &entries));
    };
    let relation = Relation::parse(place);
    match warehouse.describe(&Source::Relation(relation.clone())).await {
        Ok(schema) => Ok(columns(&schema)),
        Err(not_a_relation) if not_a_relation.kind == ErrorKind::NotFound => {
            let at = Place(relation.0);
            match warehouse.browse(&at).await {
                Ok(entries) if !entries.is_empty() => Ok(listed(&at, &entries)),
                _ => Err(not_a_relation),
            }
        }
        Err(error) => Err(error),
    }
}

/// A part of a name as it is written: in quotes where dots would end it.
fn part(name: &str) -> String {
    if name.contains(['.', '"']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
}

fn listed(at: &Place, entries: &[tidegate_model::ports::Entry]) -> Discovered {
    let one = |entry: &tidegate_model::ports::Entry| {
        let parts: Vec<String> = at.0.iter().chain([&entry.name]).map(|name| part(name)).collect();
        EntryAnswer {
            name: parts.join("."),
            kind: entry.kind.clone(),
            container: entry.container,
            note: entry.note.clone(),
        }
    };
    Discovered {
        what: "place".to_owned(),
        entries: entries.iter().take(ENTRIES_MAX).map(one).collect(),
        ..Discovered::default()
    }
}

fn columns(schema: &RelationSchema) -> Discovered {
    let kind = match schema.kind {
        RelationKind::Table => "table",
        RelationKind::View => "view",
        RelationKind::Stream => "stream",
        RelationKind::Query => "query",
    };
    let one = |column: &tidegate_model::schema::Column| ColumnAnswer {
        column: column.name.clone(),
        logical: column.logical.to_string(),
        native: column.native.clone(),
        nullable: column.nullable,
        max_length: column.max_length,
        primary_key: schema.primary_key.contains(&column.name),
    };
    Discovered {
        what: "relation".to_owned(),
        columns: schema.columns.iter().map(one).collect(),
        kind: Some(kind.to_owned()),
        rows_estimate: schema.rows_estimate,
        change_tracking: Some(schema.change_tracking),
        ..Discovered::default()
    }
}

fn models(models: &[ModelSchema]) -> Discovered {
    let one = |model: &ModelSchema| ModelAnswer {
        model: model.name.0.clone(),
        kind: match model.kind {
            ModelKind::Records => "records",
            ModelKind::Series => "series",
            ModelKind::Dataset => "dataset",
        }
        .to_owned(),
        fields: model.fields.len() as u64,
        keys: model.keys.clone(),
    };
    Discovered { what: "platform".to_owned(), models: models.iter().map(one).collect(), ..Discovered::default() }
}

fn fields(model: &ModelSchema) -> Discovered {
    let one = |field: &tidegate_model::schema::FieldSchema| FieldAnswer {
        field: field.name.clone(),
        logical: field.logical.to_string(),
        required: field.required,
        read_only: field.read_only,
        key: model.keys.contains(&field.name),
        references: field.references.as_ref().map(|model| model.0.clone()),
        one_of: (!field.one_of.is_empty()).then(|| field.one_of.clone()),
        help: field.help.clone(),
    };
    Discovered {
        what: "model".to_owned(),
        fields: model.fields.iter().map(one).collect(),
        custom_fields: Some(model.custom_fields),
        ..Discovered::default()
    }
}

/// Records, events or rows of a platform that can be looked into.
pub async fn records(desk: &ProjectDesk, connection: &str, ask: &RecordsAsk) -> Result<Page<Json>> {
    let (hub, conditions) = looked_into(&desk.shop(), connection, ask)?;
    let from: usize = marks::read(ask.after.as_deref())?.unwrap_or(0);
    let limit = ask.limit() as usize;
    if from > RECORDS_MAX {
        return Err(Error::config(format!("only the first {RECORDS_MAX} records can be leafed through"))
            .hint("narrow them with `where=FIELD=VALUE`, or take the file of all of them (`records.csv`)"));
    }
    let mut all = hub.list(&ask.model, &conditions, from + limit + 1).await?;
    let more = all.len() > from + limit;
    all.truncate(from + limit);
    let items = all.split_off(from.min(all.len()));
    let next = if more { Some(marks::text(&(from + limit))?) } else { None };
    Ok(Page { items, next })
}

/// All of them, in scratch space.
pub async fn all_records(desk: &ProjectDesk, connection: &str, ask: &RecordsAsk) -> Result<Box<dyn Scratch>> {
    let shop = desk.shop();
    let (hub, conditions) = looked_into(&shop, connection, ask)?;
    hub.spool(&ask.model, &conditions, shop.engine.env.scratch()?).await
}

/// The hub that is looked into, and which records of it.
fn looked_into(shop: &Workshop, connection: &str, ask: &RecordsAsk) -> Result<(Hub, Vec<Condition>)> {
    let found = known(shop.connection(connection))?;
    if !crate::cmd::hub::hubs(&shop.project).contains(&found.name) {
        return Err(Error::config(format!("{connection} ({}) cannot be looked into record by record", found.kind))
            .hint("only the embedded hub can; the other side has its own pages"));
    }
    let words: Vec<String> = ask.filter.iter().filter(|text| !text.is_empty()).cloned().collect();
    Ok((shop.hub(connection)?, crate::cmd::hub::conditions(&words)?))
}

/// The last days of a series.
pub async fn usage(desk: &ProjectDesk, connection: &str, series: &str, days: u32) -> Result<Vec<UsageAnswer>> {
    let shop = desk.shop();
    let found = known(shop.connection(connection))?;
    if !crate::cmd::hub::hubs(&shop.project).contains(&found.name) {
        return Ok(Vec::new());
    }
    #[allow(clippy::cast_precision_loss, reason = "a height in a chart")]
    let one = |day: tidegate_platforms::hub::UsageDay| UsageAnswer { day: day.day, value: day.entries as f64 };
    Ok(shop.hub(connection)?.usage(series, days).await?.into_iter().map(one).collect())
}
