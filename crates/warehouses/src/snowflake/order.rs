//! The order of keys and cursors, as SQL. Texts compare by their bytes: that is Snowflake's own order where a column
//! has no collation, and is asked for by name where it has one.

use tidegate_model::Result;
use tidegate_model::ports::ReadMode;
use tidegate_model::record::Key;
use tidegate_model::schema::Source;
use tidegate_model::span::CursorPoint;
use tidegate_model::value::{Type, Value};

use super::catalog::{Shape, SourceColumn};
use super::types::Kind;
use super::wire::Bind;
use super::{history, outbox};
use crate::sources::{no_order, other_type};

/// A piece of SQL with the values that its question marks stand for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Clauses {
    pub(super) sql: String,
    pub(super) binds: Vec<Bind>,
}

/// The key's canonical text.
pub(super) fn key_text(column: &SourceColumn) -> String {
    let name = column.quoted();
    match column.kind {
        Kind::Text => column.plain(""),
        Kind::Fixed { scale: 0, .. } => format!("TO_VARCHAR({name})"),
        // 5.00 is the key 5.
        Kind::Fixed { .. } => {
            format!(
                "CASE WHEN {name} = TRUNC({name}) THEN TO_VARCHAR(CAST({name} AS NUMBER(38,0))) ELSE TO_VARCHAR({name}) END"
            )
        }
        _ => format!("TO_VARCHAR({name})"),
    }
}

/// Condition and order of a read.
pub(super) fn clauses(shape: &Shape, source: &Source, mode: &ReadMode) -> Result<Clauses> {
    Ok(match mode {
        ReadMode::Unordered => Clauses::default(),
        ReadMode::Full { key, after, .. } => {
            let text = key_text(shape.column(key, source)?);
            match after {
                None => Clauses { sql: format!(" ORDER BY {text} NULLS FIRST"), binds: Vec::new() },
                Some(after) => Clauses {
                    sql: format!(" WHERE {text} > ? ORDER BY {text}"),
                    binds: vec![Bind(after.as_str().to_owned())],
                },
            }
        }
        ReadMode::Changes { key, .. } => {
            Clauses { sql: history::halves(shape.column(key, source)?), binds: Vec::new() }
        }
        ReadMode::Outbox { key, through, .. } => {
            Clauses { sql: outbox::net(shape.column(key, source)?), binds: vec![Bind(through.to_string())] }
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
        Kind::Fixed { .. } | Kind::Text | Kind::Date | Kind::Time | Kind::Ntz | Kind::Zoned => {
            Ok(format!("({name} IS NOT NULL)"))
        }
        Kind::Real => Ok(format!(
            "({name} IS NOT NULL AND {name} NOT IN (CAST('NaN' AS FLOAT), CAST('inf' AS FLOAT), CAST('-inf' AS FLOAT)))"
        )),
        _ => Err(no_order(&column.name, &column.native)),
    }
}

/// A value as a text that the column's own type reads.
fn value_text(column: &SourceColumn, value: &Value) -> Result<String> {
    match (column.logical(), value) {
        (Type::Int64 | Type::Decimal { .. } | Type::Float64, Value::Int(_) | Value::Decimal(_))
        | (Type::Text, Value::Text(_))
        | (Type::Date, Value::Date(_))
        | (Type::Time, Value::Time(_)) => Ok(value.to_string()),
        (Type::Float64, Value::Float(x)) => Ok(format!("{x:e}")),
        (Type::Timestamp, Value::Timestamp(_)) => Ok(value.to_string().replace('T', " ")),
        (Type::TimestampTz, Value::TimestampTz(_)) => Ok(value.to_string().replace('T', " ").replace('Z', "+00:00")),
        (logical, value) => Err(other_type(&column.name, logical, value)),
    }
}

/// The type that a cursor's text is read as: wide enough for any value that was ever read from the column.
fn cast(column: &SourceColumn) -> String {
    match column.kind {
        Kind::Text => "?".to_owned(),
        Kind::Fixed { scale, .. } => format!("CAST(? AS NUMBER(38,{scale}))"),
        Kind::Real => "CAST(? AS FLOAT)".to_owned(),
        Kind::Zoned => "CAST(? AS TIMESTAMP_TZ)".to_owned(),
        Kind::Ntz => "CAST(? AS TIMESTAMP_NTZ)".to_owned(),
        Kind::Time => "CAST(? AS TIME)".to_owned(),
        _ => format!("CAST(? AS {})", column.native),
    }
}

/// `(column, key) < point` and its like.
fn edge(
    column: &SourceColumn,
    key: &str,
    point: &CursorPoint,
    inside: &str,
    tie: &str,
    binds: &mut Vec<Bind>,
) -> Result<String> {
    let (order, value, text) = (column.plain(""), cast(column), value_text(column, &point.value)?);
    binds.push(Bind(text.clone()));
    Ok(match &point.key {
        Some(at) => {
            binds.extend([Bind(text), Bind(at.as_str().to_owned())]);
            format!("({order} {inside} {value} OR ({order} = {value} AND {key} {tie} ?))")
        }
        // No key: the point stands after all rows of its value.
        None if inside == ">" => format!("({order} > {value})"),
        None => format!("({order} <= {value})"),
    })
}

fn window(column: &SourceColumn, key: &SourceColumn, from: Option<&CursorPoint>, to: &CursorPoint) -> Result<Clauses> {
    let (order, yes) = (column.plain(""), usable(column)?);
    let key = format!("COALESCE({}, '')", key_text(key));
    let mut binds = Vec::new();
    let mut inside = vec![yes.clone()];
    if let Some(from) = from {
        inside.push(edge(column, &key, from, ">", ">", &mut binds)?);
    }
    inside.push(edge(column, &key, to, "<", "<=", &mut binds)?);
    let inside = inside.join(" AND ");
    // NaN sorts above everything: by whether it can be followed first, so that those that cannot come first.
    let sql = format!(
        " WHERE NOT {yes} OR ({inside}) ORDER BY CASE WHEN {yes} THEN 1 ELSE 0 END, {order} NULLS FIRST, {key}"
    );
    Ok(Clauses { sql, binds })
}

/// The texts of those keys that can be keys of the column.
pub(super) fn possible<'a>(column: &SourceColumn, keys: &'a [Key]) -> Vec<&'a str> {
    let most = match column.kind {
        Kind::Fixed { precision, scale } => usize::from(precision.saturating_sub(scale.unsigned_abs())),
        _ => 0,
    };
    let whole = |text: &&str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        (1..=most.max(1)).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'))
            && *text != "-0"
    };
    let texts = keys.iter().map(Key::as_str);
    match column.kind {
        Kind::Fixed { .. } => texts.filter(whole).collect(),
        _ => texts.filter(|text| !text.contains('\0')).collect(),
    }
}

/// A text of a key as a value of its column, wide enough for every text of [`possible`].
pub(super) fn key_value(column: &SourceColumn, text: &str) -> String {
    match column.kind {
        Kind::Fixed { .. } => format!("CAST({text} AS NUMBER(38,0))"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, native: &str) -> SourceColumn {
        SourceColumn {
            name: name.into(),
            native: native.into(),
            kind: Kind::of_words(native),
            nullable: true,
            filled: false,
            generated: false,
            collated: native.contains("COLLATE"),
        }
    }

    #[test]
    fn a_collation_is_no_order_of_keys() {
        assert_eq!(key_text(&column("K", "VARCHAR(10)")), "\"K\"");
        assert_eq!(key_text(&column("K", "VARCHAR(10) COLLATE 'en-ci'")), "COLLATE(\"K\", 'utf8')");
        assert_eq!(key_text(&column("K", "NUMBER(38,0)")), "TO_VARCHAR(\"K\")");
    }

    #[test]
    fn a_window_binds_every_value() {
        let (at, key) = (column("AT", "TIMESTAMP_TZ(9)"), column("K", "VARCHAR"));
        let point = |us, key: Option<&str>| CursorPoint { value: Value::TimestampTz(us), key: key.map(Key::new) };
        let clauses = window(&at, &key, Some(&point(0, Some("a'; --"))), &point(1, None)).expect("a window");
        assert!(!clauses.sql.contains("--"), "{}", clauses.sql);
        let texts: Vec<&str> = clauses.binds.iter().map(|bind| bind.0.as_str()).collect();
        let first = "1970-01-01 00:00:00+00:00";
        assert_eq!(texts, [first, first, "a'; --", "1970-01-01 00:00:00.000001+00:00"]);
        assert_eq!(clauses.sql.matches('?').count(), 4);
    }

    #[test]
    fn only_what_can_be_a_number_is_looked_up_as_one() {
        let keys: Vec<Key> = ["7", "007", "-7", "x", "", "1e3", "-0", "12345678901234567890"].map(Key::new).into();
        assert_eq!(possible(&column("K", "NUMBER(38,0)"), &keys), ["7", "-7", "12345678901234567890"]);
        assert_eq!(possible(&column("K", "NUMBER(19,0)"), &keys), ["7", "-7"]);
    }
}
