//! The order of keys and cursors, as SQL.

use tidegate_model::Result;
use tidegate_model::record::Key;
use tidegate_model::schema::Source;
use tidegate_model::span::CursorPoint;
use tidegate_model::value::{Type, Value};

use super::catalog::{Shape, SourceColumn};
use super::types::{Wire, literal};
use crate::sources::{no_order, other_type};
use tidegate_model::ports::{ReadMode, no_history};

/// The key's canonical text, sorted by its bytes.
pub(super) fn key_text(column: &SourceColumn) -> String {
    let name = column.quoted();
    match column.known.wire {
        // 5.0 is the key 5.
        Wire::Numeric => format!("trim_scale({name})::text COLLATE \"C\""),
        _ => format!("{name}::text COLLATE \"C\""),
    }
}

/// Condition and order of a read.
pub(super) fn clauses(shape: &Shape, source: &Source, mode: &ReadMode) -> Result<String> {
    Ok(match mode {
        ReadMode::Unordered => String::new(),
        ReadMode::Full { key, after, .. } => {
            let text = key_text(shape.column(key, source)?);
            match after {
                None => format!(" ORDER BY {text} NULLS FIRST"),
                Some(after) => format!(" WHERE {text} > {} ORDER BY {text}", literal(after.as_str())),
            }
        }
        ReadMode::Changes { .. } | ReadMode::Outbox { .. } => return Err(no_history()),
        ReadMode::Cursor { column, key, from, to } => {
            let (column, key) = (shape.column(column, source)?, shape.column(key, source)?);
            window(column, key, from.as_ref(), to)?
        }
    })
}

/// Whether a row's cursor can be followed, and whether it cannot: NULL, NaN and the infinities cannot. Both in a form
/// that an index on the column serves; the second one is never NULL, so that it sorts.
pub(super) struct Usable {
    pub(super) yes: String,
    no: String,
}

pub(super) fn usable(column: &SourceColumn) -> Result<Usable> {
    let name = column.quoted();
    let (yes, no) = match column.known.wire {
        Wire::Int2 | Wire::Int4 | Wire::Int8 | Wire::Text | Wire::Time => {
            (format!("{name} IS NOT NULL"), format!("{name} IS NULL"))
        }
        Wire::Date | Wire::Timestamp | Wire::TimestampTz => (
            format!("({name} > '-infinity' AND {name} < 'infinity')"),
            format!("({name} IS NULL OR {name} = 'infinity' OR {name} = '-infinity')"),
        ),
        Wire::Float4 | Wire::Float8 => (
            format!("({name} > '-Infinity' AND {name} < 'Infinity')"),
            format!("({name} IS NULL OR {name} IN ('NaN', 'Infinity', '-Infinity'))"),
        ),
        // Infinity is known to numeric since Postgres 14 only, so it is told by its text.
        Wire::Numeric => (
            format!("({name} IS NOT NULL AND {name}::text NOT IN ('NaN', 'Infinity', '-Infinity'))"),
            format!("({name} IS NULL OR {name}::text IN ('NaN', 'Infinity', '-Infinity'))"),
        ),
        _ => return Err(no_order(&column.name, &column.native)),
    };
    Ok(Usable { yes, no })
}

/// The cursor's order: that of its type; texts by their bytes, so that a different locale changes nothing.
pub(super) fn cursor_order(column: &SourceColumn) -> String {
    match column.known.wire {
        Wire::Text => format!("{}::text COLLATE \"C\"", column.quoted()),
        _ => column.quoted(),
    }
}

/// A cursor's value as a literal of its column's type.
fn value_literal(column: &SourceColumn, value: &Value) -> Result<String> {
    let typed = |native: &str| Ok(format!("{}::{native}", literal(&value.to_string())));
    match (column.known.logical, value) {
        (Type::Int64, Value::Int(_)) => typed("int8"),
        (Type::Decimal { .. } | Type::Int64, Value::Decimal(_) | Value::Int(_)) => typed("numeric"),
        // A float4 is compared as the server prints it, which is how it was read.
        (Type::Float64, Value::Float(_) | Value::Int(_) | Value::Decimal(_)) if column.known.wire == Wire::Float4 => {
            typed("float4")
        }
        (Type::Float64, Value::Float(_) | Value::Int(_) | Value::Decimal(_)) => typed("float8"),
        (Type::Text, Value::Text(_)) => typed("text"),
        (Type::Date, Value::Date(_)) => typed("date"),
        (Type::Time, Value::Time(_)) => typed("time"),
        (Type::Timestamp, Value::Timestamp(_)) => typed("timestamp"),
        (Type::TimestampTz, Value::TimestampTz(_)) => typed("timestamptz"),
        (logical, value) => Err(other_type(&column.name, logical, value)),
    }
}

/// `(column, key) < point` and its like, in a form that an index on the column serves.
fn bound(column: &SourceColumn, key: &str, point: &CursorPoint, inside: &str, tie: &str) -> Result<String> {
    let (order, value) = (cursor_order(column), value_literal(column, &point.value)?);
    Ok(match &point.key {
        Some(at) => {
            let at = literal(at.as_str());
            format!("({order} {inside}= {value} AND ({order} {inside} {value} OR {key} {tie} {at}))")
        }
        // No key: the point stands after all rows of its value.
        None if inside == ">" => format!("({order} > {value})"),
        None => format!("({order} <= {value})"),
    })
}

fn window(column: &SourceColumn, key: &SourceColumn, from: Option<&CursorPoint>, to: &CursorPoint) -> Result<String> {
    let (order, usable) = (cursor_order(column), usable(column)?);
    let whole = matches!(column.known.wire, Wire::Int2 | Wire::Int4 | Wire::Int8);
    // Equal whole numbers have equal texts: the key says nothing more. Then an index gives the order, without a sort.
    let alone = whole && column.name == key.name;
    let key = format!("coalesce({}, '')", key_text(key));
    let mut inside = vec![usable.yes];
    if let Some(from) = from {
        inside.push(bound(column, &key, from, ">", ">")?);
    }
    inside.push(bound(column, &key, to, "<", "<=")?);
    let (inside, no) = (inside.join(" AND "), usable.no);
    if whole && !column.nullable {
        let then = if alone { String::new() } else { format!(", {key}") };
        return Ok(format!(" WHERE {inside} ORDER BY {order}{then}"));
    }
    Ok(format!(" WHERE {no} OR ({inside}) ORDER BY {no} DESC, {order}, {key}"))
}

/// A condition that the key column is one of `$1`, and the texts to send: those that can be keys of the column.
pub(super) fn among(column: &SourceColumn, keys: &[Key]) -> (String, Vec<String>) {
    let name = column.quoted();
    let number = |key: &&Key| key.as_str().parse::<i64>().is_ok_and(|n| n.to_string() == key.as_str());
    let texts = |keys: Vec<&Key>| keys.into_iter().map(|key| key.as_str().to_owned()).collect();
    match column.known.wire {
        Wire::Int2 | Wire::Int4 | Wire::Int8 => {
            (format!("{name} = ANY ($1::text[]::int8[])"), texts(keys.iter().filter(number).collect()))
        }
        Wire::Numeric => {
            let whole = |key: &&Key| {
                let digits = key.as_str().strip_prefix('-').unwrap_or(key.as_str());
                (1..=76).contains(&digits.len())
                    && digits.bytes().all(|b| b.is_ascii_digit())
                    && (digits == "0" || !digits.starts_with('0'))
            };
            (format!("{name} = ANY ($1::text[]::numeric[])"), texts(keys.iter().filter(whole).collect()))
        }
        Wire::Uuid => {
            let uuid = |key: &&Key| {
                let text = key.as_str();
                text.len() == 36
                    && text.bytes().enumerate().all(|(at, b)| match at {
                        8 | 13 | 18 | 23 => b == b'-',
                        _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
                    })
            };
            (format!("{name} = ANY ($1::text[]::uuid[])"), texts(keys.iter().filter(uuid).collect()))
        }
        _ => {
            let storable = |key: &&Key| !key.as_str().contains('\0');
            (format!("{name}::text = ANY ($1::text[])"), texts(keys.iter().filter(storable).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::known;
    use super::*;
    use tokio_postgres::types::Type as PgType;

    fn column(name: &str, pg: &PgType, nullable: bool) -> SourceColumn {
        let (name, native) = (name.to_owned(), pg.name().to_owned());
        SourceColumn { name, native, known: known(pg, -1), nullable, filled: false, generated: false }
    }

    /// Anything more would sort the rows where an index has them in order.
    #[test]
    fn a_whole_number_that_is_never_null_is_read_in_the_order_of_its_index() {
        let to = CursorPoint { value: Value::Int(9), key: None };
        let of = |column: &SourceColumn, key: &SourceColumn| window(column, key, None, &to).map_err(|e| e.to_string());
        let id = column("id", &PgType::INT8, false);
        assert_eq!(of(&id, &id), Ok(" WHERE \"id\" IS NOT NULL AND (\"id\" <= '9'::int8) ORDER BY \"id\"".to_owned()));
        let (maybe, text) = (column("id", &PgType::INT8, true), column("key", &PgType::TEXT, true));
        let ends = |sql: Result<String, String>, end: &str| sql.is_ok_and(|sql| sql.ends_with(end));
        let by_key = "coalesce(\"key\"::text COLLATE \"C\", '')";
        assert!(ends(of(&id, &text), &format!(" ORDER BY \"id\", {by_key}")), "rows of one value go by their key");
        assert!(ends(of(&maybe, &text), &format!(" ORDER BY \"id\" IS NULL DESC, \"id\", {by_key}")), "NULLs first");
    }
}
