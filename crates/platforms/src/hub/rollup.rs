//! Daily roll-ups of time series, kept in the same transaction as the rows and only for rows that are new: per
//! series, entity, action or dimension and day the number of events, the sum of their counts, the sum of weights or
//! values, and the last value of the day (of two at the same instant, the greater).

use std::collections::HashMap;

use tidegate_model::value::Decimal;
use tidegate_model::{Error, ErrorKind, Result};

use super::cell::{CellRef, Grid, Kind};
use super::columns::small;
use super::db::{Dialect, Session, Target, first};

/// Digits after the point that sums are kept with.
const SCALE: i8 = 18;
/// Groups in memory before they are written: about 40 MB.
const GROUPS_MAX: usize = 200_000;
/// Groups of one statement.
const CHUNK: usize = 20_000;
/// Groups of one day from which it is worth to ask whether the day has any yet.
const NEW_DAY_MIN: usize = 128;
const DAY_US: i64 = 86_400_000_000;

/// What a group is about. In the order of the table's key: events mostly arrive by time, so with the day before the
/// entity a load touches the end of the index and not all of it (a chart of one entity probes once per day).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// Activities 1, metrics 2.
    pub series: i64,
    /// Company 1, end user 2, asset 3, project 4.
    pub model: i64,
    /// Days since 1970-01-01.
    pub day: i64,
    /// The record.
    pub entity: i64,
    /// The action or dimension.
    pub name: i64,
}

#[derive(Debug, Clone, Copy)]
struct Sum {
    events: i64,
    times: i64,
    total: i128,
    last: i128,
    last_at: i64,
}

/// Sums of a load that are not written yet.
#[derive(Debug, Default)]
pub struct Rollup {
    groups: HashMap<Group, Sum>,
}

/// The number in a text with as many digits as sums carry; `None` if it has more.
pub fn scaled(text: &str) -> Option<i128> {
    small(text, SCALE)
}

/// The day of an instant.
pub fn day(at: i64) -> i64 {
    at.div_euclid(DAY_US)
}

impl Rollup {
    /// Adds an event.
    pub fn add(&mut self, group: Group, times: i64, number: i128, at: i64) -> Result<()> {
        let sum = self.groups.entry(group).or_insert(Sum { events: 0, times: 0, total: 0, last: number, last_at: at });
        let too_large = || {
            Error::new(ErrorKind::Data, "the sum of one day's values is too large to be kept")
                .hint("send values in a larger unit")
        };
        sum.events += 1;
        sum.times = sum.times.checked_add(times).ok_or_else(too_large)?;
        sum.total = sum.total.checked_add(number).ok_or_else(too_large)?;
        if (at, number) > (sum.last_at, sum.last) {
            (sum.last_at, sum.last) = (at, number);
        }
        Ok(())
    }

    /// Whether it is time to write.
    pub fn full(&self) -> bool {
        self.groups.len() >= GROUPS_MAX
    }

    /// Writes the sums onto what is there.
    pub fn flush(&mut self, session: &mut dyn Session) -> Result<()> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let mut sorted: Vec<(Group, Sum)> = std::mem::take(&mut self.groups).into_iter().collect();
        // In the order of the table's key: neighbours on disk are written together.
        sorted.sort_unstable_by_key(|(group, _)| *group);
        let mut rest = sorted.as_slice();
        while let Some((first, _)) = rest.first() {
            let day = day_len(rest);
            let new = day >= NEW_DAY_MIN && is_new(session, *first)?;
            // New days go together, and so do the others.
            let mut end = day;
            while let Some((next, _)) = rest.get(end) {
                let day = day_len(&rest[end..]);
                if new != (day >= NEW_DAY_MIN && is_new(session, *next)?) {
                    break;
                }
                end += day;
            }
            let (part, more) = rest.split_at(end);
            write(session, part, new)?;
            rest = more;
        }
        Ok(())
    }
}

/// Groups at the start that are of one day.
fn day_len(sorted: &[(Group, Sum)]) -> usize {
    let day = |group: &Group| (group.series, group.model, group.day);
    let first = sorted.first().map(|(group, _)| day(group));
    sorted.iter().take_while(|(group, _)| Some(day(group)) == first).count()
}

fn write(session: &mut dyn Session, sorted: &[(Group, Sum)], new: bool) -> Result<()> {
    for part in sorted.chunks(CHUNK) {
        let rows = Sums(part.iter().map(|(group, sum)| (*group, *sum, text(sum.total), text(sum.last))).collect());
        if new {
            session.append("hub_rollup", &columns(), &rows)?;
        } else {
            session.insert("hub_rollup", &columns(), &rows, Some(&merge(session.dialect())))?;
        }
    }
    Ok(())
}

/// Whether a day has no sums yet: then its groups go in without looking for each. Nobody adds any meanwhile: loads of
/// a series go one after the other.
fn is_new(session: &mut dyn Session, group: Group) -> Result<bool> {
    // Ordered, so that the index alone answers: a limit without an order may tempt a planner to read the table.
    let sql = "SELECT entity FROM hub_rollup WHERE series = $1 AND model = $2 AND day = $3 \
               ORDER BY entity, name LIMIT 1";
    let head = [CellRef::Int(group.series), CellRef::Int(group.model), CellRef::Int(group.day)];
    Ok(first(session, sql, &head, 1)?.is_none())
}

fn text(unscaled: i128) -> String {
    Decimal::from_i128(unscaled, SCALE).normalized().to_string()
}

fn columns() -> Vec<Target> {
    let names = ["series", "model", "day", "entity", "name", "events", "times", "total", "last_value", "last_at"];
    let kind = |name: &str| if ["total", "last_value"].contains(&name) { Kind::Dec } else { Kind::Int };
    names.iter().map(|name| Target::new(*name, kind(name))).collect()
}

fn merge(dialect: Dialect) -> String {
    let (total, greater) = match dialect {
        Dialect::Sqlite => {
            ("dec_add(hub_rollup.total, excluded.total)", "dec_cmp(excluded.last_value, hub_rollup.last_value) > 0")
        }
        Dialect::Postgres => ("hub_rollup.total + excluded.total", "excluded.last_value > hub_rollup.last_value"),
    };
    let later =
        format!("excluded.last_at > hub_rollup.last_at OR (excluded.last_at = hub_rollup.last_at AND {greater})");
    format!(
        "(series, model, day, entity, name) DO UPDATE SET events = hub_rollup.events + excluded.events, \
         times = hub_rollup.times + excluded.times, total = {total}, \
         last_value = CASE WHEN {later} THEN excluded.last_value ELSE hub_rollup.last_value END, \
         last_at = CASE WHEN {later} THEN excluded.last_at ELSE hub_rollup.last_at END"
    )
}

struct Sums(Vec<(Group, Sum, String, String)>);

impl Grid for Sums {
    fn rows(&self) -> usize {
        self.0.len()
    }
    fn cell(&self, column: usize, row: usize) -> CellRef<'_> {
        let (group, sum, total, last) = &self.0[row];
        match column {
            0 => CellRef::Int(group.series),
            1 => CellRef::Int(group.model),
            2 => CellRef::Int(group.day),
            3 => CellRef::Int(group.entity),
            4 => CellRef::Int(group.name),
            5 => CellRef::Int(sum.events),
            6 => CellRef::Int(sum.times),
            7 => CellRef::Text(total),
            8 => CellRef::Text(last),
            _ => CellRef::Int(sum.last_at),
        }
    }
}
