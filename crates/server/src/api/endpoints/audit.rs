//! `GET /audit`

use schemars::JsonSchema;
use serde::Serialize;

use super::prelude::*;

/// One line of the audit log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct AuditLine {
    /// When.
    at: String,
    /// A user, `token:NAME`, or `local`.
    who: String,
    /// What was done: the name of the call.
    action: String,
    /// What it was done to.
    target: String,
    /// More of it.
    detail: serde_json::Value,
    /// `done`, or the code of the error.
    outcome: String,
}

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/audit", Scope::Edit, "audit", "Who changed what, newest first")
        .served(|call: Call<Nothing, ListAsk, Nothing>| async move { list(call).await })
}

async fn list(call: Call<Nothing, ListAsk, Nothing>) -> Result<Page<AuditLine>> {
    let before = match &call.query.after {
        Some(text) => Some(text.parse().map_err(|_| crate::api::bad_mark())?),
        None => None,
    };
    let limit = call.query.limit();
    let lines = call.api.access.store.audit_lines(before, limit).await?;
    let next = lines.last().filter(|_| lines.len() as u64 == u64::from(limit)).map(|line| line.id.to_string());
    let items = lines.into_iter().map(|line| AuditLine {
        at: line.at.to_string(),
        who: line.who,
        action: line.action,
        target: line.target,
        detail: serde_json::from_str(&line.detail).unwrap_or(serde_json::Value::Null),
        outcome: line.outcome,
    });
    Ok(Page { items: items.collect(), next })
}
