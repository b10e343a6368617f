//! Whether what a sync needs is there. Nothing is touched.

use tidegate_model::finding::Finding;
use tidegate_model::ports::Need;
use tidegate_model::schema::{Relation, RelationKind, Source};
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{SourceColumn, dotted, grants, near_names, parts, shape, title};
use super::rights::{Rights, of_connection, of_reading, of_writing};
use super::server::{Server, look};
use super::types::{Snowflake, literal};
use super::wire::Session;
use crate::findings::{
    Dialect, Table, Wish, missing_columns, missing_table, of_error, of_relation, read_only, write_findings,
};

/// All findings of all needs.
pub(super) async fn check(server: &Server, needs: &[Need]) -> Vec<Finding> {
    let session = match server.session().await {
        Ok(session) => session,
        Err(error) => return vec![of_error(&error)],
    };
    let mut findings = Vec::new();
    findings.extend(warehouse(server, &session));
    let rights = match Rights::of(&session).await {
        Ok(rights) => rights,
        Err(error) => {
            let why = format!("the rights of the role cannot be listed, so they are not checked: {error}");
            findings.push(Finding::info("rights_unknown", why));
            None
        }
    };
    findings.extend(rights.iter().flat_map(|rights| of_connection(server, &session, rights)));
    if needs.iter().any(|need| matches!(need, Need::Write { .. })) && !server.write {
        findings.push(read_only(&server.name));
    }
    for need in needs {
        let found = match need {
            Need::Connect => Ok(Vec::new()),
            Need::Read { source, columns } => read(server, &session, source, columns, rights.as_ref()).await,
            Need::Follow { source } => follow(server, &session, source).await,
            Need::Write { relation, key, columns, mode } => {
                let wish = Wish { key: key.as_deref(), columns, mode: *mode };
                write(server, &session, relation, &wish, rights.as_ref()).await
            }
        };
        findings.extend(found.unwrap_or_else(|error| closed(server, rights.as_ref(), need, &error)));
    }
    let mut told = std::collections::BTreeSet::new();
    // One GRANT mends what several needs miss.
    findings.retain(|finding| {
        let by_fix = finding.finding == "missing_right" && !finding.fix.is_empty();
        told.insert((finding.finding.clone(), if by_fix { finding.fix.clone() } else { finding.why.clone() }))
    });
    server.keep(session);
    findings
}

/// Why a relation is not there for us: the right on its database or schema, if that is what is missing.
fn closed(server: &Server, rights: Option<&Rights>, need: &Need, error: &Error) -> Vec<Finding> {
    let relation = match need {
        Need::Read { source: Source::Relation(relation), .. }
        | Need::Follow { source: Source::Relation(relation) }
        | Need::Write { relation, .. } => Some(relation),
        Need::Connect | Need::Read { .. } | Need::Follow { .. } => None,
    };
    let parts = relation.and_then(|relation| parts(server, relation).ok());
    if let (ErrorKind::NotFound | ErrorKind::Forbidden, Some(rights), Some(parts)) = (error.kind, rights, parts) {
        let found = of_reading(rights, &parts);
        // With both of them in hand it may as well not exist: then the names near it help more.
        if found.iter().any(|finding| !finding.fix.contains(" ON TABLE ")) {
            return found;
        }
    }
    vec![of_relation(error)]
}

/// Statements need a warehouse to run in; without one the session begins, and the first read fails.
fn warehouse(server: &Server, session: &Session) -> Option<Finding> {
    let named = session.info().warehouse_name.as_deref().is_some_and(|name| !name.is_empty());
    if named {
        return None;
    }
    let name = server.warehouse().unwrap_or("<warehouse>");
    let role = server.role().unwrap_or("<role>");
    let why = match server.warehouse() {
        Some(name) => format!("the session does not get the warehouse {name}: it is not there, or not for role {role}"),
        None => "the session has no warehouse, so nothing can be read".to_owned(),
    };
    let fix = format!("GRANT USAGE ON WAREHOUSE {} TO ROLE {};", Snowflake.quote(name), Snowflake.quote(role));
    Some(Finding::critical("no_warehouse", why, fix))
}

async fn read(
    server: &Server,
    session: &Session,
    source: &Source,
    columns: &[String],
    rights: Option<&Rights>,
) -> Result<Vec<Finding>> {
    let shape = shape(server, session, source, false).await?;
    let known: Vec<&str> = shape.columns.iter().map(|column| column.name.as_str()).collect();
    let mut findings = missing_columns(columns, &known, &title(source));
    if let Source::Relation(relation) = source {
        let relation = shape.base(relation);
        let listed = rights.map(|rights| Ok((rights, parts(server, relation)?))).transpose()?;
        let exact = listed.map(|(rights, parts)| of_reading(rights, &parts)).unwrap_or_default();
        match readable(server, session, relation, &shape.from).await? {
            Some(_) if !exact.is_empty() => findings.extend(exact),
            found => findings.extend(found),
        }
    }
    Ok(findings)
}

/// Of a stream: whether it can be moved. A sync with `changes: full` reads what it is on, and does without.
async fn follow(server: &Server, session: &Session, source: &Source) -> Result<Vec<Finding>> {
    let shape = shape(server, session, source, false).await?;
    let Some(stream) = &shape.stream else { return Ok(Vec::new()) };
    if stream.stale {
        return Ok(vec![Finding::warning("stale_stream", stream.gone(None).message, stream.anew())]);
    }
    let found = readable(server, session, &Relation(stream.name.to_vec()), &stream.quoted()).await?;
    let role = server.role().map_or_else(|| "<role>".to_owned(), |role| Snowflake.quote(role));
    let fix = format!("GRANT SELECT ON STREAM {} TO ROLE {role};", stream.quoted());
    let mut findings: Vec<Finding> = found.into_iter().map(|finding| Finding { fix: fix.clone(), ..finding }).collect();
    if stream.append_only {
        let why = format!(
            "the stream {} is append-only: rows that are updated or deleted never show in it, so that only a full read delivers them",
            stream.name.join(".")
        );
        findings.push(Finding::warning("append_only_stream", why, stream.anew()));
    }
    Ok(findings)
}

/// DESCRIBE works with any right on a relation; compiling a SELECT proves the right to read.
async fn readable(server: &Server, session: &Session, relation: &Relation, from: &str) -> Result<Option<Finding>> {
    let doing = format!("read {relation}");
    match super::server::describe(session, &format!("SELECT * FROM {from}"), &doing).await {
        Ok(_) => Ok(None),
        Err(error) if matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
            let fix = grants(server, &parts(server, relation)?);
            Ok(Some(Finding::critical("missing_right", format!("{relation} may be seen, but not read"), fix)))
        }
        Err(error) => Err(error),
    }
}

async fn write(
    server: &Server,
    session: &Session,
    relation: &Relation,
    wish: &Wish<'_>,
    rights: Option<&Rights>,
) -> Result<Vec<Finding>> {
    let source = Source::Relation(relation.clone());
    let shape = match shape(server, session, &source, false).await {
        Ok(shape) => shape,
        Err(error) if error.kind == ErrorKind::NotFound => {
            return missing(server, session, relation, wish, error).await.map(|finding| vec![finding]);
        }
        Err(error) => return Err(error),
    };
    let slots: Vec<_> = shape.columns.iter().map(SourceColumn::slot).collect();
    // Snowflake enforces no key, so there is nothing to ask for: writes find duplicates by themselves.
    let unique: Vec<String> = wish.key.iter().map(|key| (*key).to_owned()).collect();
    let relation = shape.base(relation);
    let kind = if shape.writable { RelationKind::Table } else { shape.kind };
    let table = Table { relation, kind, slots: &slots, unique: &unique };
    let mut findings = write_findings(&Snowflake, &table, wish);
    if let Some(rights) = rights {
        findings.extend(of_writing(rights, &parts(server, relation)?));
    }
    Ok(findings)
}

async fn missing(
    server: &Server,
    session: &Session,
    relation: &Relation,
    wish: &Wish<'_>,
    error: Error,
) -> Result<Finding> {
    let Ok(parts) = parts(server, relation) else { return Err(error) };
    let near = near_names(server, session, relation).await;
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    let full = Relation(parts.to_vec());
    let mut finding = missing_table(&Snowflake, &full, wish, &near);
    let sql = format!("SHOW TERSE SCHEMAS LIKE {} IN DATABASE {}", literal(&parts[1]), dotted(&parts[..1]));
    let schemas = look(session, &sql, &[], &format!("describe {relation}")).await?;
    if !schemas.iter().any(|row| row.get("name") == Some(&parts[1])) {
        finding.fix = format!("CREATE SCHEMA {}; {}", dotted(&parts[..2]), finding.fix);
    }
    Ok(finding)
}
