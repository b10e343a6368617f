//! The due-planner with a clock in hand: slots over a year, changes of the clock, missed runs, switches, order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "due/calendar.rs"]
mod calendar;
#[path = "due/order.rs"]
mod order;
#[path = "due/planner.rs"]
mod planner;
#[path = "due/properties.rs"]
mod properties;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidegate_engine::plan::due::next_after;
use tidegate_model::Instant;
use tidegate_model::schedule::{Rule, Schedule};

/// An instant from RFC 3339 text.
fn at(text: &str) -> Instant {
    let stamp: Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    Instant(stamp.as_microsecond())
}

/// An instant on the wall of a zone, with its offset.
fn shown(at: Instant, zone: &str) -> String {
    let zone = TimeZone::get(zone).expect("a zone");
    let stamp = Timestamp::from_microsecond(at.0).expect("in range");
    stamp.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

fn schedule(rule: Rule, zone: &str) -> Schedule {
    Schedule { rule, timezone: zone.to_owned() }
}

fn every(minutes: u32, zone: &str) -> Schedule {
    schedule(Rule::Every { minutes }, zone)
}

fn daily(hour: u8, minute: u8, zone: &str) -> Schedule {
    schedule(Rule::DailyAt { hour, minute }, zone)
}

fn cron(pattern: &str, zone: &str) -> Schedule {
    schedule(Rule::Cron(pattern.to_owned()), zone)
}

/// The slots in `[from, to)`.
fn slots(schedule: &Schedule, sync: &str, from: Instant, to: Instant) -> Vec<Instant> {
    let mut out = Vec::new();
    let mut last = Instant(from.0 - 1);
    loop {
        last = next_after(schedule, sync, last).expect("a next slot");
        if last >= to {
            return out;
        }
        out.push(last);
    }
}
