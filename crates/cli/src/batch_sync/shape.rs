//! What is sent of a stream: one attribute for each of its columns, under the column's name in lower case. The rules of
//! Batch are those of its connector; here stands only what the published job's arguments mean.

use std::collections::BTreeMap;

use tidegate_engine::plan::fit::fit;
use tidegate_engine::plan::map::{MappedField, Mapping};
use tidegate_model::change::FieldReject;
use tidegate_model::config::did_you_mean;
use tidegate_model::ports::{Need, WriteColumn};
use tidegate_model::record::Key;
use tidegate_model::schema::{Column, FieldSchema, ModelSchema, Relation, RelationKind, RelationSchema, Source};
use tidegate_model::sync::{
    As, Direction, EmptyText, FieldMap, FieldSet, FieldSource, KeySpec, Nulls, OnMisfit, Sync, WriteMode,
};
use tidegate_model::transform::Transform;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, Result};
use tidegate_platforms::batch::{CUSTOM, KEY, PROFILE};

/// What the job was asked to do.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The project's key at Batch.
    pub project_key: String,
    /// The stream.
    pub stream: Relation,
    /// The column with the profile's `custom_id`.
    pub id_column: String,
    /// Columns that are dates.
    pub date_columns: Vec<String>,
    /// Columns that are addresses.
    pub url_columns: Vec<String>,
    /// The table with the keys of Batch's API.
    pub credentials: Relation,
}

impl Asked {
    /// What outbox, lease and runs are named by: the stream, as far as it does not stand in the job's own schema.
    pub fn sync(&self, database: Option<&str>, schema: &str) -> String {
        let parts: Vec<&str> = self.stream.0.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [first, second, name] if Some(*first) == database && *second == schema => (*name).to_owned(),
            [first, name] if *first == schema => (*name).to_owned(),
            parts => parts.join("."),
        }
    }
}

/// How rows become profiles.
pub struct Shape {
    /// The mapping, compiled.
    pub mapping: Mapping,
    /// What is read: the id first.
    pub columns: Vec<String>,
    /// The attributes of the customer's own, with their types.
    pub own: Vec<(String, Type)>,
    /// Those of them that are addresses.
    pub addresses: Vec<String>,
    id: Option<FieldSchema>,
}

impl Shape {
    /// An id under the rules of the platform's own field.
    pub fn fits(&self, key: Key) -> std::result::Result<Key, FieldReject> {
        let Some(rules) = &self.id else { return Ok(key) };
        // Bytes bound characters from above: only few ids have to be looked at.
        if rules.max_length.is_some_and(|most| key.as_str().len() > most as usize) {
            fit(&Value::text(key.as_str()), rules, &self.mapping.zone)?;
        }
        Ok(key)
    }
}

/// The column that is meant: by its exact name, or the only one that differs in case alone.
fn column<'a>(relation: &'a RelationSchema, named: &str, flag: &str) -> Result<&'a Column> {
    let exact = relation.columns.iter().find(|column| column.name == named);
    let alike: Vec<&Column> =
        relation.columns.iter().filter(|column| column.name.eq_ignore_ascii_case(named)).collect();
    match (exact, alike.as_slice()) {
        (Some(column), _) => Ok(column),
        (None, [column]) => Ok(*column),
        (None, []) => {
            let names = relation.columns.iter().map(|column| column.name.as_str());
            let near = did_you_mean(&named.to_uppercase(), names.clone()).map(|near| format!("did you mean {near}? "));
            let known = names.take(60).collect::<Vec<_>>().join(", ");
            Err(Error::config(format!("{flag}: the stream has no column {named}"))
                .hint(format!("{}it has {known}", near.unwrap_or_default())))
        }
        (None, _) => Err(Error::config(format!("{flag}: several columns are named {named} but for their case"))
            .hint("write the name exactly as Snowflake shows it")),
    }
}

fn timed(logical: Type) -> bool {
    matches!(logical, Type::Date | Type::Timestamp | Type::TimestampTz)
}

/// Makes the mapping of a stream.
pub fn shape(asked: &Asked, relation: &RelationSchema, model: &ModelSchema) -> Result<Shape> {
    if relation.kind != RelationKind::Stream {
        return Err(Error::config(format!("--source-stream: {} is no stream", asked.stream)).hint(format!(
            "a table or view has no list of its changes: CREATE STREAM … ON TABLE {} SHOW_INITIAL_ROWS = TRUE",
            asked.stream
        )));
    }
    let id = column(relation, &asked.id_column, "--id-column")?;
    let listed = |names: &[String], flag: &str| -> Result<Vec<String>> {
        names.iter().map(|name| column(relation, name, flag).map(|column| column.name.clone())).collect()
    };
    let dates = listed(&asked.date_columns, "--date-columns")?;
    let urls = listed(&asked.url_columns, "--url-columns")?;
    if let Some(both) = dates.iter().find(|name| urls.contains(name)) {
        return Err(Error::config(format!("{both} is named as a date and as an address"))
            .hint("leave it out of --date-columns or of --url-columns"));
    }
    let mut model = model.clone();
    let mut lines = Vec::new();
    for column in relation.columns.iter().filter(|column| column.name != id.name) {
        let name = attribute(&column.name);
        if lines.iter().any(|line: &FieldMap| line.platform == name) {
            return Err(Error::config(format!("two columns make the same attribute: {}", column.name))
                .hint("attributes are named by the column in lower case: give one of them another name in the view"));
        }
        let hint = match () {
            () if urls.contains(&column.name) => Some(As::Url),
            () if dates.contains(&column.name) => Some(As::Date),
            () => None,
        };
        fits(&model, &name, column, hint)?;
        if hint == Some(As::Date) && column.logical == Type::Text {
            // Text that is a date may have a time of day.
            model.fields.extend(model.custom(&name, Type::TimestampTz, false));
        }
        lines.push(line(&column.name, name, hint));
    }
    let mut sync =
        Sync::new("batch-sync", "the account", Source::Relation(asked.stream.clone()), "Batch", PROFILE, key(id));
    sync.fields = FieldSet::List(lines);
    let mapping = Mapping::compile(&sync, relation, &model)?;
    let mut columns = vec![id.name.clone()];
    columns.extend(mapping.columns().iter().map(ToString::to_string));
    let customs = mapping.fields.iter().filter(|field| field.name.starts_with(CUSTOM));
    let own = customs.map(|field| (field.name.to_string(), field.target.logical)).collect();
    Ok(Shape { addresses: mapping.addresses(), mapping, columns, own, id: model.field(KEY).cloned() })
}

/// The attribute of a column: native ones begin with `$`.
fn attribute(column: &str) -> String {
    let name = column.to_lowercase();
    if name.starts_with('$') { name } else { format!("{CUSTOM}{name}") }
}

fn key(id: &Column) -> KeySpec {
    let transform = if id.logical == Type::Text { Vec::new() } else { vec![Transform::ToText] };
    KeySpec { warehouse: id.name.clone(), platform: Some(KEY.to_owned()), transform }
}

fn line(column: &str, platform: String, hint: Option<As>) -> FieldMap {
    FieldMap {
        source: FieldSource::Column(column.to_owned()),
        platform,
        direction: Direction::ToPlatform,
        transform: Vec::new(),
        map: BTreeMap::new(),
        // What was cleared in the warehouse is cleared at Batch; and Batch has no empty text.
        nulls: Nulls::Clear,
        empty: EmptyText::Null,
        // Batch would drop the attribute too, and take the others.
        on_misfit: OnMisfit::DropField,
        hint,
        format: None,
        conflict: None,
    }
}

/// A column of a type that no attribute can hold is told before anything is moved.
fn fits(model: &ModelSchema, name: &str, column: &Column, hint: Option<As>) -> Result<()> {
    let wrong = |what: &str, hint: String| Err(Error::config(format!("the column {} {what}", column.name)).hint(hint));
    let cast = |to: &str| format!("cast it in the view, such as {}::{to} AS {0}, or leave it out there", column.name);
    match hint {
        Some(As::Url) if column.logical != Type::Text => {
            wrong(&format!("is {}, and an address is text", column.native), cast("VARCHAR"))
        }
        Some(As::Date) if column.logical != Type::Text && !timed(column.logical) => {
            wrong(&format!("is {}, and no date can be read from that", column.native), cast("TIMESTAMP_NTZ"))
        }
        None if name.starts_with(CUSTOM) && model.custom(name, column.logical, false).is_none() => {
            wrong(&format!("is {}, which no attribute of Batch can hold", column.native), cast("VARCHAR"))
        }
        None if !name.starts_with(CUSTOM) && model.field(name).is_none() => {
            let natives: Vec<&str> = model
                .fields
                .iter()
                .map(|field: &FieldSchema| field.name.as_str())
                .filter(|name| name.starts_with('$'))
                .collect();
            wrong("is no native attribute of Batch", format!("native attributes are {}", natives.join(", ")))
        }
        _ => Ok(()),
    }
}

/// What the connector is to look at before anything is moved.
pub fn needs(shape: &Shape) -> Vec<Need> {
    let column = |field: &MappedField| WriteColumn {
        name: field.name.to_string(),
        logical: field.target.logical,
        nulls: true,
        max_length: None,
    };
    let columns = shape.mapping.fields.iter().map(column).collect();
    let relation = Relation(vec![PROFILE.to_owned()]);
    vec![Need::Connect, Need::Write { relation, key: Some(KEY.to_owned()), columns, mode: WriteMode::Upsert }]
}

#[cfg(test)]
mod tests {
    use tidegate_model::ports::Platform;
    use tidegate_model::schema::ModelName;
    use tidegate_model::secret::Secret;
    use tidegate_platforms::batch::{Batch, BatchConfig};

    use super::*;

    fn asked(stream: &[&str]) -> Asked {
        Asked {
            project_key: "project_x".into(),
            stream: Relation(stream.iter().map(|part| (*part).to_owned()).collect()),
            id_column: "id".into(),
            date_columns: vec!["noted".into()],
            url_columns: vec!["Site".into()],
            credentials: Relation(vec!["BATCH_API_CREDENTIALS".into()]),
        }
    }

    fn made(columns: &[(&str, Type)]) -> Result<Shape> {
        let config = BatchConfig {
            project_key: "project_x".into(),
            rest_api_key: Secret::new("k"),
            url: "https://api.batch.com".into(),
            api_version: "2.11".into(),
            custom_id_max: 512,
            null_key: tidegate_platforms::batch::NullKey::Typed,
        };
        let model = futures(Batch::open(config, None).expect("a connector").model(&ModelName(PROFILE.into())));
        let column = |(name, logical): &(&str, Type)| Column {
            name: (*name).to_owned(),
            logical: *logical,
            native: logical.to_string(),
            nullable: true,
            max_length: None,
            filled: false,
        };
        let relation = RelationSchema {
            kind: RelationKind::Stream,
            columns: columns.iter().map(column).collect(),
            primary_key: Vec::new(),
            change_tracking: true,
            appends: false,
            history_days: None,
            rows_estimate: None,
        };
        shape(&asked(&["S"]), &relation, &model.expect("the model"))
    }

    fn futures<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    const LISTED: [(&str, Type); 3] = [("ID", Type::Int64), ("NOTED", Type::Text), ("SITE", Type::Text)];

    #[test]
    fn columns_become_attributes_by_their_names_and_types() {
        let more = [("$email_address", Type::Text), ("Tags", Type::List), ("SEEN", Type::Timestamp)];
        let shape = made(&[&LISTED[..], &more].concat()).expect("a shape");
        assert_eq!(shape.columns, ["ID", "NOTED", "SITE", "$email_address", "Tags", "SEEN"]);
        let own: Vec<String> = shape.own.iter().map(|(name, logical)| format!("{name} {logical}")).collect();
        assert_eq!(
            own,
            ["custom.noted timestamptz", "custom.site text", "custom.tags list", "custom.seen timestamptz"]
        );
        assert_eq!(shape.addresses, ["custom.site"]);
        let native = shape.mapping.field("$email_address").expect("the native attribute");
        assert!(
            native.to_platform(&Value::text("nobody")).is_err() && native.to_platform(&Value::text("a@x.com")).is_ok()
        );
        assert!(shape.fits(Key::new("x".repeat(513))).is_err_and(|why| why.rule == "too_long"));
    }

    #[test]
    fn what_no_attribute_can_hold_is_named() {
        let wrong = |name: &str, logical: Type| {
            let Err(error) = made(&[&LISTED[..], &[(name, logical)]].concat()) else { panic!("{name} is taken") };
            error.to_string()
        };
        assert!(wrong("DOC", Type::Json).contains("DOC"));
        assert!(wrong("AT", Type::Time).contains("no attribute of Batch can hold"));
        assert!(wrong("$nickname", Type::Text).contains("no native attribute"));
        assert!(wrong("noted", Type::Text).contains("noted"), "two columns of one attribute");
    }

    #[test]
    fn outboxes_are_named_by_the_stream_and_no_two_alike() {
        let named = |stream: &[&str]| asked(stream).sync(Some("DB"), "JOB");
        assert_eq!(named(&["S"]), "S");
        assert_eq!(named(&["JOB", "S"]), "S");
        assert_eq!(named(&["DB", "JOB", "S"]), "S");
        assert_eq!(named(&["CRM", "S"]), "CRM.S");
        assert_eq!(named(&["DB2", "JOB", "S"]), "DB2.JOB.S");
    }
}
