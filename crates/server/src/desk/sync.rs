//! What the desk answers about syncs.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::RunAnswer;

/// A sync and how it is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SyncAnswer {
    /// Its name.
    pub sync: String,
    /// The warehouse's connection.
    pub warehouse: String,
    /// Relation, or `query`.
    pub relation: String,
    /// The platform's connection.
    pub platform: String,
    /// The platform's model.
    pub model: String,
    /// `to_platform`, `to_warehouse`, `both`.
    pub direction: String,
    /// When it runs by itself, in words; `null`: by hand only.
    pub schedule: Option<String>,
    /// Whether its automation is on.
    pub automation: bool,
    /// Whether a person paused it.
    pub paused: bool,
    /// `healthy`, `attention` (rejects, conflicts, drops), `failing`, `running`, `off`, `new`.
    pub health: String,
    /// Why it does not run now: a word of docs/schedules.md; `null` if it is due.
    pub waits: Option<String>,
    /// The same in words.
    pub waits_text: Option<String>,
    /// When it runs next by itself.
    pub next_at: Option<String>,
    /// A run of it waits for a worker.
    pub queued: bool,
    /// Failed runs since the last one that did not fail.
    pub failures: u32,
    /// Its newest run.
    pub last_run: Option<RunAnswer>,
    /// Why the last attempt could not begin (`at`, `code`, `message`, `hint`): there is no run that would say it.
    pub not_begun: Option<Json>,
    /// Open rejects.
    pub rejects: u64,
    /// Conflicts that wait for a person or for the next run.
    pub conflicts: u64,
}

/// A sync with its mapping.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SyncDetail {
    /// How it is.
    #[serde(flatten)]
    pub sync: SyncAnswer,
    /// Linked records.
    pub linked: u64,
    /// Whether a full run has been settled once.
    pub full_settled: bool,
    /// The sync with every default filled in.
    pub settings: Json,
    /// Its file inside the project.
    pub file: String,
    /// Problems that the files' own check finds with it.
    pub problems: Vec<super::ProblemAnswer>,
}
