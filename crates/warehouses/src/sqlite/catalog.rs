//! What is in the file: tables, views, their columns, and what a query gives.

use rusqlite::{Connection, OptionalExtension};
use tidegate_model::ports::{Entry, Place};
use tidegate_model::schema::{Column, Relation, RelationKind, RelationSchema, Source};
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};

use super::client::File;
use super::dialect::{DIGITS_MAX, Sqlite};
use super::types::{Affinity, Stored, affinity, shared, stored};
use crate::findings::Dialect;
use crate::fit::Slot;
use crate::near::{did_you_mean, near};
pub(super) use crate::sources::title;

/// Cells looked at for the type of a column that does not say it.
const SAMPLE_ROWS: u32 = 1_000;

/// A column of a source.
#[derive(Debug, Clone)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) logical: Type,
    pub(super) affinity: Affinity,
    pub(super) max_length: Option<u32>,
    pub(super) nullable: bool,
    pub(super) filled: bool,
    pub(super) generated: bool,
    /// The table's own row number.
    pub(super) row_id: bool,
}

impl SourceColumn {
    /// What it takes when written.
    pub(super) fn slot(&self) -> Slot {
        let numbers = matches!(self.logical, Type::Decimal { .. }) && self.affinity != Affinity::Text;
        Slot {
            digits_max: numbers.then_some(DIGITS_MAX),
            generated: self.generated,
            // A text column of numeric affinity would turn '007' into 7.
            writable: !(self.logical == Type::Text
                && matches!(self.affinity, Affinity::Numeric | Affinity::Integer | Affinity::Real)),
            ..Slot::plain(self.column())
        }
    }

    fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            logical: self.logical,
            native: self.declared.clone(),
            nullable: self.nullable,
            max_length: self.max_length,
            filled: self.filled,
        }
    }
}

/// A source with its columns, ready to be read.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) kind: RelationKind,
    /// What stands after FROM.
    pub(super) from: String,
    pub(super) columns: Vec<SourceColumn>,
    pub(super) primary_key: Vec<String>,
    /// Columns with a unique index of their own.
    pub(super) unique: Vec<String>,
}

impl Shape {
    pub(super) fn column(&self, name: &str, source: &Source) -> Result<&SourceColumn> {
        crate::sources::column(&self.columns, |column| &column.name, name, source)
    }
}

/// Tables and views by name, ours and SQLite's own left out.
fn names(connection: &Connection, file: &File) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(
        "SELECT name, type FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut names: Vec<(String, String)> = rows.collect::<rusqlite::Result<_>>()?;
    names.retain(|(name, _)| !file.owns(name));
    Ok(names)
}

/// The catalogue: one level.
pub(super) fn browse(connection: &Connection, file: &File, at: &Place) -> Result<Vec<Entry>> {
    if !at.0.is_empty() && at.0 != ["main"] {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no place {}", at.0.join(".")))
            .hint("tables and views stand at the top"));
    }
    let names = names(connection, file).map_err(|error| file.error(&error, "list tables"))?;
    Ok(names.into_iter().map(|(name, kind)| Entry { name, kind, container: false, note: None }).collect())
}

/// Near matches of a relation that is not there.
pub(super) fn near_names(connection: &Connection, file: &File, relation: &Relation) -> Vec<String> {
    let names = names(connection, file).unwrap_or_default();
    near(relation.table(), names.iter().map(|(name, _)| name.as_str())).into_iter().map(str::to_owned).collect()
}

/// A source as it is read.
pub(super) fn shape(connection: &Connection, file: &File, source: &Source) -> Result<Shape> {
    match source {
        Source::Relation(relation) => relation_shape(connection, file, relation),
        Source::Query(query) => query_shape(connection, file, query),
    }
}

fn relation_shape(connection: &Connection, file: &File, relation: &Relation) -> Result<Shape> {
    let table = relation.table();
    if relation.0.len() > 2 || (relation.0.len() == 2 && relation.0[0] != "main") {
        return Err(Error::new(ErrorKind::NotFound, format!("{relation} is not there"))
            .hint("a table of a SQLite file has a name of one part"));
    }
    let fail = |error: rusqlite::Error| file.error(&error, &format!("describe {relation}"));
    let kind: Option<String> = connection
        .query_row(
            "SELECT type FROM main.sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')",
            [table],
            |row| row.get(0),
        )
        .optional()
        .map_err(fail)?;
    let Some(kind) = kind else {
        let near = near_names(connection, file, relation);
        let near: Vec<&str> = near.iter().map(String::as_str).collect();
        return Err(Error::new(ErrorKind::NotFound, format!("{relation} is not there"))
            .hint(did_you_mean(&near, "`tidegate discover` lists what is there")));
    };
    let from = format!("\"main\".{}", Sqlite.quote(table));
    let is_view = kind == "view";
    let (mut columns, primary_key) = table_columns(connection, table).map_err(fail)?;
    sample(connection, &from, &mut columns).map_err(fail)?;
    let unique = if is_view { Vec::new() } else { unique_columns(connection, table, &primary_key).map_err(fail)? };
    let kind = if is_view { RelationKind::View } else { RelationKind::Table };
    Ok(Shape { kind, from, columns, primary_key, unique })
}

fn table_columns(connection: &Connection, table: &str) -> rusqlite::Result<(Vec<SourceColumn>, Vec<String>)> {
    let sql = "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1, 'main')";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([table])?;
    let mut columns = Vec::new();
    let mut keys: Vec<(i64, String)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
        let (not_null, default): (bool, bool) = (row.get(2)?, row.get(3)?);
        let (key, hidden): (i64, i64) = (row.get(4)?, row.get(5)?);
        if hidden == 1 {
            continue; // a virtual table's hidden column
        }
        if key > 0 {
            keys.push((key, name.clone()));
        }
        let generated = hidden > 1;
        columns.push(SourceColumn {
            nullable: !not_null,
            filled: default || generated,
            generated,
            ..undescribed(name, declared)
        });
    }
    keys.sort();
    let keys: Vec<String> = keys.into_iter().map(|(_, name)| name).collect();
    if let [only] = keys.as_slice() {
        let row_id = has_row_id(connection, table);
        for column in columns.iter_mut().filter(|column| column.name == *only) {
            // The one type name that makes a primary key the row number itself, filled when left out.
            if column.declared.eq_ignore_ascii_case("INTEGER") && row_id {
                (column.row_id, column.filled, column.nullable) = (true, true, false);
            }
        }
    }
    Ok((columns, keys))
}

fn has_row_id(connection: &Connection, table: &str) -> bool {
    let sql = "SELECT wr = 0 FROM pragma_table_list WHERE schema = 'main' AND name = ?1 AND type = 'table'";
    connection.query_row(sql, [table], |row| row.get(0)).unwrap_or(false)
}

fn undescribed(name: String, declared: String) -> SourceColumn {
    let affinity = affinity(&declared);
    let Stored { logical, affinity, max_length } =
        stored(&declared).unwrap_or(Stored { logical: Type::Text, affinity, max_length: None });
    SourceColumn {
        name,
        declared,
        logical,
        affinity,
        max_length,
        nullable: true,
        filled: false,
        generated: false,
        row_id: false,
    }
}

/// Columns with a unique index that covers nothing else and all rows.
fn unique_columns(connection: &Connection, table: &str, primary_key: &[String]) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT min(i.name) FROM pragma_index_list(?1, 'main') AS l, pragma_index_info(l.name, 'main') AS i \
               WHERE l.\"unique\" = 1 AND l.partial = 0 GROUP BY l.name HAVING count(*) = 1 AND min(i.name) IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let mut columns: Vec<String> = statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if let [only] = primary_key {
        columns.push(only.clone());
    }
    Ok(columns)
}

/// A query is one SELECT that changes nothing.
fn query_shape(connection: &Connection, file: &File, query: &str) -> Result<Shape> {
    let fail = |error: rusqlite::Error| file.error(&error, "prepare the query");
    let query = query.trim().trim_end_matches(';');
    let refuse =
        |why: &str| Error::new(ErrorKind::Forbidden, format!("the query {why}")).hint("`query:` takes one SELECT");
    // Proven on its own first: what is a whole statement cannot close the bracket that it is put into below.
    let alone = connection.prepare(query).map_err(fail)?;
    if alone.column_count() == 0 || !alone.readonly() || alone.is_explain() != 0 {
        return Err(refuse("does not only read rows"));
    }
    drop(alone);
    let from = format!("(\n{query}\n) AS \"query\"");
    let statement = connection.prepare(&format!("SELECT * FROM {from}")).map_err(fail)?;
    let mut columns: Vec<SourceColumn> = statement
        .columns()
        .map(|column| undescribed(column.name().to_owned(), column.decl_type().unwrap_or("").to_owned()))
        .collect();
    drop(statement);
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|earlier| earlier.name == column.name) {
            return Err(Error::config(format!("the query gives the column {} twice", column.name))
                .hint("give each column its own name with AS"));
        }
    }
    sample(connection, &from, &mut columns).map_err(fail)?;
    Ok(Shape { kind: RelationKind::Query, from, columns, primary_key: Vec::new(), unique: Vec::new() })
}

/// Finds the types of columns that do not say them.
fn sample(connection: &Connection, from: &str, columns: &mut [SourceColumn]) -> rusqlite::Result<()> {
    let silent: Vec<usize> = (0..columns.len()).filter(|at| stored(&columns[*at].declared).is_none()).collect();
    if silent.is_empty() {
        return Ok(());
    }
    let classes: Vec<String> =
        silent.iter().map(|at| format!("typeof({})", Sqlite.quote(&columns[*at].name))).collect();
    let sql = format!("SELECT {} FROM {from} LIMIT {SAMPLE_ROWS}", classes.join(", "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut seen: Vec<Vec<String>> = vec![Vec::new(); silent.len()];
    while let Some(row) = rows.next()? {
        for (at, classes) in seen.iter_mut().enumerate() {
            let class: String = row.get(at)?;
            if !classes.contains(&class) {
                classes.push(class);
            }
        }
    }
    for (at, classes) in silent.into_iter().zip(&seen) {
        columns[at].logical = shared(classes.iter().map(String::as_str));
    }
    Ok(())
}

/// A source as people see it.
pub(super) fn describe(connection: &Connection, file: &File, source: &Source) -> Result<RelationSchema> {
    let shape = shape(connection, file, source)?;
    // The highest row number is found at once, and is the number of rows of a table that only grew.
    let rows_estimate = match shape.kind {
        RelationKind::Table => {
            let sql = format!("SELECT max(rowid) FROM {}", shape.from);
            connection.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0)).ok().map(|most| most.unwrap_or(0))
        }
        _ => None,
    };
    Ok(RelationSchema {
        kind: shape.kind,
        columns: shape.columns.iter().map(SourceColumn::column).collect(),
        primary_key: shape.primary_key,
        change_tracking: false,
        appends: false,
        history_days: None,
        rows_estimate: rows_estimate.and_then(|most| u64::try_from(most).ok()),
    })
}
