//! What is in the account: databases, schemas, relations, columns, and what a query gives. Asked with SHOW and
//! DESCRIBE, which need no running warehouse and cost nothing.

use tidegate_model::ports::{Entry, Place};
use tidegate_model::schema::{Column, Relation, RelationKind, RelationSchema, Source};
use tidegate_model::time::parse_timestamptz;
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};

use super::server::{Row, Rows, Server, describe, look};
use super::streams::{self, Stream};
use super::types::{Kind, Snowflake, length_of_words, literal, step_of_words};
use super::wire::{RowType, Session};
use crate::findings::Dialect;
use crate::fit::Slot;
use crate::near::{did_you_mean, near};
pub(super) use crate::sources::title;

/// Names looked at for near matches.
const NEAR_NAMES_MAX: usize = 10_000;
/// Places beside the databases, for the drop-downs of a connection's settings. No database without quotes is named so.
const WAREHOUSES: &str = "@warehouses";
const ROLES: &str = "@roles";

/// A column of a source.
#[derive(Debug, Clone)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    pub(super) native: String,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) filled: bool,
    pub(super) generated: bool,
    /// Has an order and an equality of its own, of a language.
    pub(super) collated: bool,
}

impl SourceColumn {
    fn described(row: Row<'_>) -> Self {
        let native = row.get("type").unwrap_or_default().to_owned();
        let kind = Kind::of_words(&native);
        Self {
            name: row.get("name").unwrap_or_default().to_owned(),
            kind,
            nullable: row.get("null?") != Some("N"),
            filled: row.get("default").is_some(),
            generated: row.get("kind") == Some("VIRTUAL") || row.get("expression").is_some(),
            collated: native.to_uppercase().contains("COLLATE"),
            native,
        }
    }

    fn of_result(column: &RowType) -> Self {
        let kind = Kind::of_row(column);
        let native = match kind.logical() {
            Type::Int64 => format!("NUMBER({},0)", column.precision.unwrap_or(38)),
            logical => Snowflake.native(logical, None),
        };
        Self {
            name: column.name.clone(),
            native,
            kind,
            nullable: column.nullable.unwrap_or(true),
            filled: false,
            generated: false,
            collated: column.collation.as_deref().is_some_and(|collation| !collation.is_empty()),
        }
    }

    pub(super) fn quoted(&self) -> String {
        Snowflake.quote(&self.name)
    }

    pub(super) fn logical(&self) -> Type {
        self.kind.logical()
    }

    /// The column as texts and keys are compared: by their bytes.
    pub(super) fn plain(&self, table: &str) -> String {
        let name = format!("{table}{}", self.quoted());
        if self.collated { format!("COLLATE({name}, 'utf8')") } else { name }
    }

    /// What it takes when written.
    pub(super) fn slot(&self) -> Slot {
        Slot {
            // PARSE_JSON, by which rows come in, does not take it.
            no_nul: true,
            generated: self.generated,
            step_us: step_of_words(&self.native),
            writable: self.kind != Kind::Printed,
            ..Slot::plain(self.column())
        }
    }

    fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            logical: self.logical(),
            native: self.native.clone(),
            nullable: self.nullable,
            max_length: length_of_words(&self.native),
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
    primary_key: Vec<String>,
    pub(super) change_tracking: bool,
    history_days: Option<u32>,
    rows_estimate: Option<u64>,
    /// When the table or view was made (microseconds).
    pub(super) made: Option<i64>,
    /// The stream by which it was named: all else is that of what the stream is on.
    pub(super) stream: Option<Stream>,
    view: bool,
    /// A table that takes rows; of a stream, the one that it is on.
    pub(super) writable: bool,
}

impl Shape {
    /// Whether what is read is a view.
    pub(super) fn on_view(&self) -> bool {
        self.view
    }

    /// The table or view that a relation stands for: a stream for what it is on.
    pub(super) fn base<'a>(&'a self, relation: &'a Relation) -> &'a Relation {
        self.stream.as_ref().map_or(relation, |stream| &stream.on)
    }

    pub(super) fn column(&self, name: &str, source: &Source) -> Result<&SourceColumn> {
        crate::sources::column(&self.columns, |column| &column.name, name, source)
    }

    pub(super) fn describe(&self) -> RelationSchema {
        RelationSchema {
            kind: self.kind,
            columns: self.columns.iter().map(SourceColumn::column).collect(),
            primary_key: self.primary_key.clone(),
            change_tracking: self.change_tracking,
            appends: false,
            history_days: self.history_days,
            rows_estimate: self.rows_estimate,
        }
    }
}

/// A relation with all of its parts: database, schema, name.
pub(super) fn parts(server: &Server, relation: &Relation) -> Result<[String; 3]> {
    let (database, schema) = server.place();
    let missing = |what: &str| {
        Error::config(format!("{relation} does not say its {what}, and neither does the connection"))
            .hint(format!("set `{what}:` of the connection, or write {what} and name with a point between"))
    };
    let database = || database.map(str::to_owned).ok_or_else(|| missing("database"));
    let schema = || schema.map(str::to_owned).ok_or_else(|| missing("schema"));
    match relation.0.as_slice() {
        [table] => Ok([database()?, schema()?, table.clone()]),
        [schema, table] => Ok([database()?, schema.clone(), table.clone()]),
        [database, schema, table] => Ok([database.clone(), schema.clone(), table.clone()]),
        _ => Err(Error::new(ErrorKind::NotFound, format!("{relation} is not there"))
            .hint("relations have three parts: database, schema and name")),
    }
}

/// Quotes the parts of a name.
pub(super) fn dotted(parts: &[String]) -> String {
    parts.iter().map(|part| Snowflake.quote(part)).collect::<Vec<_>>().join(".")
}

/// The catalogue: databases, schemas, relations.
pub(super) async fn browse(server: &Server, session: &Session, at: &Place) -> Result<Vec<Entry>> {
    let doing = "list the catalogue";
    let listed = |rows: Rows, kind: &str| -> Vec<Entry> {
        let names = rows.iter().filter_map(|row| row.get("name").map(str::to_owned));
        let ours = |name: &str| {
            name.eq_ignore_ascii_case("information_schema") || (kind == "schema" && name == server.work_schema)
        };
        let entry = |name| Entry { name, kind: kind.to_owned(), container: true, note: None };
        names.filter(|name| !ours(name)).map(entry).collect()
    };
    match at.0.as_slice() {
        [] => Ok(listed(look(session, "SHOW TERSE DATABASES", &[], doing).await?, "database")),
        [settings] if settings == WAREHOUSES => choices(session, "warehouse").await,
        [settings] if settings == ROLES => choices(session, "role").await,
        [database] => {
            missing_place(session, "DATABASES", "", database).await?;
            let sql = format!("SHOW TERSE SCHEMAS IN DATABASE {}", Snowflake.quote(database));
            Ok(listed(look(session, &sql, &[], doing).await?, "schema"))
        }
        [database, schema] => {
            let within = format!(" IN DATABASE {}", Snowflake.quote(database));
            missing_place(session, "SCHEMAS", &within, schema).await?;
            let sql = format!("SHOW OBJECTS IN SCHEMA {}", dotted(&at.0));
            let rows = look(session, &sql, &[], doing).await?;
            let mut entries: Vec<Entry> = rows.iter().filter_map(relation_entry).collect();
            entries.extend(streams::list(session, &at.0, doing).await?.into_iter().map(stream_entry));
            Ok(entries)
        }
        _ => Err(no_place(at)),
    }
}

/// What a connection can be set to: the warehouses and roles that this user may take.
async fn choices(session: &Session, kind: &str) -> Result<Vec<Entry>> {
    let doing = format!("list the {kind}s");
    let entry = |name: &str, note| Entry { name: name.to_owned(), kind: kind.to_owned(), container: false, note };
    if kind == "warehouse" {
        let rows = look(session, "SHOW WAREHOUSES", &[], &doing).await?;
        let one = |row: Row<'_>| Some(entry(row.get("name")?, row.get("size").map(str::to_owned)));
        return Ok(rows.iter().filter_map(one).collect());
    }
    let rows = look(session, "SELECT CURRENT_AVAILABLE_ROLES()", &[], &doing).await?;
    let names: Vec<String> = serde_json::from_str(rows.one().unwrap_or("[]"))
        .map_err(|error| Error::internal("the roles cannot be read").cause(error))?;
    Ok(names.iter().map(|name| entry(name, None)).collect())
}

fn stream_entry(stream: Stream) -> Entry {
    let stale = if stream.stale { ", stale" } else { "" };
    let note = Some(format!("changes of {}{stale}", stream.on));
    let [.., name] = stream.name;
    Entry { name, kind: "stream".into(), container: false, note }
}

fn relation_entry(row: Row<'_>) -> Option<Entry> {
    let view = row.get("kind").is_some_and(|kind| kind.to_uppercase().contains("VIEW"));
    let note = row.get("rows").filter(|_| !view).map(|rows| format!("about {rows} rows"));
    let kind = if view { "view" } else { "table" };
    Some(Entry { name: row.get("name")?.to_owned(), kind: kind.into(), container: false, note })
}

fn no_place(at: &Place) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no place {}", at.0.join(".")))
        .hint("`tidegate discover CONNECTION` lists the databases; schemas stand below them, and relations below those")
}

/// An error if a database or schema is not there. A list of what is within would simply be empty.
async fn missing_place(session: &Session, what: &str, within: &str, name: &str) -> Result<()> {
    let sql = format!("SHOW TERSE {what} LIKE {}{within}", literal(name));
    let rows = look(session, &sql, &[], "list the catalogue").await?;
    if rows.iter().any(|row| row.get("name") == Some(name)) {
        return Ok(());
    }
    Err(no_place(&Place(vec![name.to_owned()])))
}

/// A source as it is read; `whole` with the keys that only a description needs.
pub(super) async fn shape(server: &Server, session: &Session, source: &Source, whole: bool) -> Result<Shape> {
    match source {
        Source::Relation(relation) => relation_shape(server, session, relation, whole).await,
        Source::Query(query) => query_shape(session, query).await,
    }
}

/// Near matches of a relation that is not there.
pub(super) async fn near_names(server: &Server, session: &Session, relation: &Relation) -> Vec<String> {
    let Ok([database, ..]) = parts(server, relation) else { return Vec::new() };
    let sql = format!("SHOW TERSE OBJECTS IN DATABASE {} LIMIT {NEAR_NAMES_MAX}", Snowflake.quote(&database));
    let Ok(rows) = look(session, &sql, &[], "look for near names").await else { return Vec::new() };
    let known: Vec<(&str, &str)> =
        rows.iter().filter_map(|row| Some((row.get("schema_name")?, row.get("name")?))).collect();
    let mut found = near(relation.table(), known.iter().map(|(_, name)| *name));
    found.dedup();
    let full =
        |name: &str| known.iter().find(|(_, known)| *known == name).map(|(schema, name)| format!("{schema}.{name}"));
    found.into_iter().filter_map(full).collect()
}

async fn relation_shape(server: &Server, session: &Session, relation: &Relation, whole: bool) -> Result<Shape> {
    let doing = format!("describe {relation}");
    let parts = parts(server, relation)?;
    if let Some(shape) = base_shape(session, &parts, whole, &doing).await? {
        return Ok(shape);
    }
    let Some(stream) = streams::find(session, &parts, &doing).await? else {
        return Err(not_there(server, session, relation, &parts).await);
    };
    let base = super::catalog::parts(server, &stream.on)?;
    match base_shape(session, &base, whole, &doing).await? {
        Some(shape) => Ok(Shape { kind: RelationKind::Stream, stream: Some(stream), ..shape }),
        None => Err(Error::new(
            ErrorKind::NotFound,
            format!("{relation} is a stream on {}, which is not there, or not for this role", stream.on),
        )
        .hint(grants(server, &base))),
    }
}

/// A table or a view; `None` if there is none of this name.
async fn base_shape(session: &Session, parts: &[String; 3], whole: bool, doing: &str) -> Result<Option<Shape>> {
    let (from, within) = (dotted(parts), dotted(&parts[..2]));
    let mut found = None;
    for (what, kind) in [("TABLES", RelationKind::Table), ("VIEWS", RelationKind::View)] {
        let sql = format!("SHOW {what} LIKE {} IN SCHEMA {within}", literal(&parts[2]));
        match look(session, &sql, &[], doing).await {
            Ok(rows) => {
                found = rows.iter().find(|row| row.get("name") == Some(&parts[2])).map(|row| Shape::shown(row, kind));
            }
            // The schema is not there, or closed to us: the relation's own message says more.
            Err(error) if error.kind == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
        if found.is_some() {
            break;
        }
    }
    let Some(mut shape) = found else { return Ok(None) };
    let what = if shape.view { "VIEW" } else { "TABLE" };
    shape.columns = columns_of(session, what, &from, doing).await?;
    if whole && shape.kind == RelationKind::Table {
        shape.primary_key = keys(session, &from, doing).await?;
    }
    shape.from = from;
    Ok(Some(shape))
}

/// The columns of a table or view.
pub(super) async fn columns_of(session: &Session, what: &str, from: &str, doing: &str) -> Result<Vec<SourceColumn>> {
    let described = look(session, &format!("DESCRIBE {what} {from}"), &[], doing).await?;
    Ok(described.iter().map(SourceColumn::described).collect())
}

impl Shape {
    fn bare(kind: RelationKind) -> Self {
        Self {
            kind,
            from: String::new(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            change_tracking: false,
            history_days: None,
            rows_estimate: None,
            made: None,
            stream: None,
            view: kind == RelationKind::View,
            writable: kind == RelationKind::Table,
        }
    }

    /// What SHOW says of a relation. Tables that Snowflake fills itself are read like views.
    fn shown(row: Row<'_>, kind: RelationKind) -> Self {
        let yes = |name: &str| row.get(name).is_some_and(|value| matches!(value, "Y" | "ON" | "true"));
        let closed = yes("is_external") || yes("is_dynamic") || yes("is_event");
        Self {
            kind: if closed { RelationKind::View } else { kind },
            writable: kind == RelationKind::Table && !closed,
            change_tracking: yes("change_tracking"),
            history_days: row.get("retention_time").and_then(|days| days.parse().ok()),
            rows_estimate: row.get("rows").and_then(|rows| rows.parse().ok()),
            made: row.get("created_on").and_then(|made| parse_timestamptz(made).ok()),
            ..Self::bare(kind)
        }
    }
}

async fn keys(session: &Session, from: &str, doing: &str) -> Result<Vec<String>> {
    let rows = look(session, &format!("SHOW PRIMARY KEYS IN TABLE {from}"), &[], doing).await?;
    let mut keys: Vec<(u32, String)> = rows
        .iter()
        .filter_map(|row| Some((row.get("key_sequence")?.parse().ok()?, row.get("column_name")?.to_owned())))
        .collect();
    keys.sort_unstable();
    Ok(keys.into_iter().map(|(_, name)| name).collect())
}

async fn not_there(server: &Server, session: &Session, relation: &Relation, parts: &[String; 3]) -> Error {
    let near = near_names(server, session, relation).await;
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    Error::new(ErrorKind::NotFound, format!("{relation} is not there, or not for this role"))
        .hint(did_you_mean(&near, &grants(server, parts)))
}

/// The grants that reading a relation takes.
pub(super) fn grants(server: &Server, parts: &[String; 3]) -> String {
    let role = server.role().map_or_else(|| "<role>".to_owned(), |role| Snowflake.quote(role));
    format!(
        "GRANT USAGE ON DATABASE {} TO ROLE {role}; GRANT USAGE ON SCHEMA {} TO ROLE {role}; GRANT SELECT ON {} TO ROLE {role};",
        dotted(&parts[..1]),
        dotted(&parts[..2]),
        dotted(parts)
    )
}

/// A query is one SELECT: it stands within brackets that it cannot close, and no request takes a second statement.
async fn query_shape(session: &Session, query: &str) -> Result<Shape> {
    let query = query.trim().trim_end_matches(';').trim_end();
    let doing = "prepare the query";
    // Proven on its own first: what is a whole statement cannot close the bracket that it is put into below.
    let alone = describe(session, query, doing).await?;
    let from = format!("(\n{query}\n) AS \"query\"");
    let answer = describe(session, &format!("SELECT * FROM {from}"), doing).await.map_err(|error| {
        if error.kind == ErrorKind::BadRequest { error.hint("`query:` takes one SELECT") } else { error }
    })?;
    if alone.columns.len() != answer.columns.len() {
        return Err(
            Error::new(ErrorKind::Forbidden, "the query is more than one statement").hint("`query:` takes one SELECT")
        );
    }
    let columns: Vec<SourceColumn> = answer.columns.iter().map(SourceColumn::of_result).collect();
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|earlier| earlier.name == column.name) {
            return Err(Error::config(format!("the query gives the column {} twice", column.name))
                .hint("give each column its own name with AS"));
        }
    }
    Ok(Shape { from, columns, ..Shape::bare(RelationKind::Query) })
}
