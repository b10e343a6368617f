//! The models of the hub: one data file each, read once.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use tidegate_model::schema::{FieldSchema, ModelKind, ModelName, ModelSchema};
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};

use super::cell::Kind;
use super::db::quoted;
pub use crate::lines::near;
use crate::lines::{Line, Said};

/// The exact numbers of standard fields: money and scores, with room for both.
pub const NUMBER: Type = Type::Decimal { precision: 38, scale: 9 };

const FILES: &[&str] = &[
    include_str!("../../models/company.json"),
    include_str!("../../models/enduser.json"),
    include_str!("../../models/license.json"),
    include_str!("../../models/opportunity.json"),
    include_str!("../../models/asset.json"),
    include_str!("../../models/project.json"),
    include_str!("../../models/workspace.json"),
    include_str!("../../models/objective.json"),
    include_str!("../../models/campaign.json"),
    include_str!("../../models/conversation.json"),
    include_str!("../../models/ticket.json"),
    include_str!("../../models/task.json"),
    include_str!("../../models/issue.json"),
    include_str!("../../models/invoice.json"),
    include_str!("../../models/sale.json"),
    include_str!("../../models/nps.json"),
    include_str!("../../models/churn.json"),
    include_str!("../../models/user.json"),
];

/// Where a field of a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A column that holds the value.
    Plain,
    /// The record's own id.
    Id,
    /// A column that holds the id of a record of another model.
    Reference,
}

/// A field and how it is stored.
#[derive(Debug, Clone)]
pub struct Field {
    /// As described to the outside.
    pub schema: FieldSchema,
    /// Values that are refused, in any case of letters.
    pub none_of: Vec<String>,
    /// The pattern, compiled.
    pub pattern: Option<Regex>,
    /// How it is stored.
    pub kind: Kind,
    /// Its column, quoted.
    pub column: String,
    /// Where it comes from.
    pub place: Place,
}

impl Field {
    /// A field without rules of its own.
    pub fn plain(schema: FieldSchema, column: String) -> Self {
        let kind = Kind::of(schema.logical);
        Self { schema, none_of: Vec::new(), pattern: None, kind, column, place: Place::Plain }
    }
    /// The model that it references.
    pub fn parent(&self) -> Option<&str> {
        self.schema.references.as_ref().map(ModelName::as_str)
    }
}

/// A model of records as its file says.
#[derive(Debug, Clone)]
pub struct Def {
    /// Its name.
    pub name: String,
    /// Its table, quoted.
    pub table: String,
    /// Fields by which a record can be found, `_id` last.
    pub keys: Vec<String>,
    /// Standard fields: `_id` first, `createdAt` and `updatedAt` last.
    pub fields: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    name: String,
    #[serde(rename = "help")]
    _help: String,
    keys: Vec<String>,
    fields: Vec<Line>,
}

fn field(line: Line) -> Result<Field, String> {
    if line.wire.is_some() {
        return Err(format!("field {}: the hub has one way for a type", line.name));
    }
    let column = quoted(&line.name);
    let Said { schema, none_of, pattern } = line.read(NUMBER)?;
    let place = if schema.references.is_some() { Place::Reference } else { Place::Plain };
    let kind = if place == Place::Reference { Kind::Int } else { Kind::of(schema.logical) };
    Ok(Field { schema, none_of, pattern, kind, column, place })
}

/// A field that the hub alone writes.
fn own(name: &str, logical: Type, column: &str, place: Place, help: &str) -> Field {
    let schema = FieldSchema { read_only: true, help: help.to_owned(), ..FieldSchema::new(name, logical) };
    Field { place, kind: Kind::Int, ..Field::plain(schema, column.to_owned()) }
}

fn parse(text: &str) -> Result<Def, String> {
    let file: ModelFile = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut fields = vec![own("_id", Type::Text, "id", Place::Id, "The hub's own id.")];
    for line in file.fields {
        fields.push(field(line).map_err(|e| format!("{}: {e}", file.name))?);
    }
    fields.push(own("createdAt", Type::TimestampTz, "created", Place::Plain, "When it was created."));
    fields.push(own("updatedAt", Type::TimestampTz, "updated", Place::Plain, "When it was changed last."));
    let mut keys = file.keys;
    if let Some(missing) = keys.iter().find(|key| !fields.iter().any(|field| field.schema.name == **key)) {
        return Err(format!("{}: the key {missing} is not a field", file.name));
    }
    keys.push("_id".to_owned());
    Ok(Def { table: format!("hub_r_{}", file.name), name: file.name, keys, fields })
}

static DEFS: LazyLock<Result<Vec<Def>, String>> = LazyLock::new(|| FILES.iter().map(|text| parse(text)).collect());

/// All models of records, in the order of their references.
pub fn defs() -> Result<&'static [Def]> {
    match &*DEFS {
        Ok(defs) => Ok(defs),
        Err(why) => Err(Error::internal("a model file of the hub cannot be read").cause(why)),
    }
}

/// A model of records by name.
pub fn def(name: &str) -> Result<&'static Def> {
    defs()?.iter().find(|def| def.name == name).ok_or_else(|| unknown(name))
}

/// The error for a model that is not there, with near matches.
pub fn unknown(name: &str) -> Error {
    let mut all: Vec<&str> = defs().map(|defs| defs.iter().map(|def| def.name.as_str()).collect()).unwrap_or_default();
    all.extend([super::series::ACTIVITY, super::series::METRIC]);
    let error = Error::new(ErrorKind::NotFound, format!("the hub has no model {name:?}"));
    match near(name, all.iter().copied()) {
        Some(like) => error.hint(format!("did you mean {like:?}?")),
        None => error.hint(format!("it has {}, and dataset:NAME", all.join(", "))),
    }
}

impl Def {
    /// As described to the outside, without custom fields.
    pub fn schema(&self) -> ModelSchema {
        ModelSchema {
            name: ModelName(self.name.clone()),
            kind: ModelKind::Records,
            fields: self.fields.iter().map(|field| field.schema.clone()).collect(),
            keys: self.keys.clone(),
            custom_fields: true,
            open: false,
            customs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_file_is_sound() {
        let defs = defs().expect("model files");
        assert_eq!(defs.len(), 18);
        for (at, def) in defs.iter().enumerate() {
            assert!(def.fields.iter().all(|field| !field.schema.help.is_empty()), "{}: help is missing", def.name);
            for parent in def.fields.iter().filter_map(Field::parent) {
                assert!(defs.iter().any(|other| other.name == parent), "{at}: {parent}");
            }
        }
        assert_eq!(unknown("compani").hint.as_deref(), Some("did you mean \"company\"?"));
    }
}
