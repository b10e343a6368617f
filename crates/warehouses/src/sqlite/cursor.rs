//! The order of keys and cursors, as SQL.

use jiff::tz::TimeZone;
use rusqlite::types::{Value as SqlValue, ValueRef};
use tidegate_model::record::Key;
use tidegate_model::span::CursorPoint;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, Result};

use super::catalog::SourceColumn;
use super::types::{Affinity, decode};
use crate::cell::Cell;
use crate::findings::Dialect;
use crate::sources::{no_order, other_type};

/// Name of the function that gives the number of a time's text.
pub(super) const TIME_FUNCTION: &str = "tidegate_time_number";

/// Turns the cells of a time column into numbers: days or microseconds; NULL for what is no time.
pub(super) struct TimeRule {
    pub(super) logical: Type,
    pub(super) zone: TimeZone,
}

impl TimeRule {
    pub(super) fn number(&self, raw: ValueRef<'_>) -> Option<i64> {
        match decode(raw, self.logical, &self.zone) {
            Ok(Cell::Date(days)) => Some(days.into()),
            Ok(Cell::Time(us) | Cell::Timestamp(us) | Cell::TimestampTz(us)) => Some(us),
            _ => None,
        }
    }
}

/// A condition with its parameters, and an order: one part of a read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) filter: String,
    pub(super) params: Vec<SqlValue>,
    pub(super) order: String,
}

impl Part {
    pub(super) fn all() -> Self {
        Self { filter: String::new(), params: Vec::new(), order: String::new() }
    }
}

/// The key as SQL sees it.
pub(super) struct KeySql {
    /// Text that sorts by its bytes.
    pub(super) text: String,
    /// Whether a row's cell can be a key.
    usable: String,
    unusable: String,
    /// `None`: every row's cell can be a key.
    always: bool,
}

impl KeySql {
    pub(super) fn new(column: &SourceColumn) -> Self {
        let name = super::dialect::Sqlite.quote(&column.name);
        let cast = format!("CAST({name} AS TEXT) COLLATE BINARY");
        if column.row_id {
            return Self { text: cast, usable: String::new(), unusable: String::new(), always: true };
        }
        match (column.logical, column.affinity) {
            // Every cell is NULL, text or a blob, which sort in this order: an index on the column serves all of it.
            (Type::Text, Affinity::Text) => Self {
                text: format!("{name} COLLATE BINARY"),
                usable: format!("{name} COLLATE BINARY >= '' AND {name} < x''"),
                unusable: format!("({name} IS NULL OR {name} >= x'')"),
                always: false,
            },
            (logical, _) => {
                let classes = match logical {
                    Type::Int64 => "('integer')",
                    Type::Float64 | Type::Decimal { .. } => "('integer','real','text')",
                    Type::Binary => "('blob')",
                    _ => "('text','integer')",
                };
                Self {
                    text: cast,
                    usable: format!("typeof({name}) IN {classes}"),
                    unusable: format!("typeof({name}) NOT IN {classes}"),
                    always: false,
                }
            }
        }
    }
}

/// The parts of a full read: first the rows without a usable key, then the rest by key.
pub(super) fn full(column: &SourceColumn, after: Option<&Key>) -> Vec<Part> {
    let key = KeySql::new(column);
    let mut keyed = Part { filter: key.usable.clone(), params: Vec::new(), order: key.text.clone() };
    if let Some(after) = after {
        let and = if keyed.filter.is_empty() { "" } else { " AND " };
        keyed.filter = format!("{}{and}{} > ?1", keyed.filter, key.text);
        keyed.params.push(SqlValue::Text(after.as_str().to_owned()));
        return vec![keyed];
    }
    if key.always {
        return vec![keyed];
    }
    vec![Part { filter: key.unusable, params: Vec::new(), order: String::new() }, keyed]
}

/// How a column is compared as a cursor: an expression, and whether a cell is one.
pub(super) struct CursorSql {
    pub(super) number: String,
    pub(super) usable: String,
}

impl CursorSql {
    pub(super) fn new(column: &SourceColumn) -> Result<Self> {
        let name = super::dialect::Sqlite.quote(&column.name);
        let classes = |classes: &str| format!("typeof({name}) IN {classes}");
        Ok(match column.logical {
            Type::Int64 => Self { usable: classes("('integer')"), number: name },
            Type::Decimal { .. } | Type::Float64 => Self {
                usable: format!("(typeof({name}) = 'integer' OR (typeof({name}) = 'real' AND abs({name}) < 9e999))"),
                number: name,
            },
            Type::Text => {
                Self { usable: classes("('text','integer')"), number: format!("CAST({name} AS TEXT) COLLATE BINARY") }
            }
            Type::Date | Type::Time | Type::Timestamp | Type::TimestampTz => {
                let number = format!("{TIME_FUNCTION}({name})");
                Self { usable: format!("{number} IS NOT NULL"), number }
            }
            other => return Err(no_order(&column.name, &other.to_string())),
        })
    }
}

/// The value of a cursor as a parameter, in the form of [`CursorSql::number`].
fn parameter(column: &SourceColumn, value: &Value) -> Result<SqlValue> {
    Ok(match (column.logical, value) {
        (_, Value::Int(whole)) => SqlValue::Integer(*whole),
        (_, Value::Float(x)) => SqlValue::Real(*x),
        (Type::Decimal { .. } | Type::Float64 | Type::Int64, Value::Decimal(number)) => {
            let text = number.normalized().to_string();
            match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => SqlValue::Integer(whole),
                (_, Ok(x)) => SqlValue::Real(x),
                _ => return Err(Error::internal("a cursor is not a number")),
            }
        }
        (Type::Text, value) => SqlValue::Text(value.to_string()),
        (_, Value::Date(days)) => SqlValue::Integer((*days).into()),
        (_, Value::Time(us) | Value::Timestamp(us) | Value::TimestampTz(us)) => SqlValue::Integer(*us),
        (logical, value) => return Err(other_type(&column.name, logical, value)),
    })
}

/// The parts of a cursor read: first the rows without a usable cursor, then those in `(from, to]`.
pub(super) fn window(
    column: &SourceColumn,
    key: &SourceColumn,
    from: Option<&CursorPoint>,
    to: &CursorPoint,
) -> Result<Vec<Part>> {
    let cursor = CursorSql::new(column)?;
    let number = &cursor.number;
    let key_text = format!("coalesce({}, '')", KeySql::new(key).text);
    let mut filter = cursor.usable.clone();
    let mut params = Vec::new();
    let mut bound = |point: &CursorPoint, inside: &str, tie: &str| -> Result<()> {
        params.push(parameter(column, &point.value)?);
        let at = params.len();
        match &point.key {
            Some(key) => {
                params.push(SqlValue::Text(key.as_str().to_owned()));
                let tied = params.len();
                filter +=
                    &format!(" AND {number} {inside}= ?{at} AND ({number} {inside} ?{at} OR {key_text} {tie} ?{tied})");
            }
            // No key: the point stands after all rows of its value.
            None if inside == ">" => filter += &format!(" AND {number} > ?{at}"),
            None => filter += &format!(" AND {number} <= ?{at}"),
        }
        Ok(())
    };
    if let Some(from) = from {
        bound(from, ">", ">")?;
    }
    bound(to, "<", "<=")?;
    Ok(vec![
        Part { filter: format!("NOT ({})", cursor.usable), params: Vec::new(), order: String::new() },
        Part { filter, params, order: format!("{number}, {key_text}") },
    ])
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::read::select;
    use super::*;

    fn plan(connection: &Connection, column: &SourceColumn, after: Option<&Key>) -> String {
        let mut steps = Vec::new();
        for part in full(column, after) {
            let sql = select(std::slice::from_ref(column), "t", &part.filter, &part.order);
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
            let rows = statement.query_map(rusqlite::params_from_iter(&part.params), |row| row.get::<_, String>(3));
            steps.extend(rows.expect("steps").map(|step| step.expect("a step")));
        }
        steps.join("; ")
    }

    #[test]
    fn a_text_key_is_read_by_its_index() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch("CREATE TABLE t (k TEXT PRIMARY KEY, v)").expect("a table");
        let column = SourceColumn {
            name: "k".into(),
            declared: "TEXT".into(),
            logical: Type::Text,
            affinity: Affinity::Text,
            max_length: None,
            nullable: true,
            filled: false,
            generated: false,
            row_id: false,
        };
        for after in [None, Some(Key::new("x"))] {
            let plan = plan(&connection, &column, after.as_ref());
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
        }
    }
}
