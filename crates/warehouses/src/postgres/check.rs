//! Whether what a sync needs is there, and permitted. Nothing is touched.

use tidegate_model::finding::Finding;
use tidegate_model::ports::Need;
use tidegate_model::schema::{Relation, RelationKind, Source};
use tidegate_model::sync::WriteMode;
use tidegate_model::{Error, ErrorKind, Result};
use tokio_postgres::Client;

use super::catalog::{Shape, SourceColumn, near_names, shape, title};
use super::client::Server;
use super::errors::classify;
use super::types::Postgres;
use crate::findings::{
    Dialect, Table, Wish, missing_columns, missing_table, of_error, of_relation, read_only, write_findings,
};

/// All findings of all needs.
pub(super) async fn check(server: &Server, needs: &[Need]) -> Vec<Finding> {
    let session = match server.session().await {
        Ok(session) => session,
        Err(error) => return vec![of_error(&error)],
    };
    let look = Look { client: &session.client };
    let mut findings = Vec::new();
    if needs.iter().any(|need| matches!(need, Need::Write { .. })) {
        if server.write {
            findings.extend(look.work_schema(&server.work_schema).await.unwrap_or_else(|error| vec![of_error(&error)]));
        } else {
            findings.push(read_only(&server.name));
        }
    }
    for need in needs {
        let found = match need {
            Need::Connect | Need::Follow { .. } => Ok(Vec::new()),
            Need::Read { source, columns } => look.source(source, columns).await,
            Need::Write { relation, key, columns, mode } => {
                look.target(relation, &Wish { key: key.as_deref(), columns, mode: *mode }).await
            }
        };
        findings.extend(found.unwrap_or_else(|error| vec![of_relation(&error)]));
    }
    server.keep(session);
    findings
}

struct Look<'a> {
    client: &'a Client,
}

impl Look<'_> {
    async fn yes(&self, sql: &str, params: &[&(dyn tokio_postgres::types::ToSql + Sync)]) -> Result<bool> {
        let fail = |error: tokio_postgres::Error| classify(&error, "look up rights");
        let row = self.client.query_opt(sql, params).await.map_err(fail)?;
        Ok(row.and_then(|row| row.get::<_, Option<bool>>(0)).unwrap_or(false))
    }

    async fn user(&self) -> Result<String> {
        let row = self.client.query_one("SELECT current_user::text", &[]).await;
        Ok(Postgres.quote(row.map_err(|error| classify(&error, "look up rights"))?.get(0)))
    }

    /// Our own schema is made by the first write; here only whether that will work.
    async fn work_schema(&self, schema: &str) -> Result<Vec<Finding>> {
        let quoted = Postgres.quote(schema);
        let user = self.user().await?;
        if !self.yes("SELECT to_regnamespace($1) IS NOT NULL", &[&quoted]).await? {
            if self.yes("SELECT has_database_privilege(current_database(), 'CREATE')", &[]).await? {
                return Ok(Vec::new());
            }
            let why = format!(
                "tidegate keeps its own tables in the schema {schema}, which is not there, and may not be made"
            );
            let fix = format!("CREATE SCHEMA {quoted} AUTHORIZATION {user};");
            return Ok(vec![Finding::critical("missing_work_schema", why, fix)]);
        }
        let tables = "SELECT count(*) = 2 AND bool_and(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') \
             AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')) \
             FROM pg_catalog.pg_class c WHERE c.relnamespace = to_regnamespace($1) AND c.relname IN ('fence', 'span')";
        let usage = self.yes("SELECT has_schema_privilege(to_regnamespace($1), 'USAGE')", &[&quoted]).await?;
        if usage && self.yes(tables, &[&quoted]).await? {
            return Ok(Vec::new());
        }
        let exist = "SELECT count(*) = 2 FROM pg_catalog.pg_class WHERE relnamespace = to_regnamespace($1) AND relname IN ('fence', 'span')";
        let create = self.yes("SELECT has_schema_privilege(to_regnamespace($1), 'CREATE')", &[&quoted]).await?;
        let exist = self.yes(exist, &[&quoted]).await?;
        if usage && create && !exist {
            return Ok(Vec::new());
        }
        let mut fix = format!("GRANT USAGE, CREATE ON SCHEMA {quoted} TO {user};");
        if exist {
            fix += &format!(
                " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {quoted}.\"fence\", {quoted}.\"span\" TO {user};"
            );
        }
        let why = format!("tidegate may not use its own tables in the schema {schema}");
        Ok(vec![Finding::critical("missing_right", why, fix)])
    }

    async fn source(&self, source: &Source, columns: &[String]) -> Result<Vec<Finding>> {
        let shape = match shape(self.client, source).await {
            Err(error) if error.kind == ErrorKind::Forbidden => return self.hidden(source, &["SELECT"], error).await,
            found => found?,
        };
        let known: Vec<&str> = shape.columns.iter().map(|column| column.name.as_str()).collect();
        let mut findings = self.shape_rights(&shape, &["SELECT"]).await?;
        findings.extend(missing_columns(columns, &known, &title(source)));
        Ok(findings)
    }

    async fn target(&self, relation: &Relation, wish: &Wish<'_>) -> Result<Vec<Finding>> {
        let rights = rights_of(wish.mode);
        let source = Source::Relation(relation.clone());
        let shape = match shape(self.client, &source).await {
            Ok(shape) => shape,
            Err(error) if error.kind == ErrorKind::Forbidden => return self.hidden(&source, rights, error).await,
            Err(error) if error.kind == ErrorKind::NotFound && relation.0.len() <= 2 => {
                return self.missing(relation, wish).await.map(|finding| vec![finding]);
            }
            Err(error) => return Err(error),
        };
        let mut findings = Vec::new();
        if shape.kind == RelationKind::Table {
            findings.extend(self.shape_rights(&shape, rights).await?);
        }
        let slots: Vec<_> = shape.columns.iter().map(SourceColumn::slot).collect();
        let table = Table { relation, kind: shape.kind, slots: &slots, unique: &shape.unique };
        findings.extend(write_findings(&Postgres, &table, wish));
        Ok(findings)
    }

    async fn missing(&self, relation: &Relation, wish: &Wish<'_>) -> Result<Finding> {
        let near = near_names(self.client, relation).await;
        let near: Vec<&str> = near.iter().map(String::as_str).collect();
        let mut finding = missing_table(&Postgres, relation, wish, &near);
        if let [schema, _] = relation.0.as_slice() {
            let schema = Postgres.quote(schema);
            if !self.yes("SELECT to_regnamespace($1) IS NOT NULL", &[&schema]).await? {
                finding.fix = format!("CREATE SCHEMA {schema}; {}", finding.fix);
            }
        }
        Ok(finding)
    }

    async fn shape_rights(&self, shape: &Shape, rights: &[&str]) -> Result<Vec<Finding>> {
        match (shape.oid, &shape.schema) {
            (Some(oid), Some(schema)) => self.rights(oid, schema, &shape.from, rights).await,
            _ => Ok(Vec::new()),
        }
    }

    /// What is missing on a relation that may not even be described, for its schema is closed to us.
    async fn hidden(&self, source: &Source, rights: &[&str], error: Error) -> Result<Vec<Finding>> {
        let Source::Relation(relation) = source else { return Err(error) };
        let [.., schema, table] = relation.0.as_slice() else { return Err(error) };
        let sql = "SELECT oid FROM pg_catalog.pg_class WHERE relname = $1 AND relnamespace = to_regnamespace($2)";
        let row = self.client.query_opt(sql, &[table, &Postgres.quote(schema)]).await;
        let Some(row) = row.map_err(|error| classify(&error, "look up rights"))? else { return Err(error) };
        let from = format!("{}.{}", Postgres.quote(schema), Postgres.quote(table));
        let findings = self.rights(row.get(0), schema, &from, rights).await?;
        if findings.is_empty() { Err(error) } else { Ok(findings) }
    }

    /// Rights on a relation and its schema. A right on some columns counts: which ones is found out by the call.
    async fn rights(&self, oid: u32, schema: &str, from: &str, rights: &[&str]) -> Result<Vec<Finding>> {
        let mut missing = Vec::new();
        for right in rights {
            let sql = match *right {
                "DELETE" => "SELECT has_table_privilege($1::oid, $2)",
                _ => "SELECT has_any_column_privilege($1::oid, $2)",
            };
            if !self.yes(sql, &[&oid, right]).await? {
                missing.push(*right);
            }
        }
        let usage = self.yes("SELECT has_schema_privilege($1, 'USAGE')", &[&schema]).await?;
        if missing.is_empty() && usage {
            return Ok(Vec::new());
        }
        let user = self.user().await?;
        let mut fix = Vec::new();
        if !usage {
            fix.push(format!("GRANT USAGE ON SCHEMA {} TO {user};", Postgres.quote(schema)));
        }
        if !missing.is_empty() {
            fix.push(format!("GRANT {} ON TABLE {} TO {user};", missing.join(", "), from));
        }
        let what = if missing.is_empty() { "USAGE of its schema".to_owned() } else { missing.join(", ") };
        Ok(vec![Finding::critical("missing_right", format!("{user} lacks {what} on {from}"), fix.join(" "))])
    }
}

/// The rights that a way of writing needs.
fn rights_of(mode: WriteMode) -> &'static [&'static str] {
    match mode {
        WriteMode::Append | WriteMode::Insert => &["SELECT", "INSERT"],
        WriteMode::Update => &["SELECT", "UPDATE"],
        WriteMode::Replace => &["SELECT", "INSERT", "DELETE"],
        WriteMode::Upsert => &["SELECT", "INSERT", "UPDATE"],
        WriteMode::Mirror => &["SELECT", "INSERT", "UPDATE", "DELETE"],
    }
}
