//! Planhat's models: one data file each, read once.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use tidegate_model::schema::{ADDRESS, FieldSchema, ModelKind, ModelName, ModelSchema, NormalForm};
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};

use crate::lines::{Line, Said};
pub(super) use crate::lines::{Wire, near};

/// Planhat's numbers are those of JavaScript: 15 digits are exact, and their text has at most 18 behind the point but
/// for tiny ones.
pub(super) const NUMBER: Type = Type::Decimal { precision: 38, scale: 18 };
/// Planhat's times have milliseconds.
const TIME_STEP_US: i64 = 1_000;
/// Prefix of custom fields.
pub(super) const CUSTOM: &str = "custom.";

const FILES: &[&str] = &[
    include_str!("models/company.json"),
    include_str!("models/enduser.json"),
    include_str!("models/license.json"),
    include_str!("models/opportunity.json"),
    include_str!("models/asset.json"),
    include_str!("models/project.json"),
    include_str!("models/workspace.json"),
    include_str!("models/objective.json"),
    include_str!("models/campaign.json"),
    include_str!("models/conversation.json"),
    include_str!("models/ticket.json"),
    include_str!("models/task.json"),
    include_str!("models/issue.json"),
    include_str!("models/invoice.json"),
    include_str!("models/sale.json"),
    include_str!("models/nps.json"),
    include_str!("models/churn.json"),
    include_str!("models/user.json"),
    include_str!("models/deal.json"),
    include_str!("models/lineitem.json"),
    include_str!("models/product.json"),
    include_str!("models/timeentry.json"),
    include_str!("models/timesheet.json"),
];

/// A field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// As described to the outside.
    pub(super) schema: FieldSchema,
    /// Values that are refused, in any case of letters.
    pub(super) none_of: Vec<String>,
    /// The pattern, compiled.
    pub(super) pattern: Option<Regex>,
    /// How it travels.
    pub(super) wire: Option<Wire>,
}

impl Field {
    /// A field without rules of its own.
    pub(super) fn plain(schema: FieldSchema) -> Self {
        Self { schema, none_of: Vec::new(), pattern: None, wire: None }
    }
    /// Its name in syncs.
    pub(super) fn name(&self) -> &str {
        &self.schema.name
    }
    /// The model that it references.
    pub(super) fn parent(&self) -> Option<&str> {
        self.schema.references.as_ref().map(ModelName::as_str)
    }
}

/// Fields of which a new record needs one, where another says so.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Needs {
    /// The field that decides.
    pub(super) when: String,
    /// What it says then.
    pub(super) is: bool,
    /// One of these is needed.
    pub(super) any: Vec<String>,
}

/// A model of records.
#[derive(Debug, Clone)]
pub(super) struct Def {
    pub(super) name: String,
    /// The first part of its path.
    pub(super) endpoint: String,
    /// Most records that a list gives at once.
    pub(super) page: usize,
    /// Whether a single record can be read.
    pub(super) single: bool,
    /// Fields by which a record can be found.
    pub(super) keys: Vec<String>,
    /// What a new record needs besides its required fields.
    pub(super) needs: Vec<Needs>,
    /// `_id` first, `createdAt` and `updatedAt` last.
    pub(super) fields: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    name: String,
    endpoint: String,
    page: usize,
    #[serde(default = "yes")]
    single: bool,
    #[serde(rename = "help")]
    _help: String,
    keys: Vec<String>,
    #[serde(default)]
    needs: Vec<Needs>,
    fields: Vec<Line>,
}

fn yes() -> bool {
    true
}

/// What Planhat does to values of a type.
pub(super) fn normal(logical: Type) -> NormalForm {
    let time_step_us = (logical == Type::TimestampTz).then_some(TIME_STEP_US);
    NormalForm { time_step_us, ..NormalForm::default() }
}

fn field(line: Line) -> Result<Field, String> {
    let wire = line.wire;
    let Said { mut schema, none_of, pattern } = line.read(NUMBER)?;
    let case = schema.normal.case;
    schema.normal = NormalForm { case, trim: case.is_some(), ..normal(schema.logical) };
    Ok(Field { schema, none_of, pattern, wire })
}

/// A field that Planhat alone writes.
fn own(name: &str, logical: Type, help: &str) -> Field {
    let schema = FieldSchema { read_only: true, help: help.to_owned(), ..FieldSchema::new(name, logical) };
    Field::plain(schema)
}

fn parse(text: &str) -> Result<Def, String> {
    let file: ModelFile = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut fields = vec![own("_id", Type::Text, "Planhat's own id.")];
    for line in file.fields {
        fields.push(field(line).map_err(|e| format!("{}: {e}", file.name))?);
    }
    fields.push(own("createdAt", Type::TimestampTz, "When it was created."));
    fields.push(own("updatedAt", Type::TimestampTz, "When it was changed last."));
    let mut keys = file.keys;
    if let Some(missing) = keys.iter().find(|key| !fields.iter().any(|field| field.name() == **key)) {
        return Err(format!("{}: the key {missing} is not a field", file.name));
    }
    let named =
        |needs: &Needs| needs.any.iter().chain([&needs.when]).all(|name| fields.iter().any(|f| f.name() == name));
    if !file.needs.iter().all(named) {
        return Err(format!("{}: needs names no field", file.name));
    }
    keys.push("_id".to_owned());
    let (name, endpoint, page, single, needs) = (file.name, file.endpoint, file.page, file.single, file.needs);
    Ok(Def { name, endpoint, page, single, keys, needs, fields })
}

static DEFS: LazyLock<Result<Vec<Def>, String>> = LazyLock::new(|| FILES.iter().map(|text| parse(text)).collect());

/// All models of records.
pub(super) fn defs() -> Result<&'static [Def]> {
    match &*DEFS {
        Ok(defs) => Ok(defs),
        Err(why) => Err(Error::internal("a model file of Planhat cannot be read").cause(why)),
    }
}

/// A model of records by name.
pub(super) fn def(name: &str) -> Result<&'static Def> {
    defs()?.iter().find(|def| def.name == name).ok_or_else(|| unknown(name))
}

/// The error for a model that is not there, with near matches.
pub(super) fn unknown(name: &str) -> Error {
    let mut all: Vec<&str> = defs().map(|defs| defs.iter().map(|def| def.name.as_str()).collect()).unwrap_or_default();
    all.extend([super::series::ACTIVITY, super::series::METRIC]);
    let error = Error::new(ErrorKind::NotFound, format!("Planhat has no model {name:?}"));
    match near(name, all.iter().copied()) {
        Some(like) => error.hint(format!("did you mean {like:?}?")),
        None => error.hint(format!("it has {}", all.join(", "))),
    }
}

/// The types that custom fields may have.
fn customs() -> Vec<FieldSchema> {
    let types = [Type::Text, Type::Bool, Type::Int64, NUMBER, Type::Float64, Type::Date, Type::TimestampTz, Type::List];
    let rules = types.map(|logical| (CUSTOM, logical)).into_iter().chain([(ADDRESS, Type::Text)]);
    rules.map(|(name, logical)| FieldSchema { normal: normal(logical), ..FieldSchema::new(name, logical) }).collect()
}

/// A model with the custom fields that exist.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) def: &'static Def,
    pub(super) custom: Vec<Field>,
}

impl Layout {
    /// A field by its name in syncs.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields().find(|field| field.name() == name)
    }
    /// All fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.def.fields.iter().chain(&self.custom)
    }
    /// As described to the outside.
    pub(super) fn schema(&self) -> ModelSchema {
        ModelSchema {
            name: ModelName(self.def.name.clone()),
            kind: ModelKind::Records,
            fields: self.fields().map(|field| field.schema.clone()).collect(),
            keys: self.def.keys.clone(),
            custom_fields: true,
            open: false,
            customs: customs(),
        }
    }
    /// The error for a field that is not there, with near matches.
    pub(super) fn no_field(&self, name: &str) -> Error {
        let error = Error::new(ErrorKind::NotFound, format!("{} has no field {name:?}", self.def.name));
        match near(name, self.fields().map(Field::name)) {
            Some(like) => error.hint(format!("did you mean {like:?}?")),
            None => error.hint("see its fields with: tidegate discover CONNECTION MODEL"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_file_is_sound() {
        let defs = defs().expect("model files");
        assert_eq!(defs.len(), 23);
        for def in defs {
            assert!(def.fields.iter().all(|field| !field.schema.help.is_empty()), "{}: help is missing", def.name);
            let parents = ["company", "user"];
            assert!(
                def.fields.iter().filter_map(Field::parent).all(|parent| parents.contains(&parent)),
                "{}",
                def.name
            );
        }
        assert_eq!(unknown("compani").hint.as_deref(), Some("did you mean \"company\"?"));
    }
}
