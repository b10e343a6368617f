//! What is said of a source and its columns, whichever warehouse it is in.

use tidegate_model::schema::Source;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, ErrorKind, Result};

use crate::near::{did_you_mean, near};

/// A source in words.
pub(crate) fn title(source: &Source) -> String {
    match source {
        Source::Relation(relation) => relation.to_string(),
        Source::Query(_) => "the query".to_owned(),
    }
}

/// The column of this name.
pub(crate) fn column<'a, C>(
    columns: &'a [C],
    name_of: impl Fn(&'a C) -> &'a str,
    name: &str,
    source: &Source,
) -> Result<&'a C> {
    columns.iter().find(|column| name_of(column) == name).ok_or_else(|| {
        let known: Vec<&str> = columns.iter().map(&name_of).collect();
        let hint = did_you_mean(&near(name, known.iter().copied()), &format!("it has {}", known.join(", ")));
        Error::new(ErrorKind::SchemaChanged, format!("{} has no column {name}", title(source))).hint(hint)
    })
}

/// The error of a cursor on a column that cannot be one.
pub(crate) fn no_order(name: &str, native: &str) -> Error {
    Error::config(format!("column {name} is {native}, which has no order to follow"))
        .hint("take a column of numbers, dates or times as the cursor")
}

/// The error of a cursor whose column has become something else.
pub(crate) fn other_type(name: &str, logical: Type, stands: &Value) -> Error {
    let what = format!("column {name} is {logical}; the cursor stands at a {}", stands.type_name());
    Error::new(ErrorKind::SchemaChanged, what)
        .hint("the column's type changed since the last run: `tidegate reset SYNC --cursor VALUE` starts anew")
}
