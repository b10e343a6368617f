//! Cells: how a value stands in the hub's tables. There are four physical kinds, the same on both databases, so that
//! almost all SQL is shared: whole numbers (also for bool, dates and times), floats, texts (also JSON and lists) and
//! bytes; exact numbers are digits in text, typed as such where the database has a type for them.

use tidegate_model::value::{Decimal, Type, Value};

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 64 bit integer.
    Int,
    /// 64 bit float.
    Real,
    /// Text, ordered by bytes.
    Text,
    /// Bytes.
    Blob,
    /// Exact number: `TEXT` of its digits on SQLite, `NUMERIC` on Postgres. As a cell it is text.
    Dec,
}

impl Kind {
    /// The kind that carries a logical type.
    pub fn of(logical: Type) -> Self {
        match logical {
            Type::Bool | Type::Int64 | Type::Date | Type::Time | Type::Timestamp | Type::TimestampTz => Kind::Int,
            Type::Float64 => Kind::Real,
            Type::Decimal { .. } => Kind::Dec,
            Type::Text | Type::Json | Type::List => Kind::Text,
            Type::Binary => Kind::Blob,
        }
    }
}

/// A cell that owns its content.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Cell {
    /// NULL.
    #[default]
    Null,
    /// Whole number.
    Int(i64),
    /// Float.
    Real(f64),
    /// Text, or the digits of an exact number.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A cell that borrows its content.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CellRef<'a> {
    /// NULL.
    Null,
    /// Whole number.
    Int(i64),
    /// Float.
    Real(f64),
    /// Text, or the digits of an exact number.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl Cell {
    /// Borrows.
    pub fn as_ref(&self) -> CellRef<'_> {
        match self {
            Cell::Null => CellRef::Null,
            Cell::Int(n) => CellRef::Int(*n),
            Cell::Real(x) => CellRef::Real(*x),
            Cell::Text(text) => CellRef::Text(text),
            Cell::Blob(bytes) => CellRef::Blob(bytes),
        }
    }
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Cell::Null)
    }
    /// The whole number within.
    pub fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(n) => Some(*n),
            _ => None,
        }
    }
    /// The text within.
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl CellRef<'_> {
    /// Owns a copy.
    pub fn to_owned(self) -> Cell {
        match self {
            CellRef::Null => Cell::Null,
            CellRef::Int(n) => Cell::Int(n),
            CellRef::Real(x) => Cell::Real(x),
            CellRef::Text(text) => Cell::Text(text.to_owned()),
            CellRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
        }
    }
    /// The value that it stands for in a column of this type.
    pub fn value(self, logical: Type) -> Value {
        match (self, logical) {
            (CellRef::Null, _) => Value::Null,
            (CellRef::Int(n), Type::Bool) => Value::Bool(n != 0),
            (CellRef::Int(n), Type::Date) => Value::Date(i32::try_from(n).unwrap_or(i32::MAX)),
            (CellRef::Int(n), Type::Time) => Value::Time(n),
            (CellRef::Int(n), Type::Timestamp) => Value::Timestamp(n),
            (CellRef::Int(n), Type::TimestampTz) => Value::TimestampTz(n),
            (CellRef::Int(n), _) => Value::Int(n),
            (CellRef::Real(x), _) => Value::Float(x),
            (CellRef::Text(text), Type::Decimal { .. }) => Decimal::parse(text).map_or(Value::Null, Value::Decimal),
            (CellRef::Text(text), Type::Json) => Value::Json(text.into()),
            (CellRef::Text(text), Type::List) => tidegate_model::cells::list_value(text),
            (CellRef::Text(text), _) => Value::text(text),
            (CellRef::Blob(bytes), _) => Value::Binary(bytes.to_vec()),
        }
    }
}

/// Whether two cells of a column of this kind hold the same: exact numbers by number, all else by content.
pub fn same(kind: Kind, a: CellRef<'_>, b: CellRef<'_>) -> bool {
    if let (Kind::Dec, CellRef::Text(x), CellRef::Text(y)) = (kind, a, b) {
        return x == y || matches!((Decimal::parse(x), Decimal::parse(y)), (Some(x), Some(y)) if x == y);
    }
    a == b
}

/// Cells in rows and columns, whoever holds them.
pub trait Grid {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// One cell.
    fn cell(&self, column: usize, row: usize) -> CellRef<'_>;
}

impl Grid for Vec<Vec<Cell>> {
    fn rows(&self) -> usize {
        self.len()
    }
    fn cell(&self, column: usize, row: usize) -> CellRef<'_> {
        self.get(row).and_then(|row| row.get(column)).map_or(CellRef::Null, Cell::as_ref)
    }
}

/// A list of cells is a grid of one column.
impl Grid for Vec<Cell> {
    fn rows(&self) -> usize {
        self.len()
    }
    fn cell(&self, _column: usize, row: usize) -> CellRef<'_> {
        self.get(row).map_or(CellRef::Null, Cell::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_numbers_are_the_same_by_number() {
        assert!(same(Kind::Dec, CellRef::Text("1.50"), CellRef::Text("1.5")));
        assert!(!same(Kind::Text, CellRef::Text("1.50"), CellRef::Text("1.5")));
        assert!(!same(Kind::Dec, CellRef::Text("1.50"), CellRef::Null));
    }

    #[test]
    fn cells_turn_into_values_of_their_type() {
        assert_eq!(CellRef::Int(1).value(Type::Bool), Value::Bool(true));
        assert_eq!(CellRef::Int(3).value(Type::Date), Value::Date(3));
        let exact = CellRef::Text("12.50").value(Type::Decimal { precision: 38, scale: 9 });
        assert_eq!(exact.to_string(), "12.50");
    }
}
