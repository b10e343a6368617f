//! From what engine and store say to what is shown.

use serde_json::Value as Json;
use tidegate_engine::PlannedChange;
use tidegate_model::Instant;
use tidegate_model::finding::{Finding, Severity};
use tidegate_model::ports::HistoryEntry;
use tidegate_model::run::{Counts, RunError, RunRecord};
use tidegate_model::sync::Sync;
use tidegate_model::value::Value;
use tidegate_server::desk::*;

use crate::shape;

/// Counts.
pub fn counts(counts: &Counts) -> CountsAnswer {
    CountsAnswer {
        read: counts.read,
        created: counts.created,
        updated: counts.updated,
        unchanged: counts.unchanged,
        deleted: counts.deleted,
        rejected: counts.rejected,
        held: counts.held,
        unknown: counts.unknown,
        ahead: counts.ahead,
        sent: counts.sent,
        confirmed: counts.confirmed,
        refused: counts.refused,
        acknowledged: counts.acknowledged,
        conflicts: counts.conflicts,
        dropped_fields: counts.dropped_fields,
        normalised: counts.normalised,
        requests: counts.requests,
    }
}

/// A run.
pub fn run(run: &RunRecord, now: Instant) -> RunAnswer {
    let some = |of: &Counts| (*of != Counts::default()).then(|| counts(of));
    RunAnswer {
        run: run.run.clone(),
        sync: run.sync.clone(),
        status: run.status.as_str().to_owned(),
        mode: run.mode.clone(),
        trigger: run.trigger.clone(),
        counts: counts(&run.books.total()),
        to_platform: some(&run.books.to_platform),
        to_warehouse: some(&run.books.to_warehouse),
        started_at: run.started_at.to_string(),
        finished_at: run.finished_at.map(|at| at.to_string()),
        duration_ms: run.finished_at.unwrap_or(now).millis_since(run.started_at),
        warehouse_ms: run.warehouse_ms,
        bytes_billed: run.bytes_billed,
        error: run.error.as_ref().map(error),
    }
}

fn error(error: &RunError) -> ErrorAnswer {
    ErrorAnswer { code: error.code.clone(), message: error.message.clone(), hint: error.hint.clone() }
}

/// A finding.
pub fn finding(finding: &Finding) -> FindingAnswer {
    let severity = match finding.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    FindingAnswer {
        finding: finding.finding.clone(),
        severity: severity.to_owned(),
        why: finding.why.clone(),
        fix: finding.fix.clone(),
    }
}

/// What cannot even be asked, as a finding.
pub fn of_error(error: &tidegate_model::Error) -> FindingAnswer {
    finding(&Finding::critical(error.code(), error.to_string(), error.hint.clone().unwrap_or_default()))
}

fn json(value: Option<&Value>) -> Json {
    value.map_or(Json::Null, Value::to_json)
}

/// A value, or `***` where it is under `redact:`.
pub fn shown(sync: Option<&Sync>, field: Option<&str>, value: Option<&Value>) -> Json {
    let hidden = match (sync, field) {
        (Some(sync), Some(field)) => shape::hides(sync, field),
        // A sync that is gone cannot say what it hides.
        (None, _) => true,
        (Some(_), None) => false,
    };
    match value {
        Some(_) if hidden => Json::from("***"),
        value => json(value),
    }
}

/// A planned change.
pub fn planned(sync: &Sync, change: &PlannedChange) -> PlannedAnswer {
    let change = shape::hidden(sync, change);
    let fields = change.fields.iter().map(|field| FieldChangeAnswer {
        field: field.field.clone(),
        known: field.from.is_some(),
        from: json(field.from.as_ref()),
        to: json(field.to.as_ref()),
    });
    PlannedAnswer {
        key: change.key.clone(),
        side: shape::side(change.side).to_owned(),
        action: change.action.clone(),
        fields: fields.collect(),
        why: change.why.clone(),
    }
}

/// A write that was carried out.
pub fn write(sync: Option<&Sync>, entry: &HistoryEntry) -> WriteAnswer {
    let fields = entry.after.iter().map(|(name, to)| {
        let from = entry.before.get(name);
        FieldChangeAnswer {
            field: name.to_string(),
            known: from.is_some(),
            from: shown(sync, Some(name), from),
            to: shown(sync, Some(name), Some(to)),
        }
    });
    let action = match entry.effect.as_str() {
        "created" => "create",
        "updated" => "update",
        "deleted" => "delete",
        other => other,
    };
    WriteAnswer {
        key: entry.key.as_str().to_owned(),
        side: shape::side(entry.to).to_owned(),
        action: action.to_owned(),
        at: entry.at.to_string(),
        fields: fields.collect(),
    }
}
