//! A run as scripts read it, and as a row of a table.

use serde::Serialize;
use tidegate_model::Instant;
use tidegate_model::run::{Counts, RunError, RunRecord, RunStatus};
use tidegate_model::sync::{Direction, Target};

/// A run in the frozen shape: the counts are the sum of the two directions, which hold their own.
#[derive(Debug, Serialize)]
pub struct RunLine {
    sync: String,
    run: Option<String>,
    status: RunStatus,
    mode: String,
    #[serde(flatten)]
    total: Counts,
    warehouse_ms: Option<u64>,
    bytes_billed: Option<u64>,
    started_at: String,
    duration_ms: i64,
    error: Option<RunError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_platform: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_warehouse: Option<Counts>,
}

impl RunLine {
    /// A run of a sync that flows this way; without a direction (a sync that is no longer configured), the
    /// directions in which something was read or written.
    pub fn new(run: &RunRecord, direction: Option<Direction>, now: Instant) -> Self {
        let reaches = |to: Target, counts: Counts| {
            let shown = direction.map_or(counts != Counts::default(), |direction| direction.reaches(to));
            shown.then_some(counts)
        };
        Self {
            sync: run.sync.clone(),
            run: Some(run.run.clone()),
            status: run.status,
            mode: run.mode.clone(),
            total: run.books.total(),
            warehouse_ms: run.warehouse_ms,
            bytes_billed: run.bytes_billed,
            started_at: run.started_at.to_string(),
            duration_ms: run.finished_at.unwrap_or(now).millis_since(run.started_at),
            error: run.error.clone(),
            to_platform: reaches(Target::Platform, run.books.to_platform),
            to_warehouse: reaches(Target::Warehouse, run.books.to_warehouse),
        }
    }
}

/// A run that could not even be recorded (its lease is held elsewhere, a side cannot be opened), in the same shape.
pub fn not_started(sync: &str, direction: Direction, error: &tidegate_model::Error, now: Instant) -> RunLine {
    let none = |to: Target| direction.reaches(to).then(Counts::default);
    RunLine {
        sync: sync.to_owned(),
        run: None,
        status: RunStatus::Failed,
        mode: "none".to_owned(),
        total: Counts::default(),
        warehouse_ms: None,
        bytes_billed: None,
        started_at: now.to_string(),
        duration_ms: 0,
        error: Some(RunError { code: error.code().to_owned(), message: error.to_string(), hint: error.hint.clone() }),
        to_platform: none(Target::Platform),
        to_warehouse: none(Target::Warehouse),
    }
}

/// Headings of [`run_row`].
pub const RUN_HEADS: &[&str] = &[
    "sync",
    "status",
    "mode",
    "#read",
    "#created",
    "#updated",
    "#unchanged",
    "#deleted",
    "#rejected",
    "#dropped",
    "#held",
    "#conflicts",
    "#ms",
    "run",
];

/// A run as a row.
pub fn run_row(run: &RunRecord, now: Instant) -> Vec<String> {
    let total = run.books.total();
    let mut row = vec![run.sync.clone(), run.status.as_str().to_owned(), run.mode.clone()];
    let counts = [
        total.read,
        total.created,
        total.updated,
        total.unchanged,
        total.deleted,
        total.rejected,
        total.dropped_fields,
        total.held,
        total.conflicts,
    ];
    row.extend(counts.iter().map(u64::to_string));
    row.push(run.finished_at.unwrap_or(now).millis_since(run.started_at).to_string());
    row.push(run.run.clone());
    row
}
