//! Finds out whether a sync's needs are met.

use tidegate_model::finding::Finding;
use tidegate_model::ports::{Need, WriteColumn};
use tidegate_model::schema::{ModelKind, ModelName, ModelSchema, Relation, Source};
use tidegate_model::value::Type;

use super::db::Session;
use super::ids::Ids;
use super::layout::{CUSTOM, fits};
use super::models::near;

/// All findings for all needs.
pub fn all(session: &mut dyn Session, _ids: Ids, needs: &[Need]) -> Vec<Finding> {
    needs.iter().flat_map(|need| one(session, need)).collect()
}

fn one(session: &mut dyn Session, need: &Need) -> Vec<Finding> {
    match need {
        // The connection and its tables are there, or we would not be here.
        Need::Connect | Need::Follow { .. } => Vec::new(),
        Need::Read { source: Source::Query(_), .. } => {
            vec![Finding::critical("query", "the hub is read by model, not by query", "name a model under platform:")]
        }
        Need::Read { source: Source::Relation(relation), columns } => match model(session, relation) {
            Err(finding) => vec![finding],
            Ok(schema) => readable(&schema, columns),
        },
        Need::Write { relation, key, columns, .. } => match model(session, relation) {
            Err(finding) => vec![finding],
            Ok(schema) => writable(&schema, key.as_deref(), columns),
        },
    }
}

fn model(session: &mut dyn Session, relation: &Relation) -> Result<ModelSchema, Finding> {
    super::describe(session, &ModelName(relation.to_string()))
        .map_err(|e| Finding::critical(e.code(), e.to_string(), e.hint.unwrap_or_default()))
}

fn missing(schema: &ModelSchema, name: &str) -> Finding {
    let fix = match near(name, schema.fields.iter().map(|field| field.name.as_str())) {
        Some(like) => format!("did you mean {like}?"),
        None if schema.custom_fields => format!("fields of your own are named {CUSTOM}NAME"),
        None => format!("{} has {}", schema.name, names(schema)),
    };
    Finding::critical("unknown_field", format!("{} has no field {name:?}", schema.name), fix)
}

fn names(schema: &ModelSchema) -> String {
    let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
    names.join(", ")
}

fn readable(schema: &ModelSchema, columns: &[String]) -> Vec<Finding> {
    let unknown = columns.iter().filter(|name| schema.field(name).is_none());
    unknown
        .filter(|name| !(schema.custom_fields && name.starts_with(CUSTOM)))
        .map(|name| missing(schema, name))
        .collect()
}

fn writable(schema: &ModelSchema, key: Option<&str>, columns: &[WriteColumn]) -> Vec<Finding> {
    let mut out = Vec::new();
    let records = schema.kind == ModelKind::Records;
    if let Some(key) = key.filter(|key| records && !schema.keys.iter().any(|known| known == key)) {
        let why = format!("records of {} cannot be found by {key:?}", schema.name);
        out.push(Finding::critical("key", why, format!("use one of {}", schema.keys.join(", "))));
    }
    for column in columns {
        out.extend(column_finding(schema, column));
    }
    if records {
        let given = |name: &str| key == Some(name) || columns.iter().any(|column| column.name == name);
        for field in schema.fields.iter().filter(|field| field.required && !given(&field.name)) {
            let why = format!("{} needs {} to create a record, and nothing is mapped to it", schema.name, field.name);
            let fix = format!("map a column to {}, or set write: update", field.name);
            out.push(Finding::warning("required", why, fix));
        }
    }
    out
}

fn column_finding(schema: &ModelSchema, column: &WriteColumn) -> Option<Finding> {
    let name = &column.name;
    let Some(field) = schema.field(name) else {
        let follows = schema.kind == ModelKind::Dataset;
        let own = schema.custom_fields && name.strip_prefix(CUSTOM).is_some_and(|rest| !rest.trim().is_empty());
        return (!follows && !own).then(|| missing(schema, name));
    };
    if field.read_only {
        let why = format!("{name} is written by the hub alone");
        return Some(Finding::critical("read_only", why, "leave it out, or map it to_warehouse"));
    }
    let (given, has) = (column.logical, field.logical);
    let lenient = matches!(
        (given, has),
        (Type::Text, Type::Date | Type::Timestamp | Type::TimestampTz | Type::Time)
            | (Type::Float64, Type::Decimal { .. })
            | (Type::Json, Type::List)
    ) || (field.references.is_some() && matches!(given, Type::Int64 | Type::Decimal { .. }));
    if fits(given, has) || lenient || schema.kind == ModelKind::Series {
        return None;
    }
    let why = format!("{name} takes {has}, and the sync brings {given}");
    let fix = match has {
        Type::Text => "add transform: [to_text]".to_owned(),
        Type::Decimal { .. } | Type::Int64 => "add transform: [to_number]".to_owned(),
        Type::Bool => "add transform: [to_boolean]".to_owned(),
        Type::Date => "add transform: [date_only]".to_owned(),
        _ => format!("convert it to {has} in the sync, or map it to another field"),
    };
    Some(Finding::critical("type_conflict", why, fix))
}
