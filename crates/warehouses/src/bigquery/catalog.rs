//! What is in the project: datasets, relations, columns, and what a query gives. Asked by REST and dry runs, which
//! cost nothing.

use serde_json::Value as Json;
use tidegate_model::ports::{Entry, Place};
use tidegate_model::schema::{Column, Relation, RelationKind, RelationSchema, Source};
use tidegate_model::{Error, ErrorKind, Result};

use super::server::{Param, Server, number};
use super::types::{BigQuery, Kind, native};
use crate::findings::Dialect;
use crate::fit::Slot;
use crate::near::{did_you_mean, near};
pub(super) use crate::sources::title;

/// Entries of one answer.
const ENTRIES: &str = "1000";
/// Pages of a listing; a dataset of more tables is listed in part.
const PAGES_MAX: usize = 50;

/// A column of a source.
#[derive(Debug, Clone)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    pub(super) native: String,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) filled: bool,
    /// Compares without regard to case.
    pub(super) collated: bool,
    max_length: Option<u32>,
    /// The REST form, by which staging tables declare nested fields.
    pub(super) field: Json,
}

impl SourceColumn {
    fn of_field(field: &Json) -> Self {
        let kind = Kind::of_field(field);
        Self {
            name: field["name"].as_str().unwrap_or_default().to_owned(),
            native: native(field),
            kind,
            nullable: field["mode"] != "REQUIRED",
            filled: !field["defaultValueExpression"].is_null(),
            collated: field["collation"].as_str().is_some_and(|collation| !collation.is_empty()),
            max_length: number(&field["maxLength"])
                .filter(|_| kind == Kind::Text)
                .and_then(|most| u32::try_from(most).ok()),
            field: field.clone(),
        }
    }

    pub(super) fn quoted(&self) -> String {
        BigQuery.quote(&self.name)
    }

    /// The column as texts and keys are compared: by their bytes.
    pub(super) fn plain(&self, table: &str) -> String {
        let name = format!("{table}{}", self.quoted());
        if self.collated { format!("COLLATE({name}, '')") } else { name }
    }

    /// What it takes when written.
    pub(super) fn slot(&self) -> Slot {
        Slot { repeated: self.kind == Kind::Array, writable: self.kind != Kind::Printed, ..Slot::plain(self.column()) }
    }

    fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            logical: self.kind.logical(),
            native: self.native.clone(),
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
    primary_key: Vec<String>,
    rows_estimate: Option<u64>,
    change_tracking: bool,
    history_days: Option<u32>,
    /// Milliseconds since 1970.
    pub(super) created_ms: Option<u64>,
    pub(super) modified_ms: Option<u64>,
    /// Rows wait in a buffer that no time of change tells of.
    pub(super) streaming: bool,
    pub(super) location: Option<String>,
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
            change_tracking: self.change_tracking,
            appends: self.kind == RelationKind::Table,
            history_days: self.history_days,
            rows_estimate: self.rows_estimate,
        }
    }
}

/// A relation with all of its parts: project, dataset, name.
pub(super) fn parts(server: &Server, relation: &Relation) -> Result<[String; 3]> {
    let dataset = || {
        server.dataset.clone().ok_or_else(|| {
            Error::config(format!("{relation} does not say its dataset, and neither does the connection"))
                .hint("set `dataset:` of the connection, or write dataset and name with a point between")
        })
    };
    match relation.0.as_slice() {
        [table] => Ok([server.project.clone(), dataset()?, table.clone()]),
        [dataset, table] => Ok([server.project.clone(), dataset.clone(), table.clone()]),
        [project, dataset, table] => Ok([project.clone(), dataset.clone(), table.clone()]),
        _ => Err(Error::new(ErrorKind::NotFound, format!("{relation} is not there"))
            .hint("relations have three parts: project, dataset and name")),
    }
}

/// Quotes the parts of a name.
pub(super) fn dotted(parts: &[String]) -> String {
    parts.iter().map(|part| BigQuery.quote(part)).collect::<Vec<_>>().join(".")
}

/// The catalogue: projects, datasets, relations.
pub(super) async fn browse(server: &Server, at: &Place) -> Result<Vec<Entry>> {
    let container = |name: String, kind: &str| Entry { name, kind: kind.to_owned(), container: true, note: None };
    match at.0.as_slice() {
        [] => {
            let listed = list(server, &["projects"], "projects").await?;
            let mut names: Vec<String> = listed
                .iter()
                .filter_map(|one| one["projectReference"]["projectId"].as_str().map(str::to_owned))
                .collect();
            // A right to use a project is no right to list it.
            names.push(server.project.clone());
            names.sort_unstable();
            names.dedup();
            Ok(names.into_iter().map(|name| container(name, "database")).collect())
        }
        [project] => {
            let listed = list(server, &["projects", project, "datasets"], "datasets").await;
            let listed = listed.map_err(|error| no_place(at, error))?;
            let names = listed.iter().filter_map(|one| one["datasetReference"]["datasetId"].as_str());
            let theirs = names.filter(|name| *name != server.work || *project != server.project);
            Ok(theirs.map(|name| container(name.to_owned(), "schema")).collect())
        }
        [project, dataset] => {
            let listed = list(server, &["projects", project, "datasets", dataset, "tables"], "tables").await;
            let listed = listed.map_err(|error| no_place(at, error))?;
            Ok(listed.iter().filter_map(relation_entry).collect())
        }
        _ => Err(no_place(at, Error::new(ErrorKind::NotFound, "relations have nothing below them"))),
    }
}

async fn list(server: &Server, parts: &[&str], what: &str) -> Result<Vec<Json>> {
    let doing = "list the catalogue";
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut query = vec![("maxResults", ENTRIES)];
        query.extend(token.as_deref().map(|token| ("pageToken", token)));
        let mut json = server.rest.get(parts, &query, doing).await?.map_err(|refusal| refusal.error(doing))?;
        if let Json::Array(entries) = json[what].take() {
            found.extend(entries);
        }
        match json["nextPageToken"].as_str().filter(|token| !token.is_empty()) {
            Some(next) => token = Some(next.to_owned()),
            None => break,
        }
    }
    Ok(found)
}

fn relation_entry(table: &Json) -> Option<Entry> {
    let kind = if kind_of(table) == RelationKind::Table { "table" } else { "view" };
    let partitioned = table["timePartitioning"]["type"].as_str().map(|unit| format!("partitioned by {unit}"));
    let note = partitioned.or_else(|| table["rangePartitioning"].is_object().then(|| "partitioned".to_owned()));
    Some(Entry {
        name: table["tableReference"]["tableId"].as_str()?.to_owned(),
        kind: kind.into(),
        container: false,
        note,
    })
}

/// Only plain tables are written; what BigQuery fills itself is read like a view.
fn kind_of(table: &Json) -> RelationKind {
    if table["type"] == "TABLE" { RelationKind::Table } else { RelationKind::View }
}

fn no_place(at: &Place, error: Error) -> Error {
    if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::BadRequest) {
        return error;
    }
    Error::new(ErrorKind::NotFound, format!("there is no place {}", at.0.join(".")))
        .cause(error)
        .hint("`tidegate discover CONNECTION` lists the projects; datasets stand below them, and relations below those")
}

/// A source as it is read; `whole` with what only a description needs.
pub(super) async fn shape(server: &Server, source: &Source, whole: bool) -> Result<Shape> {
    match source {
        Source::Relation(relation) => relation_shape(server, relation, whole).await,
        Source::Query(query) => query_shape(server, query).await,
    }
}

/// Near matches of a relation that is not there.
pub(super) async fn near_names(server: &Server, relation: &Relation) -> Vec<String> {
    let Ok([project, dataset, table]) = parts(server, relation) else { return Vec::new() };
    let Ok(listed) = list(server, &["projects", &project, "datasets", &dataset, "tables"], "tables").await else {
        return Vec::new();
    };
    let known = listed.iter().filter_map(|one| one["tableReference"]["tableId"].as_str());
    near(&table, known).into_iter().map(|name| format!("{dataset}.{name}")).collect()
}

async fn relation_shape(server: &Server, relation: &Relation, whole: bool) -> Result<Shape> {
    let doing = format!("describe {relation}");
    let parts = parts(server, relation)?;
    let [project, dataset, table] = &parts;
    let told = server.rest.get(&["projects", project, "datasets", dataset, "tables", table], &[], &doing).await?;
    let table = match told {
        Ok(table) => table,
        Err(refusal) => {
            let error = refusal.error(&doing);
            return Err(if error.kind == ErrorKind::NotFound { not_there(server, relation).await } else { error });
        }
    };
    let kind = kind_of(&table);
    let change_tracking = whole && kind == RelationKind::Table && history(server, &parts, &doing).await?;
    let history_days = if change_tracking { days(server, &parts).await? } else { None };
    let names = |list: &Json| -> Vec<String> {
        let names = list.as_array().map(Vec::as_slice).unwrap_or_default();
        names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let fields = table["schema"]["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Shape {
        kind,
        from: dotted(&parts),
        columns: fields.iter().map(SourceColumn::of_field).collect(),
        primary_key: names(&table["tableConstraints"]["primaryKey"]["columns"]),
        rows_estimate: number(&table["numRows"]).filter(|_| kind == RelationKind::Table),
        change_tracking,
        history_days,
        created_ms: number(&table["creationTime"]),
        modified_ms: number(&table["lastModifiedTime"]),
        streaming: table["streamingBuffer"].is_object(),
        location: table["location"].as_str().map(str::to_owned),
    })
}

/// Whether BigQuery keeps the history that CHANGES reads. Only this table of options tells; asking it is billed as
/// 10 MB.
async fn history(server: &Server, parts: &[String; 3], doing: &str) -> Result<bool> {
    let sql = format!(
        "SELECT option_value FROM {}.INFORMATION_SCHEMA.TABLE_OPTIONS \
         WHERE table_name = @p0 AND option_name = 'enable_change_history'",
        dotted(&parts[..2])
    );
    match server.attempt(&sql, &[Param::text(parts[2].clone())], true, doing).await? {
        Ok(answer) => Ok(answer.one().is_some_and(|value| value.eq_ignore_ascii_case("true"))),
        Err(refusal) => {
            let error = refusal.error(doing);
            // The right to read a table is not the right to read its options: then it is read without them.
            if error.kind == ErrorKind::Forbidden { Ok(false) } else { Err(error) }
        }
    }
}

/// Days that a dataset lets time travel reach back: seven, where it says nothing.
async fn days(server: &Server, [project, dataset, _]: &[String; 3]) -> Result<Option<u32>> {
    let told = server.rest.get(&["projects", project, "datasets", dataset], &[], "look at the dataset").await?;
    // Who may read a table may not always look at its dataset.
    let Ok(told) = told else { return Ok(None) };
    let hours = number(&told["maxTimeTravelHours"]).unwrap_or(168);
    Ok(u32::try_from(hours / 24).ok())
}

async fn not_there(server: &Server, relation: &Relation) -> Error {
    let near = near_names(server, relation).await;
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    Error::new(ErrorKind::NotFound, format!("{relation} is not there, or not for this login"))
        .hint(did_you_mean(&near, "roles/bigquery.dataViewer on its dataset lets us see it"))
}

/// A query is one SELECT: BigQuery itself says so before it is run.
async fn query_shape(server: &Server, query: &str) -> Result<Shape> {
    let query = query.trim().trim_end_matches(';').trim_end();
    let doing = "prepare the query";
    let alone = server.dry_run(query, &[], doing).await?;
    let from = format!("(\n{query}\n)");
    let whole = match alone.kind.as_deref() {
        Some("SELECT") => server.dry_run(&format!("SELECT * FROM {from}"), &[], doing).await?,
        other => {
            let kind = other.unwrap_or("nothing that can be read").to_lowercase().replace('_', " ");
            return Err(
                Error::new(ErrorKind::Forbidden, format!("the query is {kind}")).hint("`query:` takes one SELECT")
            );
        }
    };
    if whole.kind.as_deref() != Some("SELECT") || whole.fields.len() != alone.fields.len() {
        return Err(
            Error::new(ErrorKind::Forbidden, "the query is more than one statement").hint("`query:` takes one SELECT")
        );
    }
    let columns: Vec<SourceColumn> = alone.fields.iter().map(SourceColumn::of_field).collect();
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
        rows_estimate: None,
        change_tracking: false,
        history_days: None,
        created_ms: None,
        modified_ms: None,
        streaming: false,
        location: None,
    })
}

/// A column for the tests of others.
#[cfg(test)]
pub(super) fn column_of(name: &str, mut field: Json) -> SourceColumn {
    field["name"] = name.into();
    SourceColumn::of_field(&field)
}
