//! Fields as model files write them, one line each: what the hub's and Planhat's have in common.

use regex::Regex;
use serde::Deserialize;
use tidegate_model::schema::{Case, FieldSchema, ModelName, NormalForm};
use tidegate_model::value::Type;

/// How a field travels, where its type does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// A date as days since 1970-01-01.
    EpochDays,
    /// A date as its ten characters.
    Day,
}

/// A line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The field's name.
    pub name: String,
    #[serde(rename = "type")]
    kind: String,
    help: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    read_only: bool,
    max_length: Option<u32>,
    #[serde(default)]
    one_of: Vec<String>,
    #[serde(default)]
    none_of: Vec<String>,
    pattern: Option<String>,
    range: Option<(i64, i64)>,
    references: Option<String>,
    #[serde(default)]
    trim: bool,
    case: Option<Case>,
    /// How it travels.
    pub wire: Option<Wire>,
}

/// What a line says.
pub struct Said {
    /// As described to the outside.
    pub schema: FieldSchema,
    /// Values that are refused, in any case of letters.
    pub none_of: Vec<String>,
    /// The pattern, compiled.
    pub pattern: Option<Regex>,
}

impl Line {
    /// Reads it. `number` is the type of exact numbers; the normal form is that of the line alone.
    ///
    /// # Errors
    /// A type that is not known, a pattern that is none.
    pub fn read(self, number: Type) -> Result<Said, String> {
        let logical = match self.kind.as_str() {
            "text" => Type::Text,
            "bool" => Type::Bool,
            "int64" => Type::Int64,
            "number" => number,
            "date" => Type::Date,
            "timestamptz" => Type::TimestampTz,
            "json" => Type::Json,
            "list" => Type::List,
            other => return Err(format!("field {}: unknown type {other}", self.name)),
        };
        let compile = |text: &String| Regex::new(&format!("^(?:{text})$")).map_err(|e| e.to_string());
        let pattern = self.pattern.as_ref().map(compile).transpose()?;
        let schema = FieldSchema {
            required: self.required,
            read_only: self.read_only,
            max_length: self.max_length,
            one_of: self.one_of,
            pattern: self.pattern,
            range: self.range,
            references: self.references.map(ModelName),
            normal: NormalForm { trim: self.trim, case: self.case, ..NormalForm::default() },
            help: self.help,
            ..FieldSchema::new(&self.name, logical)
        };
        Ok(Said { schema, none_of: self.none_of, pattern })
    }
}

/// The nearest of some names, if one is near.
pub fn near<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    all.map(|other| (strsim::jaro_winkler(&lower, &other.to_lowercase()), other))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other)
}
