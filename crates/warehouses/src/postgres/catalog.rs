//! What is in the database: schemas, relations, columns, and what a query gives.

use std::collections::HashMap;

use tidegate_model::ports::{Entry, Place};
use tidegate_model::schema::{Column, Relation, RelationKind, RelationSchema, Source};
use tidegate_model::{Error, ErrorKind, Result};
use tokio_postgres::Client;

use super::errors::classify;
use super::types::{Known, Postgres, Wire, known};
use crate::findings::Dialect;
use crate::fit::Slot;
use crate::near::{did_you_mean, near};
pub(super) use crate::sources::title;

/// Names looked at for near matches.
const NEAR_NAMES_MAX: i64 = 10_000;

/// A column of a source.
#[derive(Debug, Clone)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    pub(super) native: String,
    pub(super) known: Known,
    pub(super) nullable: bool,
    pub(super) filled: bool,
    pub(super) generated: bool,
}

impl SourceColumn {
    pub(super) fn quoted(&self) -> String {
        Postgres.quote(&self.name)
    }

    /// The expression that sends the column in the form that [`super::decode`] reads.
    pub(super) fn sent(&self, table: &str) -> String {
        let name = format!("{table}{}", self.quoted());
        match self.known.wire {
            Wire::Padded | Wire::Printed => format!("{name}::text"),
            Wire::Texts | Wire::Array => format!("array_to_json({name})::text"),
            _ => name,
        }
    }

    /// What it takes when written.
    pub(super) fn slot(&self) -> Slot {
        let wire = self.known.wire;
        Slot {
            int_bits: match wire {
                Wire::Int2 => 16,
                Wire::Int4 => 32,
                _ => 64,
            },
            single: wire == Wire::Float4,
            no_nul: true,
            generated: self.generated,
            step_us: self.known.step_us,
            uuid: wire == Wire::Uuid,
            padded: wire == Wire::Padded,
            writable: !matches!(wire, Wire::Printed | Wire::Array),
            ..Slot::plain(self.column())
        }
    }

    fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            logical: self.known.logical,
            native: self.native.clone(),
            nullable: self.nullable,
            max_length: self.known.max_length,
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
    /// Rows carry the transaction that wrote them.
    pub(super) has_xmin: bool,
    pub(super) oid: Option<u32>,
    pub(super) schema: Option<String>,
    rows_estimate: Option<u64>,
}

impl Shape {
    pub(super) fn column(&self, name: &str, source: &Source) -> Result<&SourceColumn> {
        crate::sources::column(&self.columns, |column| &column.name, name, source)
    }

    pub(super) fn describe(&self) -> RelationSchema {
        RelationSchema {
            kind: self.kind,
            columns: self.columns.iter().map(SourceColumn::column).collect(),
            primary_key: self.primary_key.clone(),
            change_tracking: false,
            appends: false,
            history_days: None,
            rows_estimate: self.rows_estimate,
        }
    }
}

/// The catalogue: schemas, then relations.
pub(super) async fn browse(client: &Client, at: &Place) -> Result<Vec<Entry>> {
    let fail = |error: tokio_postgres::Error| classify(&error, "list the catalogue");
    if at.0.is_empty() {
        let sql = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \
                   AND pg_catalog.has_schema_privilege(oid, 'USAGE') ORDER BY nspname";
        let rows = client.query(sql, &[]).await.map_err(fail)?;
        let entry = |name: String| Entry { name, kind: "schema".into(), container: true, note: None };
        return Ok(rows.iter().map(|row| entry(row.get(0))).collect());
    }
    let [schema] = at.0.as_slice() else {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no place {}", at.0.join(".")))
            .hint("name a schema; tables stand below it"));
    };
    let sql = "SELECT c.relname, c.relkind::text, c.reltuples::int8 FROM pg_catalog.pg_class c \
               WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) \
               AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition ORDER BY c.relname";
    let rows = client.query(sql, &[schema]).await.map_err(fail)?;
    if rows.is_empty() {
        let found = client.query_opt("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", &[schema]).await;
        if found.map_err(fail)?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no schema {schema}"))
                .hint("`tidegate discover CONNECTION` lists the schemas"));
        }
    }
    Ok(rows
        .iter()
        .map(|row| {
            let (kind, rows): (String, i64) = (row.get(1), row.get(2));
            let kind = if matches!(kind.as_str(), "v" | "m") { "view" } else { "table" };
            let note = (rows >= 0).then(|| format!("about {rows} rows"));
            Entry { name: row.get(0), kind: kind.into(), container: false, note }
        })
        .collect())
}

/// A source as it is read.
pub(super) async fn shape(client: &Client, source: &Source) -> Result<Shape> {
    match source {
        Source::Relation(relation) => relation_shape(client, relation).await,
        Source::Query(query) => query_shape(client, query).await,
    }
}

/// Near matches of a relation that is not there.
pub(super) async fn near_names(client: &Client, relation: &Relation) -> Vec<String> {
    let sql = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' LIMIT $1";
    let rows = client.query(sql, &[&NEAR_NAMES_MAX]).await.unwrap_or_default();
    let names: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut found = near(relation.table(), names.iter().map(|(_, name)| name.as_str()));
    found.dedup();
    let full =
        |name: &&str| names.iter().find(|(_, known)| known == name).map(|(schema, name)| format!("{schema}.{name}"));
    found.iter().filter_map(full).collect()
}

async fn relation_shape(client: &Client, relation: &Relation) -> Result<Shape> {
    let fail = |error: tokio_postgres::Error| classify(&error, &format!("describe {relation}"));
    let schema = match relation.0.as_slice() {
        [_] => None,
        [.., schema, _] => Some(schema.as_str()),
        [] => None,
    };
    let sql = "SELECT c.oid, n.nspname, c.relkind::text, c.reltuples::int8 FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
               AND CASE WHEN $2::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END";
    let found = client.query_opt(sql, &[&relation.table(), &schema]).await.map_err(fail)?;
    let Some(found) = found.filter(|_| relation.0.len() <= 3) else {
        let near = near_names(client, relation).await;
        let near: Vec<&str> = near.iter().map(String::as_str).collect();
        return Err(Error::new(ErrorKind::NotFound, format!("{relation} is not there"))
            .hint(did_you_mean(&near, "`tidegate discover` lists what is there")));
    };
    let (oid, namespace): (u32, String) = (found.get(0), found.get(1));
    let (kind, rows): (String, i64) = (found.get(2), found.get(3));
    let from = format!("{}.{}", Postgres.quote(&namespace), Postgres.quote(relation.table()));
    let mut columns = columns_of(client, &from).await.map_err(fail)?;
    attributes(client, oid, &mut columns).await.map_err(fail)?;
    let (primary_key, unique) = indexes(client, oid).await.map_err(fail)?;
    let view = matches!(kind.as_str(), "v" | "m");
    Ok(Shape {
        kind: if view { RelationKind::View } else { RelationKind::Table },
        from,
        columns,
        primary_key,
        unique,
        has_xmin: matches!(kind.as_str(), "r" | "p"),
        oid: Some(oid),
        schema: Some(namespace),
        rows_estimate: u64::try_from(rows).ok(),
    })
}

/// Names and types as the server sends them: domains as the types below them.
async fn columns_of(client: &Client, from: &str) -> std::result::Result<Vec<SourceColumn>, tokio_postgres::Error> {
    let statement = client.prepare(&format!("SELECT * FROM {from}")).await?;
    let column = |column: &tokio_postgres::Column| SourceColumn {
        name: column.name().to_owned(),
        native: column.type_().name().to_owned(),
        known: known(column.type_(), column.type_modifier()),
        nullable: true,
        filled: false,
        generated: false,
    };
    Ok(statement.columns().iter().map(column).collect())
}

async fn attributes(
    client: &Client,
    oid: u32,
    columns: &mut [SourceColumn],
) -> std::result::Result<(), tokio_postgres::Error> {
    let sql = "SELECT attname, pg_catalog.format_type(atttypid, atttypmod), attnotnull, \
               atthasdef OR attidentity <> '', attgenerated <> '' OR attidentity = 'a' \
               FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped";
    let rows = client.query(sql, &[&oid]).await?;
    let by_name: HashMap<&str, &tokio_postgres::Row> = rows.iter().map(|row| (row.get(0), row)).collect();
    for column in columns.iter_mut() {
        if let Some(row) = by_name.get(column.name.as_str()) {
            column.native = row.get(1);
            column.nullable = !row.get::<_, bool>(2);
            column.filled = row.get(3);
            column.generated = row.get(4);
        }
    }
    Ok(())
}

async fn indexes(client: &Client, oid: u32) -> std::result::Result<(Vec<String>, Vec<String>), tokio_postgres::Error> {
    let sql = "SELECT i.indisprimary, (SELECT array_agg(a.attname::text ORDER BY k.at) \
                 FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(attnum, at) \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum), i.indnkeyatts::int4 \
               FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL";
    let (mut primary_key, mut unique) = (Vec::new(), Vec::new());
    for row in client.query(sql, &[&oid]).await? {
        let columns: Option<Vec<String>> = row.get(1);
        let columns = columns.unwrap_or_default();
        // An index on an expression has fewer columns than parts.
        if let (1, [only]) = (row.get::<_, i32>(2), columns.as_slice()) {
            unique.push(only.clone());
        }
        if row.get(0) {
            primary_key = columns;
        }
    }
    Ok((primary_key, unique))
}

/// A query is one SELECT: the extended protocol takes no second statement, the transaction lets nothing be written.
async fn query_shape(client: &Client, query: &str) -> Result<Shape> {
    let query = query.trim().trim_end_matches(';');
    let fail = |error: tokio_postgres::Error| classify(&error, "prepare the query");
    // Proven on its own first: what is a whole statement cannot close the bracket that it is put into below.
    let alone = client.prepare(query).await.map_err(fail)?;
    if alone.columns().is_empty() || !alone.params().is_empty() {
        return Err(
            Error::new(ErrorKind::Forbidden, "the query does not only read rows").hint("`query:` takes one SELECT")
        );
    }
    let from = format!("(\n{query}\n) AS \"query\"");
    let columns = columns_of(client, &from).await.map_err(fail)?;
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|earlier| earlier.name == column.name) {
            return Err(Error::config(format!("the query gives the column {} twice", column.name))
                .hint("give each column its own name with AS"));
        }
    }
    Ok(Shape {
        kind: RelationKind::Query,
        from,
        columns,
        primary_key: Vec::new(),
        unique: Vec::new(),
        has_xmin: false,
        oid: None,
        schema: None,
        rows_estimate: None,
    })
}
