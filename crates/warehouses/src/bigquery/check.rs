//! Whether what a sync needs is there. Nothing is touched.

use serde_json::json;
use tidegate_model::finding::Finding;
use tidegate_model::ports::Need;
use tidegate_model::schema::{Relation, RelationKind, Source};
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{SourceColumn, dotted, near_names, parts, shape, title};
use super::server::Server;
use super::storage;
use super::types::BigQuery;
use crate::findings::{Table, Wish, missing_columns, missing_table, of_error, of_relation, read_only, write_findings};

/// All findings of all needs.
pub(super) async fn check(server: &Server, needs: &[Need]) -> Vec<Finding> {
    let mut findings = match connect(server).await {
        Ok(slow) => Vec::from_iter(slow),
        Err(finding) => return vec![finding],
    };
    let writes = needs.iter().any(|need| matches!(need, Need::Write { .. }));
    if writes && !server.write {
        findings.push(read_only(&server.name));
    }
    if writes && server.write {
        findings.extend(work_place(server).await.unwrap_or_else(|error| Some(of_error(&error))));
    }
    for need in needs {
        let found = match need {
            Need::Connect | Need::Follow { .. } => Ok(Vec::new()),
            Need::Read { source, columns } => read(server, source, columns).await,
            Need::Write { relation, key, columns, mode } => {
                write(server, relation, &Wish { key: key.as_deref(), columns, mode: *mode }).await
            }
        };
        findings.extend(found.unwrap_or_else(|error| vec![of_relation(&error)]));
    }
    findings
}

/// Whether the login may run queries in the project: the API is on, the role is there. A query of no table costs
/// nothing. Whether its result may be read the fast way is good to know.
async fn connect(server: &Server) -> std::result::Result<Option<Finding>, Finding> {
    let project = &server.project;
    match server.attempt("SELECT 1", &[], true, "reach the project").await {
        Ok(Ok(answer)) => match storage::closed(server, &answer, "read a result").await {
            Ok(closed) => Ok(closed.map(|closed| {
                Finding::warning(
                    "slow_reads",
                    format!("results come by REST, which is slower: {}", closed.why),
                    closed.fix,
                )
            })),
            Err(error) => Err(of_error(&error)),
        },
        Ok(Err(refusal)) if refusal.message.contains("has not been used in project") => Err(Finding::critical(
            "api_off",
            format!("the BigQuery API is off in project {project}"),
            format!(
                "gcloud services enable bigquery.googleapis.com bigquerystorage.googleapis.com --project {project}"
            ),
        )),
        Ok(Err(refusal)) => {
            let error = refusal.error("reach the project");
            if error.kind == ErrorKind::NotFound {
                return Err(Finding::critical(
                    "no_project",
                    format!("there is no project {project}, or not for this login"),
                    format!(
                        "name another `project:` in connections/{}.yaml; `gcloud projects list` shows those of a login",
                        server.name
                    ),
                ));
            }
            if error.kind != ErrorKind::Forbidden {
                return Err(of_error(&error));
            }
            Err(Finding::critical(
                "missing_right",
                format!("the login may not run queries in project {project}"),
                grant(project, "roles/bigquery.jobUser"),
            ))
        }
        Err(error) => Err(of_error(&error)),
    }
}

pub(super) fn grant(project: &str, role: &str) -> String {
    format!("gcloud projects add-iam-policy-binding {project} --member=serviceAccount:<login> --role={role}")
}

/// The right to write within a dataset.
fn edit(place: &[String]) -> String {
    format!("GRANT `roles/bigquery.dataEditor` ON SCHEMA {} TO \"serviceAccount:<login>\";", dotted(place))
}

/// The dataset of our own tables: there or to be made, in the place where the connection's queries run, and ours to
/// write in. Dry runs ask for rights and make nothing.
async fn work_place(server: &Server) -> Result<Option<Finding>> {
    let doing = "look at the work dataset";
    let place = [server.project.clone(), server.work.clone()];
    let told = server.rest.get(&["projects", &place[0], "datasets", &place[1]], &[], doing).await?;
    let there = match told {
        Ok(dataset) => dataset["location"].as_str().unwrap_or_default().to_owned(),
        Err(refusal) if refusal.error(doing).kind == ErrorKind::NotFound => {
            let sql = format!("CREATE SCHEMA {}", dotted(&place));
            let fix = format!(
                "bq mk --dataset {}{}:{}; then {}",
                server.location.as_ref().map(|at| format!("--location={at} ")).unwrap_or_default(),
                place[0],
                place[1],
                edit(&place)
            );
            return refused(server, &sql, "make the dataset of tidegate's own tables", fix).await;
        }
        Err(refusal) => return Err(refusal.error(doing)),
    };
    let sql = format!("CREATE TABLE {}.tidegate_check (a INT64)", dotted(&place));
    if let Some(finding) = refused(server, &sql, &format!("make tables in {}", server.work), edit(&place)).await? {
        return Ok(Some(finding));
    }
    let Some(wanted) = server.location.as_deref().filter(|wanted| !wanted.eq_ignore_ascii_case(&there)) else {
        return Ok(None);
    };
    let why = format!(
        "the dataset {} is in {there}, and the connection's queries run in {wanted}: no query sees both",
        server.work
    );
    let fix = format!("name another `work_schema:` in connections/{}.yaml; it is made in {wanted}", server.name);
    Ok(Some(Finding::critical("wrong_location", why, fix)))
}

/// A statement that the login may not run.
async fn refused(server: &Server, sql: &str, what: &str, fix: String) -> Result<Option<Finding>> {
    match server.dry_run(sql, &[], what).await {
        Ok(_) => Ok(None),
        Err(error) if error.kind == ErrorKind::Forbidden => {
            Ok(Some(Finding::critical("missing_right", format!("the login may not {what}"), fix)))
        }
        Err(error) => Err(error),
    }
}

/// What the login may do with a table, as BigQuery itself says.
async fn writable(server: &Server, relation: &Relation) -> Result<Option<Finding>> {
    let [project, dataset, table] = parts(server, relation)?;
    let doing = format!("ask for the rights on {relation}");
    let asked = json!({ "permissions": [SEES, WRITES] });
    let path = ["projects", &project, "datasets", &dataset, "tables", &format!("{table}:testIamPermissions")];
    let told = server.rest.post(&path, &asked, &doing).await?.map_err(|refusal| refusal.error(&doing))?;
    let given =
        |right: &str| told["permissions"].as_array().is_some_and(|rights| rights.iter().any(|one| one == right));
    let lacking: Vec<&str> = [SEES, WRITES].into_iter().filter(|right| !given(right)).collect();
    if lacking.is_empty() {
        return Ok(None);
    }
    let why = format!("the login lacks {} on {relation}", lacking.join(" and "));
    Ok(Some(Finding::critical("missing_right", why, edit(&[project, dataset]))))
}

const SEES: &str = "bigquery.tables.getData";
const WRITES: &str = "bigquery.tables.updateData";

async fn read(server: &Server, source: &Source, columns: &[String]) -> Result<Vec<Finding>> {
    let shape = shape(server, source, false).await?;
    let known: Vec<&str> = shape.columns.iter().map(|column| column.name.as_str()).collect();
    let mut findings = missing_columns(columns, &known, &title(source));
    if let Source::Relation(relation) = source {
        let there: Vec<String> =
            shape.columns.iter().filter(|column| columns.contains(&column.name)).map(SourceColumn::quoted).collect();
        findings.extend(readable(server, relation, &shape.from, &there).await?);
    }
    Ok(findings)
}

/// Seeing a table is one right, reading it another; a dry run proves it, and tells what a full read is billed.
async fn readable(server: &Server, relation: &Relation, from: &str, columns: &[String]) -> Result<Vec<Finding>> {
    let list = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
    match server.dry_run(&format!("SELECT {list} FROM {from}"), &[], &format!("read {relation}")).await {
        Ok(dry) => Ok(server.over_budget(relation, dry.bytes).into_iter().collect()),
        Err(error) if error.kind == ErrorKind::Forbidden => {
            let [project, dataset, _] = parts(server, relation)?;
            let fix = format!(
                "GRANT `roles/bigquery.dataViewer` ON SCHEMA {} TO \"serviceAccount:<login>\";",
                dotted(&[project, dataset])
            );
            Ok(vec![Finding::critical("missing_right", format!("{relation} may be seen, but not read"), fix)])
        }
        Err(error) => Err(error),
    }
}

async fn write(server: &Server, relation: &Relation, wish: &Wish<'_>) -> Result<Vec<Finding>> {
    let source = Source::Relation(relation.clone());
    let shape = match shape(server, &source, false).await {
        Ok(shape) => shape,
        Err(error) if error.kind == ErrorKind::NotFound => {
            return missing(server, relation, wish, error).await.map(|finding| vec![finding]);
        }
        Err(error) => return Err(error),
    };
    let slots: Vec<_> = shape.columns.iter().map(SourceColumn::slot).collect();
    // BigQuery enforces no key, so there is nothing to ask for: writes find duplicates by themselves.
    let unique: Vec<String> = wish.key.iter().map(|key| (*key).to_owned()).collect();
    let table = Table { relation, kind: shape.kind, slots: &slots, unique: &unique };
    let mut findings = write_findings(&BigQuery, &table, wish);
    if shape.kind == RelationKind::Table {
        findings.extend(writable(server, relation).await?);
    }
    Ok(findings)
}

async fn missing(server: &Server, relation: &Relation, wish: &Wish<'_>, error: Error) -> Result<Finding> {
    let Ok(parts) = parts(server, relation) else { return Err(error) };
    let near = near_names(server, relation).await;
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    let mut finding = missing_table(&BigQuery, &Relation(parts.to_vec()), wish, &near);
    let [project, dataset, _] = &parts;
    let doing = format!("describe {relation}");
    let told = server.rest.get(&["projects", project, "datasets", dataset], &[], &doing).await?;
    if let Err(refusal) = told {
        let error = refusal.error(&doing);
        if error.kind != ErrorKind::NotFound {
            return Err(error);
        }
        let place = server.location.as_ref().map(|at| format!(" OPTIONS (location = '{at}')")).unwrap_or_default();
        finding.fix = format!("CREATE SCHEMA {}{place}; {}", dotted(&parts[..2]), finding.fix);
    }
    Ok(finding)
}
