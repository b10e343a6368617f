//! BigQuery's types, and what they are to us.
//!
//! | BigQuery | logical |
//! | --- | --- |
//! | `INT64`, `FLOAT64`, `BOOL`, `STRING`, `BYTES`, `DATE`, `TIME` | the same; NaN and the infinities are misfits |
//! | `NUMERIC`, `NUMERIC(p, s)` | decimal(38, 9), decimal(p, s) |
//! | `BIGNUMERIC`, `BIGNUMERIC(p, s)` | decimal(76, 38), decimal(p, s); its 77th digit is a misfit `out_of_range` |
//! | `DATETIME` | timestamp |
//! | `TIMESTAMP` | timestamptz |
//! | `JSON`, `STRUCT` | json |
//! | `ARRAY` | list; there is no NULL among them: it is the empty list |
//! | `GEOGRAPHY` | text: WKT |
//! | `INTERVAL`, `RANGE` | text as BigQuery prints it; cannot be written |

use serde_json::Value as Json;
use tidegate_model::schema::Relation;
use tidegate_model::value::Type;

use crate::findings::Dialect;
use crate::fit::Slot;

/// A native type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Float,
    Numeric {
        precision: u8,
        scale: i8,
    },
    BigNumeric {
        precision: u8,
        scale: i8,
    },
    Bool,
    Text,
    Bytes,
    Date,
    Time,
    Datetime,
    Timestamp,
    Json,
    Geography,
    Struct,
    Array,
    /// Read as it is printed.
    Printed,
}

impl Kind {
    /// Of a field of a REST schema.
    pub(super) fn of_field(field: &Json) -> Self {
        if field["mode"] == "REPEATED" {
            return Self::Array;
        }
        let number = |name: &str| {
            let value = &field[name];
            value.as_u64().or_else(|| value.as_str()?.parse().ok()).and_then(|n| u8::try_from(n).ok())
        };
        let scale = || number("scale").and_then(|n| i8::try_from(n).ok()).unwrap_or(0);
        match field["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
            "INTEGER" | "INT64" => Self::Int,
            "FLOAT" | "FLOAT64" => Self::Float,
            "NUMERIC" | "DECIMAL" => match number("precision") {
                Some(precision) => Self::Numeric { precision, scale: scale() },
                None => Self::Numeric { precision: 38, scale: 9 },
            },
            "BIGNUMERIC" | "BIGDECIMAL" => match number("precision") {
                Some(precision) => Self::BigNumeric { precision: precision.min(76), scale: scale() },
                None => Self::BigNumeric { precision: 76, scale: 38 },
            },
            "BOOLEAN" | "BOOL" => Self::Bool,
            "STRING" => Self::Text,
            "BYTES" => Self::Bytes,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "DATETIME" => Self::Datetime,
            "TIMESTAMP" => Self::Timestamp,
            "JSON" => Self::Json,
            "GEOGRAPHY" => Self::Geography,
            "RECORD" | "STRUCT" => Self::Struct,
            _ => Self::Printed,
        }
    }

    /// What it is to us.
    pub(super) fn logical(self) -> Type {
        match self {
            Self::Int => Type::Int64,
            Self::Float => Type::Float64,
            Self::Numeric { precision, scale } | Self::BigNumeric { precision, scale } => {
                Type::Decimal { precision, scale }
            }
            Self::Bool => Type::Bool,
            Self::Text | Self::Geography | Self::Printed => Type::Text,
            Self::Bytes => Type::Binary,
            Self::Date => Type::Date,
            Self::Time => Type::Time,
            Self::Datetime => Type::Timestamp,
            Self::Timestamp => Type::TimestampTz,
            Self::Json | Self::Struct => Type::Json,
            Self::Array => Type::List,
        }
    }

    /// The expression that reads a column: what has a form of its own on the wire comes as text.
    pub(super) fn read(self, column: &str) -> String {
        match self {
            Self::Geography => format!("ST_ASTEXT({column})"),
            Self::Struct => format!("IF({column} IS NULL, NULL, TO_JSON_STRING({column}))"),
            // A table holds no NULL array, the result of a query may.
            Self::Array => format!("TO_JSON_STRING(IFNULL({column}, []))"),
            Self::Printed => format!("CAST({column} AS STRING)"),
            _ => column.to_owned(),
        }
    }

    /// The type of a column in a staging table: texts where the text of a load job would be read in another way.
    pub(super) fn staged(self, native: &str) -> String {
        match self {
            Self::Bytes
            | Self::Json
            | Self::Geography
            | Self::Printed
            | Self::Numeric { .. }
            | Self::BigNumeric { .. } => "STRING".to_owned(),
            Self::Array | Self::Struct => native.to_owned(),
            _ => native.split('(').next().unwrap_or(native).to_owned(),
        }
    }

    /// The expression that brings a staged column into its own type.
    pub(super) fn unstaged(self, column: &str) -> String {
        match self {
            // A cast takes no digits: the column itself has them.
            Self::Numeric { .. } => format!("CAST({column} AS NUMERIC)"),
            Self::BigNumeric { .. } => format!("CAST({column} AS BIGNUMERIC)"),
            Self::Bytes => format!("FROM_HEX({column})"),
            Self::Json => format!("PARSE_JSON({column})"),
            Self::Geography => format!("ST_GEOGFROMTEXT({column})"),
            _ => column.to_owned(),
        }
    }

    /// The expression by which two columns of this type are compared.
    pub(super) fn compared(self, column: &str) -> String {
        match self {
            Self::Json | Self::Array | Self::Struct => format!("TO_JSON_STRING({column})"),
            Self::Geography => format!("ST_ASTEXT({column})"),
            _ => column.to_owned(),
        }
    }
}

/// The type of a field in BigQuery's own words.
pub(super) fn native(field: &Json) -> String {
    let text = |name: &str| {
        let value = &field[name];
        value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|n| n.to_string()))
    };
    let one = match field["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
        "INTEGER" => "INT64".to_owned(),
        "FLOAT" => "FLOAT64".to_owned(),
        "BOOLEAN" => "BOOL".to_owned(),
        "RECORD" | "STRUCT" => {
            let fields = field["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
            let inner = |field: &Json| {
                format!("{} {}", BigQuery.quote(field["name"].as_str().unwrap_or_default()), native(field))
            };
            format!("STRUCT<{}>", fields.iter().map(inner).collect::<Vec<_>>().join(", "))
        }
        other => match (text("precision"), text("scale"), text("maxLength")) {
            (Some(precision), Some(scale), _) => format!("{other}({precision}, {scale})"),
            (Some(precision), None, _) => format!("{other}({precision})"),
            (None, _, Some(length)) => format!("{other}({length})"),
            _ => other.to_owned(),
        },
    };
    if field["mode"] == "REPEATED" { format!("ARRAY<{one}>") } else { one }
}

/// How BigQuery says things.
pub(super) struct BigQuery;

impl Dialect for BigQuery {
    fn quote(&self, name: &str) -> String {
        format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
    }

    /// Declared for people and optimizers; BigQuery enforces none.
    fn primary_key(&self) -> &'static str {
        "PRIMARY KEY NOT ENFORCED"
    }

    fn native(&self, logical: Type, max_length: Option<u32>) -> String {
        match logical {
            Type::Bool => "BOOL".into(),
            Type::Int64 => "INT64".into(),
            Type::Decimal { precision, scale } => decimal(precision, scale),
            Type::Float64 => "FLOAT64".into(),
            Type::Text => max_length.map_or_else(|| "STRING".into(), |most| format!("STRING({most})")),
            Type::Date => "DATE".into(),
            Type::Time => "TIME".into(),
            Type::Timestamp => "DATETIME".into(),
            Type::TimestampTz => "TIMESTAMP".into(),
            Type::Binary => "BYTES".into(),
            Type::Json => "JSON".into(),
            Type::List => "ARRAY<STRING>".into(),
        }
    }

    /// BigQuery widens texts and numbers where they are; for the rest a column of another type takes the place.
    fn retype(&self, relation: &Relation, slot: &Slot, native: &str) -> String {
        let (table, column) = (self.relation(relation), self.quote(&slot.column.name));
        let name = |words: &str| words.split('(').next().unwrap_or(words).trim().to_owned();
        let (from, to) = (name(&slot.column.native), name(native));
        let widens = match (from.as_str(), to.as_str()) {
            (from, to) if from == to => true,
            ("INT64", "NUMERIC" | "BIGNUMERIC" | "FLOAT64") | ("NUMERIC", "BIGNUMERIC" | "FLOAT64") => true,
            _ => false,
        };
        if widens {
            return format!("ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {native};");
        }
        let aside = self.quote(&format!("{} new", slot.column.name));
        format!(
            "ALTER TABLE {table} ADD COLUMN {aside} {native}; \
             UPDATE {table} SET {aside} = SAFE_CAST({column} AS {to}) WHERE TRUE; \
             ALTER TABLE {table} DROP COLUMN {column}; ALTER TABLE {table} RENAME COLUMN {aside} TO {column};"
        )
    }

    fn drop_not_null(&self, relation: &Relation, slot: &Slot) -> String {
        format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", self.relation(relation), self.quote(&slot.column.name))
    }

    /// There are no indexes; a primary key at least tells people and optimizers.
    fn unique_index(&self, relation: &Relation, column: &str) -> String {
        format!("ALTER TABLE {} ADD PRIMARY KEY ({}) NOT ENFORCED;", self.relation(relation), self.quote(column))
    }
}

/// The smallest type that keeps all digits.
fn decimal(precision: u8, scale: i8) -> String {
    let whole = i16::from(precision) - i16::from(scale);
    if (0..=9).contains(&scale) && whole <= 29 {
        return format!("NUMERIC({precision}, {scale})");
    }
    if (0..=38).contains(&scale) && whole <= 38 {
        return format!("BIGNUMERIC({precision}, {scale})");
    }
    // More digits than BigQuery keeps are safe as text only.
    "STRING".into()
}

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_understood() {
        for (field, logical, words) in [
            (json!({"type": "INTEGER"}), Type::Int64, "INT64"),
            (json!({"type": "NUMERIC"}), Type::Decimal { precision: 38, scale: 9 }, "NUMERIC"),
            (
                json!({"type": "NUMERIC", "precision": "6", "scale": "2"}),
                Type::Decimal { precision: 6, scale: 2 },
                "NUMERIC(6, 2)",
            ),
            (json!({"type": "NUMERIC", "precision": "6"}), Type::Decimal { precision: 6, scale: 0 }, "NUMERIC(6)"),
            (json!({"type": "BIGNUMERIC"}), Type::Decimal { precision: 76, scale: 38 }, "BIGNUMERIC"),
            (json!({"type": "STRING", "maxLength": "5"}), Type::Text, "STRING(5)"),
            (json!({"type": "DATETIME"}), Type::Timestamp, "DATETIME"),
            (json!({"type": "TIMESTAMP"}), Type::TimestampTz, "TIMESTAMP"),
            (json!({"type": "GEOGRAPHY"}), Type::Text, "GEOGRAPHY"),
            (json!({"type": "STRING", "mode": "REPEATED"}), Type::List, "ARRAY<STRING>"),
            (json!({"type": "RECORD", "fields": [{"name": "x", "type": "FLOAT"}]}), Type::Json, "STRUCT<`x` FLOAT64>"),
            (json!({"type": "RANGE"}), Type::Text, "RANGE"),
        ] {
            assert_eq!((Kind::of_field(&field).logical(), native(&field).as_str()), (logical, words));
        }
    }

    #[test]
    fn a_decimal_gets_the_smallest_type_that_keeps_it() {
        assert_eq!(decimal(12, 2), "NUMERIC(12, 2)");
        assert_eq!(decimal(38, 10), "BIGNUMERIC(38, 10)");
        assert_eq!(decimal(38, 0), "BIGNUMERIC(38, 0)");
        assert_eq!(decimal(76, 38), "BIGNUMERIC(76, 38)");
        assert_eq!(decimal(76, 0), "STRING");
    }

    #[test]
    fn nothing_gets_out_of_a_literal_or_a_name() {
        assert_eq!(literal("\\'; DROP\n"), r"'\\\'; DROP\n'");
        assert_eq!(BigQuery.quote("a`b\\"), r"`a\`b\\`");
    }
}
