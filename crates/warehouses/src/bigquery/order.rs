//! The order of keys and cursors, as SQL. BigQuery compares texts by their bytes, and puts NULL first.

use tidegate_model::ports::ReadMode;
use tidegate_model::record::Key;
use tidegate_model::schema::Source;
use tidegate_model::span::CursorPoint;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, Result};

use super::catalog::{Shape, SourceColumn};
use super::server::Param;
use super::types::Kind;
use crate::sources::{no_order, other_type};

/// A piece of SQL with the values that its parameters stand for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Clauses {
    pub(super) sql: String,
    pub(super) params: Vec<Param>,
    /// Whether the rows come in an order, which one stream alone keeps.
    pub(super) ordered: bool,
}

/// The key's canonical text. Decimals print without zeros at their end: 5.00 is the key 5.
pub(super) fn key_text(column: &SourceColumn) -> String {
    match column.kind {
        Kind::Text => column.plain(""),
        _ => format!("CAST({} AS STRING)", column.quoted()),
    }
}

/// Condition and order of a read.
pub(super) fn clauses(shape: &Shape, source: &Source, mode: &ReadMode) -> Result<Clauses> {
    Ok(match mode {
        ReadMode::Unordered => Clauses::default(),
        ReadMode::Full { key, after, .. } => {
            let text = key_text(shape.column(key, source)?);
            match after {
                None => Clauses { sql: format!(" ORDER BY {text}"), params: Vec::new(), ordered: true },
                Some(after) => Clauses {
                    sql: format!(" WHERE {text} > @p0 ORDER BY {text}"),
                    params: vec![Param::text(after.as_str())],
                    ordered: true,
                },
            }
        }
        ReadMode::Changes { .. } | ReadMode::Outbox { .. } => {
            return Err(Error::internal("changes are read by another way"));
        }
        ReadMode::Cursor { column, key, from, to } => {
            let (column, key) = (shape.column(column, source)?, shape.column(key, source)?);
            window(column, key, from.as_ref(), to)?
        }
    })
}

/// A condition for rows whose cursor can be followed: NULL, NaN and the infinities cannot.
pub(super) fn usable(column: &SourceColumn) -> Result<String> {
    let name = column.quoted();
    match column.kind {
        Kind::Int
        | Kind::Numeric { .. }
        | Kind::BigNumeric { .. }
        | Kind::Text
        | Kind::Date
        | Kind::Time
        | Kind::Datetime
        | Kind::Timestamp => Ok(format!("({name} IS NOT NULL)")),
        Kind::Float => Ok(format!("({name} IS NOT NULL AND NOT IS_NAN({name}) AND NOT IS_INF({name}))")),
        _ => Err(no_order(&column.name, &column.native)),
    }
}

/// The type of a parameter that is compared with a column.
fn param_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "INT64",
        Kind::Float => "FLOAT64",
        Kind::Numeric { .. } => "NUMERIC",
        Kind::BigNumeric { .. } => "BIGNUMERIC",
        Kind::Date => "DATE",
        Kind::Time => "TIME",
        Kind::Datetime => "DATETIME",
        Kind::Timestamp => "TIMESTAMP",
        _ => "STRING",
    }
}

/// A value to compare a column with.
fn param(column: &SourceColumn, value: &Value) -> Result<Param> {
    let text = match (column.kind.logical(), value) {
        (Type::Int64 | Type::Decimal { .. } | Type::Float64, Value::Int(_) | Value::Decimal(_))
        | (Type::Text, Value::Text(_))
        | (Type::Date, Value::Date(_))
        | (Type::Time, Value::Time(_)) => value.to_string(),
        (Type::Float64, Value::Float(x)) => format!("{x:e}"),
        (Type::Timestamp, Value::Timestamp(_)) => value.to_string().replace('T', " "),
        (Type::TimestampTz, Value::TimestampTz(_)) => value.to_string().replace('T', " ").replace('Z', "+00:00"),
        (logical, value) => return Err(other_type(&column.name, logical, value)),
    };
    Ok(Param::One(param_type(column.kind), text))
}

/// `(column, key) < point` and its like.
fn edge(
    column: &SourceColumn,
    key: &str,
    point: &CursorPoint,
    inside: &str,
    tie: &str,
    params: &mut Vec<Param>,
) -> Result<String> {
    let order = column.plain("");
    let at = params.len();
    params.push(param(column, &point.value)?);
    Ok(match &point.key {
        Some(text) => {
            params.push(Param::text(text.as_str()));
            format!("({order} {inside} @p{at} OR ({order} = @p{at} AND {key} {tie} @p{}))", at + 1)
        }
        // No key: the point stands after all rows of its value.
        None if inside == ">" => format!("({order} > @p{at})"),
        None => format!("({order} <= @p{at})"),
    })
}

fn window(column: &SourceColumn, key: &SourceColumn, from: Option<&CursorPoint>, to: &CursorPoint) -> Result<Clauses> {
    let (order, yes) = (column.plain(""), usable(column)?);
    let key = format!("IFNULL({}, '')", key_text(key));
    let mut params = Vec::new();
    let mut inside = vec![yes.clone()];
    if let Some(from) = from {
        inside.push(edge(column, &key, from, ">", ">", &mut params)?);
    }
    inside.push(edge(column, &key, to, "<", "<=", &mut params)?);
    let inside = inside.join(" AND ");
    let sql = format!(" WHERE NOT {yes} OR ({inside}) ORDER BY IF({yes}, 1, 0), {order}, {key}");
    Ok(Clauses { sql, params, ordered: true })
}

/// The texts of those keys that can be keys of the column.
pub(super) fn possible<'a>(column: &SourceColumn, keys: &'a [Key]) -> Vec<&'a str> {
    let whole_digits = |precision: u8, scale: i8| usize::from(precision.saturating_sub(scale.unsigned_abs()));
    let most = match column.kind {
        Kind::Int => 19,
        Kind::Numeric { precision, scale } | Kind::BigNumeric { precision, scale } => whole_digits(precision, scale),
        _ => 0,
    };
    let whole = |text: &&str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        (1..=most).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'))
            && *text != "-0"
            && (column.kind != Kind::Int || text.parse::<i64>().is_ok())
    };
    let texts = keys.iter().map(Key::as_str);
    match column.kind {
        Kind::Int | Kind::Numeric { .. } | Kind::BigNumeric { .. } => texts.filter(whole).collect(),
        _ => texts.collect(),
    }
}

/// A list of keys as values of their column.
pub(super) fn keys_param(column: &SourceColumn, texts: &[&str]) -> Param {
    Param::Many(param_type(column.kind), texts.iter().map(|text| (*text).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bigquery::catalog::column_of;

    #[test]
    fn a_window_binds_every_value() {
        let (at, key) = (column_of("AT", json!({"type": "TIMESTAMP"})), column_of("K", json!({"type": "STRING"})));
        let point = |us, key: Option<&str>| CursorPoint { value: Value::TimestampTz(us), key: key.map(Key::new) };
        let clauses = window(&at, &key, Some(&point(0, Some("a'; --"))), &point(1, None)).expect("a window");
        assert!(!clauses.sql.contains("--"), "{}", clauses.sql);
        let first = Param::One("TIMESTAMP", "1970-01-01 00:00:00+00:00".into());
        let last = Param::One("TIMESTAMP", "1970-01-01 00:00:00.000001+00:00".into());
        assert_eq!(clauses.params, [first, Param::text("a'; --"), last]);
    }

    #[test]
    fn only_what_can_be_a_number_is_looked_up_as_one() {
        let keys: Vec<Key> = ["7", "007", "-7", "x", "", "1e3", "-0", "12345678901234567890"].map(Key::new).into();
        assert_eq!(possible(&column_of("K", json!({"type": "INTEGER"})), &keys), ["7", "-7"]);
        let numeric = column_of("K", json!({"type": "NUMERIC"}));
        assert_eq!(possible(&numeric, &keys), ["7", "-7", "12345678901234567890"]);
        let folded = column_of("K", json!({"type": "STRING", "collation": "und:ci"}));
        assert_eq!(key_text(&folded), "COLLATE(`K`, '')");
    }
}
