//! What a table was: its change history, and a stream with its outbox.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::Drained;
use tidegate_model::value::Value;

use super::warehouse::Cells;

/// The hidden cell that tells rows apart, whatever their keys.
pub(super) const ROW: &str = "row id";
/// The cell of a row that left.
pub(super) const DELETED: &str = tidegate_model::page::DELETED;

/// What a warehouse keeps of its past. Nothing of it by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeps {
    /// A change history.
    pub tracking: bool,
    /// Reads can be pinned.
    pub time_travel: bool,
    /// The relation is a stream on the table.
    pub stream: bool,
    /// How far a mark stands before the clock, microseconds.
    pub lag: i64,
    /// How far a window reaches back before its start, microseconds.
    pub overlap: i64,
    /// A row that came and went within a window shows as deleted.
    pub shows_passing: bool,
    /// Whether the gate can tell that nothing changed.
    pub gate: bool,
}

impl Default for Keeps {
    fn default() -> Self {
        Self {
            tracking: false,
            time_travel: false,
            stream: false,
            lag: 1,
            overlap: 0,
            shows_passing: false,
            gate: true,
        }
    }
}

/// One row before and after one commit.
struct Event {
    at: i64,
    row: i64,
    before: Option<Cells>,
    after: Option<Cells>,
}

/// Everything that ever happened to a table.
#[derive(Default)]
pub(super) struct Past {
    pub keeps: Keeps,
    events: Vec<Event>,
    last: BTreeMap<i64, Cells>,
    /// History before this is gone.
    kept_from: i64,
    offset: usize,
    made: u64,
    stale: bool,
    outbox: Vec<(u64, Cells)>,
    seq: u64,
}

/// What a row was at both ends of a window, and last within it.
struct Ends<'a> {
    before: Option<&'a Cells>,
    after: Option<&'a Cells>,
    passing: Option<&'a Cells>,
}

/// What tells a row apart.
pub(super) fn row_of(cells: &Cells) -> i64 {
    match cells.get(ROW) {
        Some(Value::Int(row)) => *row,
        _ => 0,
    }
}

fn gone(cells: &Cells) -> Cells {
    let mut cells = cells.clone();
    cells.insert(DELETED.to_owned(), Value::Bool(true));
    cells
}

impl Past {
    /// Takes note of a commit: what has become of these rows.
    pub fn note(&mut self, touched: BTreeSet<i64>, rows: &[Cells], at: i64) {
        for row in touched {
            // From the end: most often it is the row that was added last.
            let after = rows.iter().rev().find(|cells| row_of(cells) == row).cloned();
            let before = match &after {
                Some(after) => self.last.insert(row, after.clone()),
                None => self.last.remove(&row),
            };
            if before != after {
                self.events.push(Event { at, row, before, after });
            }
        }
    }

    /// The rows as they stood.
    pub fn as_of(&self, at: i64) -> Vec<Cells> {
        let mut rows = BTreeMap::new();
        for event in self.events.iter().take_while(|event| event.at <= at) {
            match &event.after {
                Some(after) => rows.insert(event.row, after.clone()),
                None => rows.remove(&event.row),
            };
        }
        rows.into_values().collect()
    }

    /// What events come to: rows as they stand after them, rows that left with the mark of it.
    /// `pairs`: an updated row shows as it was, too.
    fn net(&self, events: &[Event], pairs: bool) -> Vec<Cells> {
        let mut ends: BTreeMap<i64, Ends<'_>> = BTreeMap::new();
        for event in events {
            let ends =
                ends.entry(event.row).or_insert(Ends { before: event.before.as_ref(), after: None, passing: None });
            ends.after = event.after.as_ref();
            ends.passing = ends.after.or(ends.passing);
        }
        let mut out = Vec::new();
        for Ends { before, after, passing } in ends.into_values() {
            match (before, after) {
                (Some(before), Some(after)) => {
                    if pairs || before.get("id") != after.get("id") {
                        out.push(gone(before));
                    }
                    out.push(after.clone());
                }
                (None, Some(after)) => out.push(after.clone()),
                (Some(before), None) => out.push(gone(before)),
                (None, None) => out.extend(passing.filter(|_| self.keeps.shows_passing).map(gone)),
            }
        }
        // In any order: the latest rows first shows who relies on another one.
        out.reverse();
        out
    }

    fn between(&self, from: i64, to: i64) -> &[Event] {
        let first = self.events.partition_point(|event| event.at <= from);
        let end = self.events.partition_point(|event| event.at <= to).max(first);
        &self.events[first..end]
    }

    /// What changed in a window.
    pub fn changes(&self, from: i64, to: i64) -> Result<Vec<Cells>> {
        if from < self.kept_from {
            return Err(Error::new(ErrorKind::HistoryGone, "the history of the table does not reach that far back")
                .hint("keep it longer"));
        }
        Ok(self.net(self.between(from - self.keeps.overlap, to), false))
    }

    /// Whether anything may have changed in a window.
    pub fn changed(&self, from: i64, to: i64) -> bool {
        !self.keeps.gate || !self.between(from, to).is_empty()
    }

    /// The history up to a time expires; a stream that stands there goes stale.
    pub fn expire(&mut self, at: i64) {
        self.kept_from = at;
        let behind = self.events.get(self.offset).is_some_and(|event| event.at < at);
        self.stale |= behind;
    }

    /// The stream goes stale.
    pub fn go_stale(&mut self) {
        self.stale = true;
    }

    /// Somebody makes the stream anew: it begins now.
    pub fn make_stream(&mut self) {
        (self.stale, self.offset) = (false, self.events.len());
        self.made += 1;
    }

    /// Moves the stream into the outbox.
    pub fn drain(&mut self) -> Result<Drained> {
        if self.stale {
            return Err(Error::new(ErrorKind::HistoryGone, "the stream went stale").hint("make it anew"));
        }
        let mut net = self.net(&self.events[self.offset..], true);
        // Of an updated row's pair, what it became comes last.
        net.sort_by_key(|row| !row.contains_key(DELETED));
        let moved = net.len() as u64;
        for row in net {
            self.seq += 1;
            self.outbox.push((self.seq, row));
        }
        self.offset = self.events.len();
        let through = self.outbox.last().map_or(0, |(seq, _)| *seq);
        Ok(Drained { moved, through, stream: format!("made {}", self.made) })
    }

    /// What waits in the outbox, net per key.
    pub fn waiting(&self, through: u64) -> Vec<Cells> {
        let mut keyed: BTreeMap<String, &Cells> = BTreeMap::new();
        let mut keyless = Vec::new();
        for (_, row) in self.outbox.iter().filter(|(seq, _)| *seq <= through) {
            match row.get("id") {
                Some(Value::Text(id)) => drop(keyed.insert(id.to_string(), row)),
                _ => keyless.push(row),
            }
        }
        keyed.into_values().rev().chain(keyless).cloned().collect()
    }

    /// Deletes what was delivered.
    pub fn trim(&mut self, through: u64) {
        self.outbox.retain(|(seq, _)| *seq > through);
    }

    /// Rows in the outbox, and rows that the stream holds.
    pub fn pending(&self) -> (usize, usize) {
        (self.outbox.len(), self.net(&self.events[self.offset..], true).len())
    }
}
