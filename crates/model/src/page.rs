//! Pages: columns in Arrow, with what could not be put into a column said beside it.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, TimeUnit};
use async_trait::async_trait;

use crate::error::Result;
use crate::value::Type;

/// Name of the column in which a platform's page carries its own record ids (text, never NULL).
pub const REMOTE_ID: &str = "_id";
/// Name of the column that holds the time of a record's last change (timestamp microseconds UTC, may be NULL).
pub const UPDATED_AT: &str = "_updated_at";
/// Name of the column that says a record is gone (bool); only in reads of changes.
pub const DELETED: &str = "_deleted";
/// Metadata key on an Arrow field that tells JSON and list columns (both Utf8) from text: `json` or `list`.
pub const LOGICAL: &str = "tidegate.logical";

/// Metadata key on a mapped page's Arrow field: in a merge into a platform, a NULL of this column leaves alone what
/// stands there (`nulls: skip`).
pub const KEEP: &str = "tidegate.keep";

/// A cell that does not fit its column's type. The array holds NULL in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Row within the page.
    pub row: usize,
    /// Column within the page.
    pub column: usize,
    /// Rule, such as `wrong_type`, `sub_microsecond`, `out_of_range`.
    pub rule: &'static str,
    /// For a person; never holds the value.
    pub reason: String,
}

/// Some rows, columnar.
#[derive(Debug, Clone)]
pub struct Page {
    /// The rows. Column types are those of [`arrow_type`].
    pub rows: RecordBatch,
    /// Cells that did not fit, ordered by row.
    pub misfits: Vec<Misfit>,
}

impl Page {
    /// A page where every cell fits.
    pub fn new(rows: RecordBatch) -> Self {
        Self { rows, misfits: Vec::new() }
    }
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }
    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes of its cells. What its columns have set aside says nothing: a page may be a part of a larger one, and share all of
    /// its memory.
    pub fn bytes(&self) -> usize {
        let cells = |column: &ArrayRef| {
            column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
        };
        self.rows.columns().iter().map(cells).sum()
    }
}

/// Pages one after the other. Dropping it ends the read and gives back its resources.
///
/// Contract: `None` means complete – every row has been handed out; an error means that the read is *not* complete
/// and nothing may be concluded from rows that are missing. After `None` or an error the stream is not asked again.
/// Implementations read ahead by a bounded number of pages at most.
#[async_trait]
pub trait PageStream: Send {
    /// The next page; never an empty one.
    async fn next(&mut self) -> Result<Option<Page>>;
}

/// A stream of pages behind a pointer.
pub type Pages = Box<dyn PageStream>;

/// Pages that are in memory already.
pub struct Held(pub std::collections::VecDeque<Page>);

impl Held {
    /// A stream of one page (none at all if it is empty).
    pub fn one(page: Page) -> Self {
        Self(if page.is_empty() { Default::default() } else { [page].into() })
    }
}

#[async_trait]
impl PageStream for Held {
    async fn next(&mut self) -> Result<Option<Page>> {
        Ok(self.0.pop_front())
    }
}

/// The Arrow type that carries a logical type. JSON and lists travel as Utf8 (canonical JSON text).
pub fn arrow_type(logical: Type) -> DataType {
    match logical {
        Type::Bool => DataType::Boolean,
        Type::Int64 => DataType::Int64,
        Type::Decimal { precision, scale } if precision <= 38 => DataType::Decimal128(precision, scale),
        Type::Decimal { precision, scale } => DataType::Decimal256(precision, scale),
        Type::Float64 => DataType::Float64,
        Type::Text | Type::Json | Type::List => DataType::Utf8,
        Type::Date => DataType::Date32,
        Type::Time => DataType::Time64(TimeUnit::Microsecond),
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Binary => DataType::Binary,
    }
}

/// The Arrow field of a column of a logical type, always nullable.
pub fn arrow_field(name: &str, logical: Type) -> Field {
    let field = Field::new(name, arrow_type(logical), true);
    match logical {
        Type::Json => field.with_metadata([(LOGICAL.to_owned(), "json".to_owned())]),
        Type::List => field.with_metadata([(LOGICAL.to_owned(), "list".to_owned())]),
        _ => field,
    }
}

/// The logical type of an Arrow field made by [`arrow_field`]; `None` for types that no connector of ours makes.
pub fn logical_type(field: &Field) -> Option<Type> {
    Some(match field.data_type() {
        DataType::Boolean => Type::Bool,
        DataType::Int64 => Type::Int64,
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            Type::Decimal { precision: *precision, scale: *scale }
        }
        DataType::Float64 => Type::Float64,
        DataType::Utf8 => match field.metadata().get(LOGICAL).map(String::as_str) {
            Some("json") => Type::Json,
            Some("list") => Type::List,
            _ => Type::Text,
        },
        DataType::Date32 => Type::Date,
        DataType::Time64(TimeUnit::Microsecond) => Type::Time,
        DataType::Timestamp(TimeUnit::Microsecond, None) => Type::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Type::TimestampTz,
        DataType::Binary => Type::Binary,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::PageBuilder;
    use crate::value::Value;

    #[test]
    fn a_part_of_a_page_weighs_what_is_in_it() {
        let mut builder = PageBuilder::new(&[("a".to_owned(), Type::Text), ("b".to_owned(), Type::Int64)]);
        for _ in 0..1_000 {
            builder.push(&Value::text("ten bytes."));
            builder.push(&Value::Int(7));
            builder.end_row();
        }
        let whole = builder.take().expect("a page");
        let part = Page::new(whole.rows.slice(500, 10));
        // 10 bytes of text and 4 of its place, 8 of a number.
        assert!((22_000..23_000).contains(&whole.bytes()), "{}", whole.bytes());
        assert!((220..260).contains(&part.bytes()), "{}", part.bytes());
    }
}
