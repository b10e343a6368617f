//! Postgres types and ours:
//!
//! | Postgres | logical |
//! | --- | --- |
//! | `bool` | bool |
//! | `int2`, `int4`, `int8` | int64 |
//! | `numeric(p,s)` | decimal(p,s); without digits decimal(38,18): what does not fit is a misfit, a cast says more |
//! | `float4`, `float8` | float64; a float4 by its shortest text, as Postgres shows it |
//! | `text`, `varchar`, `char`, `name`, `citext`, `uuid`, enums | text (`char` without the blanks at its end) |
//! | `date`, `time`, `timestamp`, `timestamptz` | the same; infinity is a misfit |
//! | `bytea` | binary |
//! | `json`, `jsonb` | json |
//! | arrays | list; `text[]` and `varchar[]` can be written |
//! | anything else | text as Postgres prints it; cannot be written |

use tidegate_model::value::Type;
use tokio_postgres::types::{Kind, Type as PgType};

use crate::findings::Dialect;

/// The decimal of columns that do not say their digits.
pub(super) const OPEN_DECIMAL: Type = Type::Decimal { precision: 38, scale: 18 };

/// How values of a column travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    /// `char(n)`: read without its blanks.
    Padded,
    Uuid,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Bytes,
    Json,
    Jsonb,
    /// An array that can be written: of texts.
    Texts,
    /// Any other array, read as JSON.
    Array,
    /// Read as Postgres prints it.
    Printed,
}

/// A type, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) wire: Wire,
    pub(super) logical: Type,
    pub(super) max_length: Option<u32>,
    /// Times are kept in steps of this many microseconds.
    pub(super) step_us: i64,
}

/// What a type with its modifier is to us.
pub(super) fn known(pg: &PgType, modifier: i32) -> Known {
    let plain = |wire, logical| Known { wire, logical, max_length: None, step_us: 1 };
    let limited = |wire| Known {
        max_length: (modifier >= 4).then(|| u32::try_from(modifier - 4).ok()).flatten(),
        ..plain(wire, Type::Text)
    };
    let stepped = |wire, logical| {
        let digits = u32::try_from(modifier).unwrap_or(6).min(6);
        Known { step_us: 10_i64.pow(6 - digits), ..plain(wire, logical) }
    };
    match *pg {
        PgType::BOOL => plain(Wire::Bool, Type::Bool),
        PgType::INT2 => plain(Wire::Int2, Type::Int64),
        PgType::INT4 => plain(Wire::Int4, Type::Int64),
        PgType::INT8 => plain(Wire::Int8, Type::Int64),
        PgType::FLOAT4 => plain(Wire::Float4, Type::Float64),
        PgType::FLOAT8 => plain(Wire::Float8, Type::Float64),
        PgType::NUMERIC => plain(Wire::Numeric, decimal(modifier)),
        PgType::TEXT | PgType::NAME => plain(Wire::Text, Type::Text),
        PgType::VARCHAR => limited(Wire::Text),
        PgType::BPCHAR => limited(Wire::Padded),
        PgType::UUID => plain(Wire::Uuid, Type::Text),
        PgType::DATE => plain(Wire::Date, Type::Date),
        PgType::TIME => stepped(Wire::Time, Type::Time),
        PgType::TIMESTAMP => stepped(Wire::Timestamp, Type::Timestamp),
        PgType::TIMESTAMPTZ => stepped(Wire::TimestampTz, Type::TimestampTz),
        PgType::BYTEA => plain(Wire::Bytes, Type::Binary),
        PgType::JSON => plain(Wire::Json, Type::Json),
        PgType::JSONB => plain(Wire::Jsonb, Type::Json),
        PgType::TEXT_ARRAY | PgType::VARCHAR_ARRAY => plain(Wire::Texts, Type::List),
        _ => match pg.kind() {
            Kind::Enum(_) => plain(Wire::Text, Type::Text),
            Kind::Array(_) => plain(Wire::Array, Type::List),
            Kind::Domain(inner) => known(inner, modifier),
            _ if pg.name() == "citext" => plain(Wire::Text, Type::Text),
            _ => plain(Wire::Printed, Type::Text),
        },
    }
}

/// `numeric`'s modifier: precision in the upper half, scale (11 bits, signed) in the lower, 4 more than both.
fn decimal(modifier: i32) -> Type {
    if modifier < 4 {
        return OPEN_DECIMAL;
    }
    let packed = modifier - 4;
    let precision = (packed >> 16) & 0xffff;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    // A negative scale keeps zeros before the point: as many more digits without a fraction.
    let (precision, scale) = if scale < 0 { (precision - scale, 0) } else { (precision.max(scale), scale) };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=76), Ok(scale)) => Type::Decimal { precision, scale },
        _ => Type::Decimal { precision: 76, scale: i8::try_from(scale).unwrap_or(38).min(38) },
    }
}

/// How Postgres says things.
pub(super) struct Postgres;

impl Dialect for Postgres {
    fn native(&self, logical: Type, max_length: Option<u32>) -> String {
        match logical {
            Type::Bool => "boolean".into(),
            Type::Int64 => "bigint".into(),
            Type::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
            Type::Float64 => "double precision".into(),
            Type::Text => max_length.map_or_else(|| "text".into(), |most| format!("varchar({most})")),
            Type::Date => "date".into(),
            Type::Time => "time".into(),
            Type::Timestamp => "timestamp".into(),
            Type::TimestampTz => "timestamptz".into(),
            Type::Binary => "bytea".into(),
            Type::Json => "jsonb".into(),
            Type::List => "text[]".into(),
        }
    }

    /// By way of text: every type prints itself, and reads what it printed.
    fn retype(&self, relation: &tidegate_model::schema::Relation, slot: &crate::fit::Slot, native: &str) -> String {
        let column = self.quote(&slot.column.name);
        format!(
            "ALTER TABLE {} ALTER COLUMN {column} TYPE {native} USING {column}::text::{native};",
            self.relation(relation)
        )
    }

    fn drop_not_null(&self, relation: &tidegate_model::schema::Relation, slot: &crate::fit::Slot) -> String {
        format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", self.relation(relation), self.quote(&slot.column.name))
    }

    fn unique_index(&self, relation: &tidegate_model::schema::Relation, column: &str) -> String {
        format!("CREATE UNIQUE INDEX ON {} ({});", self.relation(relation), self.quote(column))
    }
}

/// A text as a literal, for the commands that take no parameters. Right under `standard_conforming_strings`, which
/// every session sets; NUL, which no text of Postgres holds, is left out.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_say_digits_and_lengths() {
        let numeric =
            |precision: i32, scale: i32| known(&PgType::NUMERIC, ((precision << 16) | (scale & 0x7ff)) + 4).logical;
        assert_eq!(numeric(12, 2), Type::Decimal { precision: 12, scale: 2 });
        assert_eq!(numeric(5, -3), Type::Decimal { precision: 8, scale: 0 });
        assert_eq!(numeric(2, 5), Type::Decimal { precision: 5, scale: 5 });
        assert_eq!(numeric(1000, 20), Type::Decimal { precision: 76, scale: 20 });
        assert_eq!(known(&PgType::NUMERIC, -1).logical, OPEN_DECIMAL);
        assert_eq!(known(&PgType::VARCHAR, 24).max_length, Some(20));
        assert_eq!(known(&PgType::VARCHAR, -1).max_length, None);
        assert_eq!(known(&PgType::TIMESTAMP, 3).step_us, 1_000);
        assert_eq!(known(&PgType::TIMESTAMP, -1).step_us, 1);
        assert_eq!(known(&PgType::INTERVAL, -1).wire, Wire::Printed);
    }
}
