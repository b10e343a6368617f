//! `check`: what both sides would have to change before a run can work.

use tidegate_model::change::Reject;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::finding::{Finding, Severity};

use crate::api::{Engine, Job, RunOptions};
use crate::run::columnar;
use crate::run::context::Ctx;
use crate::run::records::{Looked, look};

/// Rejects that `--rows` lists one by one.
const LISTED_MAX: usize = 1_000;

impl Engine {
    /// What both sides would have to change before a run can work; with `rows`, the pre-flight on every row
    /// (`--rows`): each record that would be rejected, at most the first 1,000.
    pub async fn check(&self, job: &Job, rows: bool) -> Result<Vec<Finding>> {
        let options = RunOptions { full: true, ..RunOptions::default() };
        let ctx = match super::looking(self, job, &options).await {
            Ok(ctx) => ctx,
            // What cannot be described is itself the finding.
            Err(error) => return Ok(vec![of(&error)]),
        };
        let (warehouse, platform) = ctx.needs();
        let mut found = job.warehouse.check(&warehouse).await;
        found.extend(job.platform.check(&platform).await);
        if ctx.columnar()
            && let Err(error) = columnar::refused(&ctx)
        {
            found.push(of(&error));
        }
        let works = found.iter().all(|finding| finding.severity != Severity::Critical);
        if rows && works && ctx.columnar() {
            let (rejects, total) = columnar::bad_rows(&ctx, LISTED_MAX).await?;
            found.extend(listed(&rejects, total));
        } else if rows && works {
            found.extend(bad_rows(&ctx).await?);
        }
        Ok(found)
    }
}

fn of(error: &Error) -> Finding {
    let name = match error.kind {
        ErrorKind::SchemaChanged => "missing_column",
        ErrorKind::NotFound => "not_found",
        _ => error.code(),
    };
    Finding::critical(name, error.to_string(), error.hint.clone().unwrap_or_default())
}

async fn bad_rows(ctx: &Ctx) -> Result<Vec<Finding>> {
    let Looked { mut sink, outcome, .. } = look(ctx, None).await?;
    outcome?;
    let mut rejects: Vec<Reject> = std::mem::take(&mut sink.rejects);
    let mut total = rejects.len();
    sink.rewind()?;
    while let Some(verdict) = sink.next()? {
        total += verdict.rejects.len();
        rejects.extend(verdict.rejects.into_iter().take(LISTED_MAX.saturating_sub(rejects.len())));
    }
    rejects.truncate(LISTED_MAX);
    Ok(listed(&rejects, total))
}

fn listed(rejects: &[Reject], total: usize) -> Vec<Finding> {
    let mut found: Vec<Finding> = rejects.iter().map(row_finding).collect();
    if total > found.len() {
        found.push(Finding::info("more_rows", format!("{} more rows would be rejected", total - found.len())));
    }
    found
}

fn row_finding(reject: &Reject) -> Finding {
    let key = reject.key.as_ref().map_or("(no key)", |key| key.as_str());
    let field = reject.why.field.as_ref().map_or(String::new(), |field| format!(" field `{field}`:"));
    let why = format!("record {key}:{field} {}", reject.why.reason);
    Finding::warning(
        format!("row_{}", reject.why.rule),
        why,
        "mend the value at its source, or map it with `on_misfit: drop_field`",
    )
}
