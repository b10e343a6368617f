//! When a schedule's next slot is. Legal time (zones, changes of the clock) is jiff's, cron patterns are croner's; what
//! a slot means on the days when the clock is changed is decided here.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use siphasher::sip::SipHasher13;
use tidegate_model::schedule::{Rule, Schedule};
use tidegate_model::time::{date_of, days_of};
use tidegate_model::{Error, Instant, Result};

const SECOND_US: i64 = 1_000_000;
const DAY_MINUTES: i64 = 24 * 60;

/// The first slot of a schedule strictly after an instant.
///
/// - `daily_at` and `cron` name times on the wall. One that the clock skips fires once, at the first valid time after
///   the gap (several in one gap are one slot); one that the clock shows twice fires the first time only.
/// - `every` counts elapsed time from the start of the local day plus [`offset_seconds`], so it stays even while the
///   clock is changed. A last slot that would come within a third of the interval before the next day's first is left
///   out. An interval longer than a day counts from a day that is the same for everybody.
pub fn next_after(schedule: &Schedule, sync: &str, after: Instant) -> Result<Instant> {
    let zone = zone(&schedule.timezone)?;
    let next = match &schedule.rule {
        Rule::Every { minutes } => every(&zone, *minutes, sync, after),
        Rule::DailyAt { hour, minute } => {
            let at = daily_time(*hour, *minute)?;
            wall(&zone, after, |from| daily_next(from, at))
        }
        Rule::Cron(pattern) => {
            let cron = parse_cron(pattern)?;
            wall(&zone, after, |from| cron_next(&cron, pattern, from))
        }
    };
    next.map_err(|error| error.at(format!("schedule of {sync}")))
}

/// The stable offset that spreads syncs of the same interval over it: seconds, smaller than the interval, from a hash
/// of the name that is the same in every version and on every machine.
pub fn offset_seconds(sync: &str, minutes: u32) -> i64 {
    let interval = u64::from(minutes.max(1)) * 60;
    i64::try_from(SipHasher13::new().hash(sync.as_bytes()) % interval).unwrap_or(0)
}

fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|error| {
        Error::config(format!("timezone {name:?} is not known"))
            .cause(error)
            .hint("use a name of the IANA time zone database, such as Europe/Stockholm or UTC")
    })
}

fn out_of_range(error: impl std::fmt::Display) -> Error {
    Error::config("the next time lies outside of the calendar").cause(error).hint("check the machine's clock")
}

fn timestamp(at: Instant) -> Result<Timestamp> {
    Timestamp::from_microsecond(at.0).map_err(out_of_range)
}

fn civil(zone: &TimeZone, at: Instant) -> Result<DateTime> {
    Ok(zone.to_datetime(timestamp(at)?))
}

/// The instant at which the clock on the wall first shows this time, or first shows a later one if it skips it.
fn first_showing(zone: &TimeZone, at: DateTime) -> Result<Instant> {
    let found = match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(at).map_err(out_of_range)?
        }
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the offset after the gap, a skipped time lies before the change of the clock, less than the
            // gap's length away: the first change to that offset is the one that made the gap.
            let before_change = after.to_timestamp(at).map_err(out_of_range)?;
            let mut changes = zone.following(before_change);
            let change = changes.find(|change| change.offset() == after);
            change
                .map(|change| change.timestamp())
                .ok_or_else(|| Error::internal(format!("no change of the clock was found for the skipped time {at}")))?
        }
    };
    Ok(Instant(found.as_microsecond()))
}

/// The first slot after an instant, of slots given as times on the wall in ascending order. As those times ascend,
/// [`first_showing`] never descends, and no time up to the one that the wall shows now can still be ahead.
fn wall(zone: &TimeZone, after: Instant, next: impl Fn(DateTime) -> Result<DateTime>) -> Result<Instant> {
    let mut at = civil(zone, after)?;
    loop {
        at = next(at)?;
        // Not later than `after`: the wall shows this time for the second time, or it is one of several in a gap.
        let slot = first_showing(zone, at)?;
        if slot > after {
            return Ok(slot);
        }
    }
}

fn daily_time(hour: u8, minute: u8) -> Result<Time> {
    let part = |number: u8| i8::try_from(number).unwrap_or(i8::MAX);
    Time::new(part(hour), part(minute), 0, 0).map_err(|_| {
        Error::config(format!("daily_at {hour:02}:{minute:02} is not a time of day"))
            .hint("write it as HH:MM, 00:00 to 23:59")
    })
}

fn daily_next(from: DateTime, at: Time) -> Result<DateTime> {
    let today = from.date().to_datetime(at);
    if today > from {
        return Ok(today);
    }
    Ok(from.date().tomorrow().map_err(out_of_range)?.to_datetime(at))
}

/// Reads a cron expression of five fields.
pub fn parse_cron(pattern: &str) -> Result<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(pattern).map_err(|error| {
        Error::config(format!("cron {pattern:?} cannot be read"))
            .cause(error)
            .hint("five fields: minute hour day-of-month month day-of-week, as in \"0 6 * * 1-5\"")
    })
}

fn cron_next(cron: &Cron, pattern: &str, from: DateTime) -> Result<DateTime> {
    // On a civil time croner knows no zone, hence no gaps and no folds: those are `wall`'s.
    cron.find_next_occurrence(&from, false).map_err(|error| {
        Error::config(format!("cron {pattern:?} never comes"))
            .cause(error)
            .hint("name a day that exists, such as the 29th of February at the latest")
    })
}

fn every(zone: &TimeZone, minutes: u32, sync: &str, after: Instant) -> Result<Instant> {
    if minutes == 0 {
        return Err(Error::config("every: 0 minutes is not an interval").hint("use 1m or more"));
    }
    let step = i64::from(minutes) * 60 * SECOND_US;
    let offset = offset_seconds(sync, minutes) * SECOND_US;
    let days = days_per_cycle(i64::from(minutes));
    let anchor = |day: i64| Ok::<_, Error>(Instant(day_start(zone, day)?.0.saturating_add(offset)));

    let today = i64::from(days_of(civil(zone, Instant(after.0.saturating_sub(offset)))?.date()));
    let mut day = today - today.rem_euclid(days);
    let (mut start, mut end) = (anchor(day)?, anchor(day + days)?);
    // Only where a change of the clock crosses midnight is the local date not yet, or not any more, the right one.
    while start > after {
        day -= days;
        (start, end) = (anchor(day)?, start);
    }
    while end <= after {
        day += days;
        (start, end) = (end, anchor(day + days)?);
    }
    let slot = start.0 + ((after.0 - start.0) / step + 1) * step;
    Ok(if end.0 - slot < step / 3 { end } else { Instant(slot) })
}

/// After how many days an interval starts anew at midnight: every day, or as many as hold a whole number of intervals.
fn days_per_cycle(minutes: i64) -> i64 {
    if minutes <= DAY_MINUTES {
        return 1;
    }
    let (mut a, mut b) = (minutes, DAY_MINUTES);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    minutes / a
}

fn day_start(zone: &TimeZone, day: i64) -> Result<Instant> {
    let date: Option<Date> = i32::try_from(day).ok().and_then(date_of);
    let date = date.ok_or_else(|| out_of_range(format!("day {day}")))?;
    first_showing(zone, date.to_datetime(Time::midnight()))
}
