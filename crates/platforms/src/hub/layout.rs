//! What a model looks like right now: its standard fields and the custom ones that have been made so far.

use std::collections::HashMap;

use tidegate_model::Result;
use tidegate_model::change::FieldReject;
use tidegate_model::schema::{FieldSchema, ModelSchema};
use tidegate_model::value::Type;

use super::cell::{CellRef, Kind};
use super::db::Session;
use super::models::{self, Def, Field};

/// What a custom field's name begins with.
pub const CUSTOM: &str = "custom.";

/// A model of records with its custom fields.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The model's file.
    pub def: &'static Def,
    /// Standard fields, then custom ones in the order in which they were made.
    pub fields: Vec<Field>,
    by_name: HashMap<String, usize>,
}

impl Layout {
    /// Reads it.
    pub fn load(session: &mut dyn Session, model: &str) -> Result<Self> {
        let def = models::def(model)?;
        let mut fields = def.fields.clone();
        let sql = "SELECT name, col, type FROM hub_field WHERE model = $1 ORDER BY n";
        session.query(sql, &[CellRef::Text(model)], &mut |row| {
            if let (Some(name), Some(column), Some(logical)) = (row.text(0)?, row.text(1)?, row.text(2)?) {
                fields.push(Field::plain(FieldSchema::new(name, read_type(&logical)), column));
            }
            Ok(())
        })?;
        let by_name = fields.iter().enumerate().map(|(at, field)| (field.schema.name.clone(), at)).collect();
        Ok(Self { def, fields, by_name })
    }

    /// Number of a field.
    pub fn at(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
    /// A field by name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.at(name).map(|at| &self.fields[at])
    }
    /// As described to the outside.
    pub fn schema(&self) -> ModelSchema {
        let fields = self.fields.iter().map(|field| field.schema.clone()).collect();
        ModelSchema { fields, ..self.def.schema() }
    }
    /// The reject for a field that is not there.
    pub fn unknown(&self, name: &str) -> FieldReject {
        let names = self.fields.iter().map(|field| field.schema.name.as_str());
        let like = match models::near(name, names) {
            Some(like) => format!("did you mean {like:?}?"),
            None => format!("fields of your own are named {CUSTOM}NAME"),
        };
        FieldReject::field(name, "unknown_field", format!("{} has no field {name:?}; {like}", self.def.name))
    }

    /// Makes custom fields that are not there yet. Names that cannot be are left out: writing them is a reject.
    pub fn add(&mut self, session: &mut dyn Session, new: &[(String, Type)], now: i64) -> Result<()> {
        for (name, logical) in new {
            let own = name.strip_prefix(CUSTOM).is_some_and(|rest| !rest.trim().is_empty());
            if !own || self.at(name).is_some() {
                continue;
            }
            let number = self.fields.len() - self.def.fields.len() + 1;
            let column = format!("c{number}");
            let physical = session.dialect().column_type(Kind::of(*logical));
            session.script(&format!("ALTER TABLE {} ADD COLUMN {column} {physical}", self.def.table))?;
            session.exec(
                "INSERT INTO hub_field (model, n, name, col, type, created) VALUES ($1, $2, $3, $4, $5, $6)",
                &[
                    CellRef::Text(&self.def.name),
                    CellRef::Int(number as i64),
                    CellRef::Text(name),
                    CellRef::Text(&column),
                    CellRef::Text(&logical.to_string()),
                    CellRef::Int(now),
                ],
            )?;
            self.by_name.insert(name.clone(), self.fields.len());
            self.fields.push(Field::plain(FieldSchema::new(name, *logical), column));
        }
        Ok(())
    }
}

/// The type of a catalogue entry, as [`Type`] prints it.
pub fn read_type(text: &str) -> Type {
    match text {
        "bool" => Type::Bool,
        "int64" => Type::Int64,
        "float64" => Type::Float64,
        "date" => Type::Date,
        "time" => Type::Time,
        "timestamp" => Type::Timestamp,
        "timestamptz" => Type::TimestampTz,
        "binary" => Type::Binary,
        "json" => Type::Json,
        "list" => Type::List,
        other => {
            let digits = other.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
            let pair = digits.and_then(|rest| rest.split_once(','));
            match pair.map(|(p, s)| (p.parse(), s.parse())) {
                Some((Ok(precision), Ok(scale))) => Type::Decimal { precision, scale },
                _ => Type::Text,
            }
        }
    }
}

/// Whether values of one type can be kept in a field of another: exact numbers in exact numbers, texts in texts.
pub fn fits(given: Type, field: Type) -> bool {
    match (given, field) {
        (a, b) if a == b => true,
        (Type::Int64 | Type::Decimal { .. }, Type::Decimal { .. } | Type::Int64) => true,
        (Type::Date | Type::Timestamp | Type::TimestampTz, Type::Timestamp | Type::TimestampTz) => true,
        (Type::List, Type::Json) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_they_print() {
        let decimal = Type::Decimal { precision: 12, scale: 2 };
        for logical in [decimal, Type::Bool, Type::Json, Type::List, Type::Text, Type::TimestampTz, Type::Time] {
            assert_eq!(read_type(&logical.to_string()), logical);
        }
        assert!(fits(Type::Int64, decimal) && !fits(Type::Text, decimal));
    }
}
