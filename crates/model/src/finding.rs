//! Findings: what a check saw, why it matters, and the exact thing that mends it.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Works, but probably not as wished.
    Warning,
    /// Does not work; nothing is written until it is mended.
    Critical,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name of the rule, for scripts, such as `missing_column`.
    pub finding: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is the matter, one sentence.
    pub why: String,
    /// The SQL, file edit or click that mends it; empty if there is nothing to do.
    pub fix: String,
}

impl Finding {
    /// A critical finding.
    pub fn critical(finding: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { finding: finding.into(), severity: Severity::Critical, why: why.into(), fix: fix.into() }
    }
    /// A warning.
    pub fn warning(finding: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { finding: finding.into(), severity: Severity::Warning, why: why.into(), fix: fix.into() }
    }
    /// Good to know.
    pub fn info(finding: impl Into<String>, why: impl Into<String>) -> Self {
        Self { finding: finding.into(), severity: Severity::Info, why: why.into(), fix: String::new() }
    }
}
