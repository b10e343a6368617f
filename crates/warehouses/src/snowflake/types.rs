//! Snowflake's types, and what they are to us.
//!
//! | Snowflake | logical |
//! | --- | --- |
//! | `NUMBER(p, 0)` with p ≤ 19 | int64; a number beyond 64 bits is a misfit `out_of_range` |
//! | `NUMBER(p, s)` | decimal(p, s) |
//! | `FLOAT` and its synonyms | float64; NaN and the infinities are misfits |
//! | `VARCHAR` and its synonyms | text |
//! | `BOOLEAN`, `DATE`, `TIME`, `BINARY` | the same |
//! | `TIMESTAMP_NTZ` | timestamp |
//! | `TIMESTAMP_LTZ`, `TIMESTAMP_TZ` | timestamptz: the instant; the offset is converted, and written as +00:00 |
//! | `VARIANT`, `OBJECT` | json |
//! | `ARRAY` | list |
//! | anything else | text as Snowflake prints it; cannot be written |
//!
//! Digits finer than a microsecond are misfits `sub_microsecond`.

use tidegate_model::schema::Relation;
use tidegate_model::value::Type;

use super::wire::RowType;
use crate::findings::Dialect;
use crate::fit::Slot;

/// Digits up to which a whole number is int64: 19 is what everybody declares for numbers of 64 bits.
const INT_DIGITS_MAX: u8 = 19;
/// The longest text, in characters; where a column says no length, it has this one.
const TEXT_MAX: u64 = 16_777_216;

/// A native type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fixed {
        precision: u8,
        scale: i8,
    },
    Real,
    Text,
    Bool,
    Date,
    Time,
    Ntz,
    /// With the session's zone, or one of its own: both are instants.
    Zoned,
    Binary,
    Variant,
    Object,
    Array,
    /// Read as it is printed.
    Printed,
}

impl Kind {
    /// Of a column of a result.
    pub(super) fn of_row(column: &RowType) -> Self {
        let digits = |value: Option<i64>, otherwise: i8| value.and_then(|n| i8::try_from(n).ok()).unwrap_or(otherwise);
        let precision = column.precision.and_then(|n| u8::try_from(n).ok()).unwrap_or(38);
        match column.kind.to_ascii_lowercase().as_str() {
            "fixed" => Self::Fixed { precision: precision.clamp(1, 38), scale: digits(column.scale, 0) },
            "real" => Self::Real,
            "text" => Self::Text,
            "boolean" => Self::Bool,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp_ntz" => Self::Ntz,
            "timestamp_ltz" | "timestamp_tz" => Self::Zoned,
            "binary" => Self::Binary,
            "variant" => Self::Variant,
            "object" => Self::Object,
            "array" => Self::Array,
            _ => Self::Printed,
        }
    }

    /// Of the words of DESCRIBE TABLE, such as `NUMBER(38,0)`.
    pub(super) fn of_words(words: &str) -> Self {
        let (name, rest) = words.split_once('(').unwrap_or((words, ""));
        let arguments: Vec<&str> = rest.split(')').next().unwrap_or("").split(',').map(str::trim).collect();
        let name = name.split_whitespace().next().unwrap_or("").to_ascii_uppercase();
        match name.as_str() {
            "NUMBER" | "DECIMAL" | "NUMERIC" | "INT" | "INTEGER" | "BIGINT" | "SMALLINT" | "TINYINT" | "BYTEINT" => {
                Self::Fixed {
                    precision: arguments.first().and_then(|n| n.parse().ok()).unwrap_or(38),
                    scale: arguments.get(1).and_then(|n| n.parse().ok()).unwrap_or(0),
                }
            }
            "FLOAT" | "FLOAT4" | "FLOAT8" | "DOUBLE" | "REAL" => Self::Real,
            "VARCHAR" | "CHAR" | "CHARACTER" | "STRING" | "TEXT" | "NCHAR" | "NVARCHAR" => Self::Text,
            "BOOLEAN" => Self::Bool,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "TIMESTAMP_NTZ" | "DATETIME" => Self::Ntz,
            "TIMESTAMP_LTZ" | "TIMESTAMP_TZ" => Self::Zoned,
            "BINARY" | "VARBINARY" => Self::Binary,
            "VARIANT" => Self::Variant,
            // With arguments they are the structured types, whose rows come in another form.
            "OBJECT" if rest.is_empty() => Self::Object,
            "ARRAY" if rest.is_empty() => Self::Array,
            _ => Self::Printed,
        }
    }

    /// What it is to us.
    pub(super) fn logical(self) -> Type {
        match self {
            Self::Fixed { precision, scale: 0 } if precision <= INT_DIGITS_MAX => Type::Int64,
            Self::Fixed { precision, scale } => Type::Decimal { precision, scale },
            Self::Real => Type::Float64,
            Self::Text | Self::Printed => Type::Text,
            Self::Bool => Type::Bool,
            Self::Date => Type::Date,
            Self::Time => Type::Time,
            Self::Ntz => Type::Timestamp,
            Self::Zoned => Type::TimestampTz,
            Self::Binary => Type::Binary,
            Self::Variant | Self::Object => Type::Json,
            Self::Array => Type::List,
        }
    }
}

/// Most characters that a text of these words takes; `None` where there is no limit but Snowflake's own.
pub(super) fn length_of_words(words: &str) -> Option<u32> {
    let (name, rest) = words.split_once('(')?;
    let length: u64 = rest.split(')').next()?.trim().parse().ok()?;
    let text = Kind::of_words(name) == Kind::Text;
    (text && length < TEXT_MAX).then(|| u32::try_from(length).ok()).flatten()
}

/// Digits of a second that the words of a time keep.
pub(super) fn step_of_words(words: &str) -> i64 {
    let timed = matches!(Kind::of_words(words), Kind::Time | Kind::Ntz | Kind::Zoned);
    let digits = words.split_once('(').and_then(|(_, rest)| rest.split(')').next()?.trim().parse::<u32>().ok());
    match digits {
        Some(digits) if timed && digits < 6 => 10_i64.pow(6 - digits),
        _ => 1,
    }
}

/// How Snowflake says things.
pub(super) struct Snowflake;

impl Dialect for Snowflake {
    fn native(&self, logical: Type, max_length: Option<u32>) -> String {
        match logical {
            Type::Bool => "BOOLEAN".into(),
            Type::Int64 => "NUMBER(19,0)".into(),
            Type::Decimal { precision, scale } if precision <= 38 => format!("NUMBER({precision},{scale})"),
            // Snowflake keeps 38 digits at most: more of them are safe as text only.
            Type::Decimal { .. } => "VARCHAR".into(),
            Type::Float64 => "FLOAT".into(),
            Type::Text => max_length.map_or_else(|| "VARCHAR".into(), |most| format!("VARCHAR({most})")),
            Type::Date => "DATE".into(),
            Type::Time => "TIME(6)".into(),
            Type::Timestamp => "TIMESTAMP_NTZ(6)".into(),
            Type::TimestampTz => "TIMESTAMP_TZ(6)".into(),
            Type::Binary => "BINARY".into(),
            Type::Json => "VARIANT".into(),
            Type::List => "ARRAY".into(),
        }
    }

    /// Snowflake widens texts and numbers where they are; for the rest, a column of another type takes the place.
    fn retype(&self, relation: &Relation, slot: &Slot, native: &str) -> String {
        let (table, column) = (self.relation(relation), self.quote(&slot.column.name));
        let from = Kind::of_words(&slot.column.native);
        let widens = match (from, Kind::of_words(native)) {
            (Kind::Text, Kind::Text) => true,
            (Kind::Fixed { scale: have, .. }, Kind::Fixed { scale: want, .. }) => have == want,
            _ => false,
        };
        if widens {
            return format!("ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {native};");
        }
        let aside = self.quote(&format!("{} (new)", slot.column.name));
        let value = format!("TRY_CAST(TO_VARCHAR({column}) AS {native})");
        format!(
            "ALTER TABLE {table} ADD COLUMN {aside} {native}; UPDATE {table} SET {aside} = {value}; \
             ALTER TABLE {table} DROP COLUMN {column}; ALTER TABLE {table} RENAME COLUMN {aside} TO {column};"
        )
    }

    fn drop_not_null(&self, relation: &Relation, slot: &Slot) -> String {
        format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", self.relation(relation), self.quote(&slot.column.name))
    }

    /// There are no indexes; the declaration at least tells people and optimizers.
    fn unique_index(&self, relation: &Relation, column: &str) -> String {
        format!("ALTER TABLE {} ADD UNIQUE ({});", self.relation(relation), self.quote(column))
    }
}

/// A text as a literal, for the commands that take no values. In Snowflake a backslash escapes.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The expression that makes a column's value of a text.
pub(super) fn from_text(kind: Kind, native: &str, text: &str) -> String {
    match kind {
        Kind::Text | Kind::Printed => text.to_owned(),
        Kind::Binary => format!("TO_BINARY({text}, 'HEX')"),
        Kind::Variant => format!("PARSE_JSON({text})"),
        Kind::Object => format!("CAST(PARSE_JSON({text}) AS OBJECT)"),
        Kind::Array => format!("CAST(PARSE_JSON({text}) AS ARRAY)"),
        _ => format!("CAST({text} AS {native})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_describe_are_understood() {
        for (words, logical) in [
            ("NUMBER(38,0)", Type::Decimal { precision: 38, scale: 0 }),
            ("NUMBER(19,0)", Type::Int64),
            ("NUMBER(12,2)", Type::Decimal { precision: 12, scale: 2 }),
            ("VARCHAR(16777216) COLLATE 'en-ci'", Type::Text),
            ("TIMESTAMP_NTZ(9)", Type::Timestamp),
            ("TIMESTAMP_LTZ(9)", Type::TimestampTz),
            ("ARRAY", Type::List),
            ("ARRAY(NUMBER(38,0))", Type::Text),
            ("GEOGRAPHY", Type::Text),
            ("FLOAT", Type::Float64),
        ] {
            assert_eq!(Kind::of_words(words).logical(), logical, "{words}");
        }
        assert_eq!(length_of_words("VARCHAR(20)"), Some(20));
        assert_eq!(length_of_words("VARCHAR(16777216)"), None);
        assert_eq!(length_of_words("NUMBER(20,0)"), None);
        assert_eq!(
            (step_of_words("TIME(3)"), step_of_words("TIMESTAMP_TZ(9)"), step_of_words("NUMBER(3)")),
            (1_000, 1, 1)
        );
    }

    #[test]
    fn a_backslash_is_no_way_out_of_a_literal() {
        assert_eq!(literal(r"\'; DROP TABLE t; --"), r"'\\''; DROP TABLE t; --'");
    }
}
