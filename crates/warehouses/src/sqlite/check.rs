//! Whether what a sync needs is there. Nothing is touched.

use rusqlite::Connection;
use tidegate_model::finding::Finding;
use tidegate_model::ports::Need;
use tidegate_model::schema::{Relation, RelationKind, Source};
use tidegate_model::{ErrorKind, Result};

use super::catalog::{SourceColumn, near_names, shape, title};
use super::client::File;
use super::dialect::Sqlite;
use crate::findings::{Table, Wish, missing_columns, missing_table, of_error, of_relation, read_only, write_findings};

/// All findings of all needs.
pub(super) fn check(file: &File, needs: &[Need]) -> Vec<Finding> {
    let connection = match file.reader() {
        Ok(connection) => connection,
        Err(error) => return vec![of_error(&error)],
    };
    let mut findings = Vec::new();
    if needs.iter().any(|need| matches!(need, Need::Write { .. })) {
        findings.extend(may_write(file, &connection));
    }
    for need in needs {
        match need {
            Need::Connect | Need::Follow { .. } => {}
            Need::Read { source, columns } => findings.extend(read_findings(&connection, file, source, columns)),
            Need::Write { relation, key, columns, mode } => {
                let wish = Wish { key: key.as_deref(), columns, mode: *mode };
                findings.extend(target_findings(&connection, file, relation, &wish));
            }
        }
    }
    findings
}

fn may_write(file: &File, connection: &Connection) -> Vec<Finding> {
    if !file.write {
        return vec![read_only(&file.name)];
    }
    if let Err(error) = file.writer() {
        let fix = format!("chmod u+w '{}'", file.path.display());
        return vec![Finding::critical(error.code(), error.to_string(), fix)];
    }
    let journal: rusqlite::Result<String> = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0));
    if journal.is_ok_and(|mode| mode != "wal") {
        return vec![Finding::warning(
            "no_wal",
            format!(
                "{} is not in WAL mode: programs that read it and tidegate's writes wait for each other",
                file.path.display()
            ),
            "PRAGMA journal_mode = WAL;",
        )];
    }
    Vec::new()
}

fn read_findings(connection: &Connection, file: &File, source: &Source, columns: &[String]) -> Vec<Finding> {
    match shape(connection, file, source) {
        Ok(shape) => {
            let known: Vec<&str> = shape.columns.iter().map(|column| column.name.as_str()).collect();
            missing_columns(columns, &known, &title(source))
        }
        Err(error) => vec![of_relation(&error)],
    }
}

fn target_findings(connection: &Connection, file: &File, relation: &Relation, wish: &Wish<'_>) -> Vec<Finding> {
    match target_shape(connection, file, relation) {
        Ok(Some((kind, columns, unique))) => {
            let slots: Vec<_> = columns.iter().map(SourceColumn::slot).collect();
            write_findings(&Sqlite, &Table { relation, kind, slots: &slots, unique: &unique }, wish)
        }
        Ok(None) => {
            let near = near_names(connection, file, relation);
            let near: Vec<&str> = near.iter().map(String::as_str).collect();
            vec![missing_table(&Sqlite, relation, wish, &near)]
        }
        Err(error) => vec![of_relation(&error)],
    }
}

type Target = (RelationKind, Vec<SourceColumn>, Vec<String>);

fn target_shape(connection: &Connection, file: &File, relation: &Relation) -> Result<Option<Target>> {
    match shape(connection, file, &Source::Relation(relation.clone())) {
        Ok(shape) => Ok(Some((shape.kind, shape.columns, shape.unique))),
        Err(error) if error.kind == ErrorKind::NotFound && relation.0.len() == 1 => Ok(None),
        Err(error) => Err(error),
    }
}
