//! Which syncs are due: pure, the time is handed in (semantics.md §9).

mod calendar;
mod order;

use std::collections::BTreeMap;
use std::fmt;

use tidegate_model::run::RunStatus;
use tidegate_model::schedule::{Rule, Schedule};
use tidegate_model::{Error, Instant, Result};

pub use calendar::{next_after, offset_seconds, parse_cron};
pub use order::{OrderEntry, predecessors, run_order};

/// The wait after the first failure; it doubles with each further one.
pub const BACK_OFF_FIRST_MS: i64 = 60_000;
/// The longest wait: a sync that is mended is noticed within a quarter of a day, also if nobody tells us.
pub const BACK_OFF_MS_MAX: i64 = 6 * 60 * 60 * 1_000;
/// How far ahead of the clock a recorded start may lie before it is not believed: the clock was set back. Within it the
/// sync waits for the clock to catch up, so that a small correction runs no slot twice.
pub const CLOCK_SET_BACK_MS_MAX: i64 = 60 * 60 * 1_000;

/// What may keep a sync from running by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// `enabled` of both connections. Off: no run of any kind.
    pub connections_enabled: bool,
    /// `automation` of both connections.
    pub connections_automation: bool,
    /// `automation` of the sync.
    pub sync_automation: bool,
    /// Paused by a person, or by an undo.
    pub paused: bool,
}

impl Switches {
    /// Nothing is in the way.
    pub const ON: Switches =
        Switches { connections_enabled: true, connections_automation: true, sync_automation: true, paused: false };

    /// What keeps even a run that a person asks for from starting.
    pub fn against_any_run(&self) -> Option<Reason> {
        (!self.connections_enabled).then_some(Reason::ConnectionOff)
    }
}

/// What the planner knows of a sync.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub sync: String,
    /// When it runs by itself; `None`: only by hand.
    pub schedule: Option<Schedule>,
    /// Since when this schedule stands: slots before it were not missed.
    pub known_since: Instant,
    /// When its last run began.
    pub last_started: Option<Instant>,
    /// When its last run ended.
    pub last_finished: Option<Instant>,
    /// How many of its last runs failed, without another between them.
    pub consecutive_failures: u32,
    /// What may keep it.
    pub switches: Switches,
    /// Whether data flows both ways.
    pub two_way: bool,
    /// A full run has been settled once (rejects allowed).
    pub full_settled: bool,
    /// A run is at work now.
    pub running: bool,
    /// A run waits for a worker.
    pub queued: bool,
}

/// Why a sync is not started.
#[derive(Debug, Clone)]
pub enum Reason {
    /// It has no schedule.
    NoSchedule,
    /// Its schedule cannot be read.
    BadSchedule(Error),
    /// A connection is switched off.
    ConnectionOff,
    /// Automation is off on a connection.
    ConnectionAutomationOff,
    /// Automation is off on the sync.
    AutomationOff,
    /// It is paused.
    Paused,
    /// It is two-way and no full sync has been settled yet.
    NeedsFullSync,
    /// A run is at work.
    Running,
    /// A run waits for a worker.
    Queued,
    /// Its last runs failed or could not begin; it waits longer than its schedule says.
    BackingOff {
        /// Failed runs in a row.
        failures: u32,
        /// When it is tried again.
        until: Instant,
    },
    /// Its time has not come.
    NotYet,
}

impl Reason {
    /// The stable word, for scripts and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::NoSchedule => "no_schedule",
            Reason::BadSchedule(_) => "bad_schedule",
            Reason::ConnectionOff => "connection_off",
            Reason::ConnectionAutomationOff => "connection_automation_off",
            Reason::AutomationOff => "automation_off",
            Reason::Paused => "paused",
            Reason::NeedsFullSync => "needs_full_sync",
            Reason::Running => "running",
            Reason::Queued => "queued",
            Reason::BackingOff { .. } => "backing_off",
            Reason::NotYet => "not_yet",
        }
    }
}

/// For people, with what to do where there is something to do.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoSchedule => f.write_str("it has no schedule and runs by hand only"),
            Reason::BadSchedule(error) => write!(f, "its schedule cannot be followed: {error}"),
            Reason::ConnectionOff => f.write_str("one of its connections is off (enabled: false)"),
            Reason::ConnectionAutomationOff => f.write_str("automation is off on one of its connections"),
            Reason::AutomationOff => f.write_str("its automation is off"),
            Reason::Paused => f.write_str("it is paused; `tidegate resume` lets it go on"),
            Reason::NeedsFullSync => {
                f.write_str("a two-way sync needs one full run by hand first: `tidegate run SYNC --full`")
            }
            Reason::Running => f.write_str("a run of it is at work"),
            Reason::Queued => f.write_str("a run of it waits for a worker"),
            Reason::BackingOff { failures, until } => {
                write!(f, "failed or not begun {failures} times in a row; it is tried again at {until}")
            }
            Reason::NotYet => f.write_str("its time has not come"),
        }
    }
}

/// What the planner says of a sync.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The sync.
    pub sync: String,
    /// Run it now: the slot that is due. Of several missed slots the first; they are one run.
    pub due: Option<Instant>,
    /// When it is due next, by the clock handed in; `None` where it does not run by itself.
    pub next: Option<Instant>,
    /// Why it is not started now; `None` if it is due.
    pub why_not: Option<Reason>,
}

/// Decides for each sync whether it is due. The decisions come in the given order of syncs (see [`run_order`]); syncs
/// that are not in it come last, by name.
pub fn due(entries: &[Entry], order: &[String], now: Instant) -> Vec<Decision> {
    let place: BTreeMap<&str, usize> = order.iter().enumerate().map(|(at, sync)| (sync.as_str(), at)).collect();
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| (place.get(entry.sync.as_str()).copied().unwrap_or(usize::MAX), &entry.sync));
    sorted.into_iter().map(|entry| decide(entry, now)).collect()
}

/// How long a sync waits after its last run ended, after so many failures in a row: 1 minute, then twice as long with
/// each further one, at most 6 hours. It never runs sooner than its schedule says.
pub fn back_off_ms(failures: u32) -> i64 {
    match failures {
        0 => 0,
        _ => BACK_OFF_FIRST_MS.saturating_mul(1_i64 << (failures - 1).min(30)).min(BACK_OFF_MS_MAX),
    }
}

/// Failed runs in a row, from the statuses of a sync's runs, newest first. Runs that are at work or were stopped by a
/// person say nothing.
pub fn failures_in_a_row(newest_first: impl IntoIterator<Item = RunStatus>) -> u32 {
    let mut failures = 0;
    for status in newest_first {
        match status {
            RunStatus::Failed | RunStatus::Unbalanced => failures += 1,
            RunStatus::Queued | RunStatus::Running | RunStatus::Cancelled => {}
            RunStatus::Succeeded | RunStatus::Partial => break,
        }
    }
    failures
}

fn decide(entry: &Entry, now: Instant) -> Decision {
    let no = |reason, next| Decision { sync: entry.sync.clone(), due: None, next, why_not: Some(reason) };
    let Some(schedule) = &entry.schedule else {
        return no(Reason::NoSchedule, None);
    };
    let (slot, following) = match slots(entry, schedule, now) {
        Ok(slots) => slots,
        Err(error) => return no(Reason::BadSchedule(error), None),
    };
    if let Some(reason) = switched_off(entry) {
        return no(reason, None);
    }
    let until = back_off_until(entry, now);
    let next = slot.max(until);
    if entry.running || entry.queued {
        let reason = if entry.running { Reason::Running } else { Reason::Queued };
        return no(reason, Some(if next > now { next } else { following }));
    }
    if slot > now {
        return no(Reason::NotYet, Some(next));
    }
    if until > now {
        return no(Reason::BackingOff { failures: entry.consecutive_failures, until }, Some(next));
    }
    Decision { sync: entry.sync.clone(), due: Some(slot), next: Some(following), why_not: None }
}

/// The first slot that no run has served yet, and the first one after now.
fn slots(entry: &Entry, schedule: &Schedule, now: Instant) -> Result<(Instant, Instant)> {
    let following = next_after(schedule, &entry.sync, now)?;
    let believed = |last: &Instant| last.millis_since(now) <= CLOCK_SET_BACK_MS_MAX;
    let since = entry.known_since.min(now);
    let slot = match (entry.last_started, &schedule.rule) {
        // Slots before the schedule was given were not missed; a future date of that is the clock's fault, and ignored.
        (Some(last), _) if believed(&last) && entry.known_since <= now => {
            next_after(schedule, &entry.sync, last.max(entry.known_since))?
        }
        (Some(last), _) if believed(&last) => next_after(schedule, &entry.sync, last)?,
        // A run too many costs less than a sync that waits for a clock that was a year ahead.
        (Some(_), _) => now,
        // An interval says how old data may be; data that never came is older.
        (None, Rule::Every { .. }) => since,
        (None, Rule::DailyAt { .. } | Rule::Cron(_)) => next_after(schedule, &entry.sync, since)?,
    };
    Ok((slot, following))
}

fn switched_off(entry: &Entry) -> Option<Reason> {
    let switches = &entry.switches;
    if let Some(reason) = switches.against_any_run() {
        return Some(reason);
    }
    if !switches.connections_automation {
        return Some(Reason::ConnectionAutomationOff);
    }
    if !switches.sync_automation {
        return Some(Reason::AutomationOff);
    }
    if switches.paused {
        return Some(Reason::Paused);
    }
    (entry.two_way && !entry.full_settled).then_some(Reason::NeedsFullSync)
}

fn back_off_until(entry: &Entry, now: Instant) -> Instant {
    match entry.last_finished {
        // An end that lies ahead of the clock counts as now: the wait is never longer than its cap.
        Some(finished) if entry.consecutive_failures > 0 => {
            finished.min(now).plus_millis(back_off_ms(entry.consecutive_failures))
        }
        _ => Instant(i64::MIN),
    }
}
