//! What the planner has to know of a sync, out of its runs and the switches. Pure.

use std::collections::BTreeMap;

use tidegate_engine::plan::due::{Entry, Switches, failures_in_a_row};
use tidegate_model::Instant;
use tidegate_model::run::{RunRecord, RunStatus};
use tidegate_model::schedule::Schedule;

use crate::ports::SyncInfo;

/// Modes of records that are kept as runs but bring no data: they serve no slot and heal no failure.
const OTHER_MODES: &[&str] = &["undo", "apply", "reset", "repair", "relink", "adopt", "forget", "verify", "plan"];

/// What the state says of a sync.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) last_started: Option<Instant>,
    pub(crate) last_finished: Option<Instant>,
    pub(crate) failures: u32,
    pub(crate) last_success: Option<Instant>,
    pub(crate) full_settled: bool,
}

impl Facts {
    /// From a sync's last runs, newest first.
    ///
    /// A record that says *running* is left out: if the run lives elsewhere its lease keeps ours from starting, and if
    /// its process died its slot has not been served.
    pub(crate) fn of(newest_first: &[RunRecord], full_settled: bool) -> Self {
        let ended: Vec<&RunRecord> = newest_first
            .iter()
            .filter(|run| !OTHER_MODES.contains(&run.mode.as_str()))
            .filter(|run| !matches!(run.status, RunStatus::Queued | RunStatus::Running))
            .collect();
        let success = |run: &&&RunRecord| matches!(run.status, RunStatus::Succeeded | RunStatus::Partial);
        Self {
            last_started: ended.first().map(|run| run.started_at),
            last_finished: ended.first().map(|run| run.finished_at.unwrap_or(run.started_at)),
            failures: failures_in_a_row(ended.iter().map(|run| run.status)),
            last_success: ended.iter().find(success).map(|run| run.finished_at.unwrap_or(run.started_at)),
            full_settled,
        }
    }
}

/// What this process saw of its own attempts; the state may not know of them (a run that could not begin).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) started: Option<Instant>,
    pub(crate) finished: Option<Instant>,
    pub(crate) failures: u32,
}

/// The switches and notes of the state, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// `paused:SYNC`: set means paused.
    pub(crate) paused: BTreeMap<String, String>,
    /// `automation:SYNC`, `automation-connection:NAME` and `enabled-connection:NAME`: on or off, before what the files
    /// say.
    pub(crate) switched: BTreeMap<String, String>,
    /// `not_begun:SYNC`: why the last attempt could not begin (JSON).
    pub(crate) not_begun: BTreeMap<String, String>,
    /// `scheduled:SYNC`: since when the schedule stands.
    pub(crate) scheduled: BTreeMap<String, String>,
}

/// Whether a setting's text means on; `None` if it is neither.
pub fn is_switched_on(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "1" | "yes" => Some(true),
        "off" | "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

impl Settings {
    /// Of all settings, those that are ours.
    pub(crate) fn of(all: BTreeMap<String, String>) -> Self {
        let mut out = Self::default();
        for (name, value) in all {
            let kind = name.split(':').next().unwrap_or("");
            let place = match kind {
                "paused" => &mut out.paused,
                "automation" | "automation-connection" | "enabled-connection" => &mut out.switched,
                "not_begun" => &mut out.not_begun,
                "scheduled" => &mut out.scheduled,
                _ => continue,
            };
            place.insert(name, value);
        }
        out
    }

    /// What a setting says, or else the file.
    fn switch(&self, name: &str, file: bool) -> bool {
        self.switched.get(name).and_then(|text| is_switched_on(text)).unwrap_or(file)
    }

    pub(crate) fn switches(&self, info: &SyncInfo) -> Switches {
        let automation =
            |c: &crate::ConnectionSwitch| self.switch(&format!("automation-connection:{}", c.name), c.automation);
        let enabled = |c: &crate::ConnectionSwitch| self.switch(&format!("enabled-connection:{}", c.name), c.enabled);
        Switches {
            connections_enabled: info.connections.iter().all(enabled),
            connections_automation: info.connections.iter().all(automation),
            sync_automation: self.switch(&format!("automation:{}", info.name()), info.automation),
            // Whoever paused it may have noted why; only a plain no is not a pause.
            paused: self.paused.get(&paused(info.name())).is_some_and(|text| is_switched_on(text) != Some(false)),
        }
    }
    /// Since when the schedule stands, if it is still the noted one.
    pub(crate) fn scheduled_since(&self, sync: &str, schedule: &Schedule) -> Option<Instant> {
        let (since, noted) = self.scheduled.get(&scheduled(sync))?.split_once(' ')?;
        (noted == schedule_text(schedule)).then(|| since.parse().map(Instant).ok())?
    }
}

pub(crate) fn paused(sync: &str) -> String {
    format!("paused:{sync}")
}

pub(crate) fn not_begun(sync: &str) -> String {
    format!("not_begun:{sync}")
}

pub(crate) fn scheduled(sync: &str) -> String {
    format!("scheduled:{sync}")
}

/// The value of the setting `scheduled:SYNC`.
pub(crate) fn scheduled_value(schedule: &Schedule, since: Instant) -> String {
    format!("{} {}", since.0, schedule_text(schedule))
}

fn schedule_text(schedule: &Schedule) -> String {
    format!("{:?} in {}", schedule.rule, schedule.timezone)
}

/// The planner's entry of a sync.
pub(crate) fn entry(
    info: &SyncInfo,
    facts: &Facts,
    attempt: Option<&Attempt>,
    settings: &Settings,
    known_since: Instant,
) -> Entry {
    // The state knows the newer run, or we do.
    let own = attempt.filter(|attempt| attempt.finished > facts.last_finished);
    let last_started = facts.last_started.max(own.and_then(|attempt| attempt.started));
    Entry {
        sync: info.name().to_owned(),
        schedule: info.schedule.clone(),
        known_since,
        last_started,
        last_finished: own.map_or(facts.last_finished, |attempt| attempt.finished),
        consecutive_failures: own.map_or(facts.failures, |attempt| attempt.failures),
        switches: settings.switches(info),
        two_way: info.two_way,
        full_settled: facts.full_settled,
        running: false,
        queued: false,
    }
}
