//! Whether a sync's needs are met.

use tidegate_model::finding::Finding;
use tidegate_model::ports::{Need, WriteColumn};
use tidegate_model::schema::{ModelSchema, Source};
use tidegate_model::sync::WriteMode;
use tidegate_model::value::Type;

use super::models::{self, CUSTOM};

/// Whether a field of one type takes values of another.
fn takes(field: Type, given: Type) -> bool {
    let number = |logical| matches!(logical, Type::Int64 | Type::Decimal { .. } | Type::Float64);
    let time = |logical| matches!(logical, Type::Date | Type::Timestamp | Type::TimestampTz);
    field == given
        || (number(field) && number(given))
        || (field == Type::TimestampTz && time(given))
        || (field == Type::Json && given == Type::List)
}

/// The model that a need is about.
pub(super) fn model(need: &Need) -> Option<&str> {
    match need {
        Need::Connect | Need::Follow { .. } => None,
        Need::Read { source: Source::Relation(relation), .. } | Need::Write { relation, .. } => Some(relation.table()),
        Need::Read { source: Source::Query(_), .. } => None,
    }
}

/// What a need lacks of a model.
pub(super) fn need(need: &Need, schema: &ModelSchema) -> Vec<Finding> {
    match need {
        Need::Connect | Need::Follow { .. } => Vec::new(),
        Need::Read { columns, .. } => columns
            .iter()
            .filter(|name| schema.field(name).is_none())
            .filter_map(|name| missing(schema, name))
            .collect(),
        Need::Write { key, columns, mode, .. } => write(schema, key.as_deref(), columns, *mode),
    }
}

fn missing(schema: &ModelSchema, name: &str) -> Option<Finding> {
    if schema.custom_fields && name.strip_prefix(CUSTOM).is_some_and(|own| !own.is_empty()) {
        return None;
    }
    let fix = match models::near(name, schema.fields.iter().map(|field| field.name.as_str())) {
        Some(like) => format!("did you mean {like}?"),
        None => format!("map it to a custom field: {CUSTOM}{name}"),
    };
    Some(Finding::critical("unknown_field", format!("{} has no field {name}", schema.name), fix))
}

fn write(schema: &ModelSchema, key: Option<&str>, columns: &[WriteColumn], mode: WriteMode) -> Vec<Finding> {
    let mut out = Vec::new();
    if let Some(key) = key.filter(|key| !schema.keys.iter().any(|known| known == key)) {
        let why = format!("{} cannot be found by {key}", schema.name);
        out.push(Finding::critical("key", why, format!("use one of {}", schema.keys.join(", "))));
    }
    for column in columns {
        let Some(field) = schema.field(&column.name) else {
            match missing(schema, &column.name) {
                Some(finding) => out.push(finding),
                None => out.push(Finding::info(
                    "new_custom_field",
                    format!("{} does not exist yet: the first write defines it at Planhat", column.name),
                )),
            }
            continue;
        };
        if field.read_only {
            let why = format!("{} is computed by Planhat and not written", field.name);
            out.push(Finding::critical("read_only", why, "take it out, or give it `direction: to_warehouse`"));
        } else if !takes(field.logical, column.logical) {
            let why = format!("{} takes {}, and {} would come", field.name, field.logical, column.logical);
            out.push(Finding::critical(
                "type_conflict",
                why,
                "add a transform to the field, such as to_text or to_number",
            ));
        }
    }
    if mode != WriteMode::Update && mode != WriteMode::Append {
        let given = |name: &str| key == Some(name) || columns.iter().any(|column| column.name == name);
        let lacking: Vec<&str> =
            schema.fields.iter().filter(|f| f.required && !given(&f.name)).map(|f| f.name.as_str()).collect();
        if !lacking.is_empty() {
            let why = format!("a new {} needs {}, which nothing is mapped to", schema.name, lacking.join(", "));
            out.push(Finding::warning("required", why, "map them, or new records will be rejects"));
        }
        let needs = models::def(schema.name.as_str()).map(|def| def.needs.as_slice()).unwrap_or_default();
        for needs in needs.iter().filter(|one| given(&one.when) && !one.any.iter().any(|name| given(name))) {
            let models::Needs { when, is, any } = needs;
            let why = format!("a new {} with {when}: {is} needs {}", schema.name, any.join(" or "));
            out.push(Finding::warning("required", why, "map it, or such records will be rejects"));
        }
    }
    out
}
