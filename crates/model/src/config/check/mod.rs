//! Whether files that are well formed can work (semantics.md §8, "check refuses").
//!
//! [`check`] needs nothing but the files; [`check_with`] also what the two sides say of themselves.

mod across;
mod alone;
mod columns;
mod model;

use serde::{Deserialize, Serialize};

use super::problem::{Place, Problem};
use super::project::Project;
use crate::finding::{Finding, Severity};
use crate::sync::Sync;

pub use model::{Sides, check_with};

/// A finding with what it is about and where that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The connection, if it is about one.
    pub connection: Option<String>,
    /// The sync, if it is about one.
    pub sync: Option<String>,
    /// Where in the files.
    pub place: Place,
    /// What is the matter, and what mends it.
    pub finding: Finding,
}

impl Found {
    /// Whether nothing may run until it is mended.
    pub fn is_critical(&self) -> bool {
        self.finding.severity == Severity::Critical
    }
    /// The same as a problem of a file.
    pub fn problem(&self) -> Problem {
        Problem {
            file: self.place.file.clone(),
            line: self.place.at.line,
            column: self.place.at.column,
            message: self.finding.why.clone(),
            hint: (!self.finding.fix.is_empty()).then(|| self.finding.fix.clone()),
        }
    }
}

/// Every refusal and warning that the files alone decide, syncs in order of their names.
pub fn check(project: &Project) -> Vec<Found> {
    let mut out = Vec::new();
    for connection in project.connections.values().filter(|connection| !connection.available) {
        let used = project
            .syncs
            .values()
            .any(|sync| sync.warehouse_connection == connection.name || sync.platform_connection == connection.name);
        let why = format!("connections of type `{}` are not in this build yet", connection.kind);
        let fix = if used { "take the syncs that use it out, or wait for a later version" } else { "" };
        out.push(Found {
            connection: Some(connection.name.clone()),
            sync: None,
            place: project.connection_place(&connection.name, "type"),
            finding: Finding::critical("not_in_this_build", why, fix),
        });
    }
    let shared_targets = across::targets(project);
    for sync in project.syncs.values() {
        let mut at = Collector { project, sync, out: &mut out };
        across::check(&mut at, &shared_targets);
        alone::check(&mut at);
    }
    out
}

/// Collects findings about one sync.
struct Collector<'a> {
    project: &'a Project,
    sync: &'a Sync,
    out: &'a mut Vec<Found>,
}

impl Collector<'_> {
    fn add(&mut self, path: &str, finding: Finding) {
        self.out.push(Found {
            connection: None,
            sync: Some(self.sync.name.clone()),
            place: self.project.sync_place(&self.sync.name, path),
            finding,
        });
    }
    fn critical(&mut self, path: &str, name: &str, why: impl Into<String>, fix: impl Into<String>) {
        self.add(path, Finding::critical(name, why, fix));
    }
    fn warning(&mut self, path: &str, name: &str, why: impl Into<String>, fix: impl Into<String>) {
        self.add(path, Finding::warning(name, why, fix));
    }
}
