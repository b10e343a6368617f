//! What holds for every schedule, zone and instant.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use tidegate_engine::plan::due::next_after;
use tidegate_model::Instant;
use tidegate_model::schedule::{Rule, Schedule};

use super::{schedule, slots};

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Stockholm",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Pacific/Apia",
];

fn any_rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        prop::sample::select(vec![1u32, 5, 7, 10, 30, 60, 90, 120, 360, 420, 720, 1440, 2160, 2880, 10_080])
            .prop_map(|minutes| Rule::Every { minutes }),
        any_wall_rule(),
    ]
}

fn any_wall_rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (0u8..24, 0u8..60).prop_map(|(hour, minute)| Rule::DailyAt { hour, minute }),
        (0u8..60, 0u8..24, 1u8..29).prop_map(|(m, h, d)| Rule::Cron(format!("{m} {h} {d} * *"))),
        (0u8..60, 0u8..24, 0u8..7).prop_map(|(m, h, d)| Rule::Cron(format!("{m} {h} * * {d}"))),
        (1u8..60, 1u8..24).prop_map(|(m, h)| Rule::Cron(format!("*/{m} */{h} * * *"))),
    ]
}

fn any_schedule(rule: impl Strategy<Value = Rule>) -> impl Strategy<Value = Schedule> {
    (rule, prop::sample::select(ZONES)).prop_map(|(rule, zone)| schedule(rule, zone))
}

/// 2005 to 2037, to the microsecond.
fn any_instant() -> impl Strategy<Value = Instant> {
    (1_104_537_600_000_000_i64..2_145_916_800_000_000).prop_map(Instant)
}

fn next(schedule: &Schedule, after: Instant) -> Instant {
    next_after(schedule, "companies", after).expect("a slot")
}

fn wall(zone: &TimeZone, at: Instant) -> DateTime {
    zone.to_datetime(Timestamp::from_microsecond(at.0).expect("in range"))
}

/// Whether the rule names this time on the wall: written anew here, without croner.
fn names(rule: &Rule, at: DateTime) -> bool {
    match rule {
        Rule::Every { .. } => unreachable!("intervals name no times"),
        Rule::DailyAt { hour, minute } => at.hour() as u8 == *hour && at.minute() as u8 == *minute,
        Rule::Cron(pattern) => {
            let fields: Vec<&str> = pattern.split(' ').collect();
            let hit = |field: &str, value: i8| match field.strip_prefix("*/") {
                Some(step) => value % step.parse::<i8>().expect("a step") == 0,
                None => field == "*" || field.parse() == Ok(value),
            };
            hit(fields[0], at.minute())
                && hit(fields[1], at.hour())
                && hit(fields[2], at.day())
                && hit(fields[4], at.weekday().to_sunday_zero_offset())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_next_slot_is_strictly_after(schedule in any_schedule(any_rule()), after in any_instant()) {
        prop_assert!(next(&schedule, after) > after);
    }

    #[test]
    fn a_later_instant_has_no_earlier_slot(schedule in any_schedule(any_rule()), a in any_instant(), by in 0i64..200_000_000_000) {
        let b = Instant(a.0 + by);
        prop_assert!(next(&schedule, a) <= next(&schedule, b));
    }

    #[test]
    fn no_slot_lies_between_an_instant_and_its_next(schedule in any_schedule(any_rule()), after in any_instant(), part in 0.0f64..1.0) {
        let slot = next(&schedule, after);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let between = Instant(after.0 + ((slot.0 - after.0 - 1) as f64 * part) as i64);
        prop_assert_eq!(next(&schedule, between), slot);
    }

    #[test]
    fn intervals_stay_within_a_third_of_their_length(
        minutes in prop::sample::select(vec![1u32, 5, 7, 30, 60, 90, 360, 420, 720, 1440, 2160]),
        zone in prop::sample::select(ZONES),
        after in any_instant(),
    ) {
        let schedule = schedule(Rule::Every { minutes }, zone);
        let first = next(&schedule, after);
        let gap = next(&schedule, first).millis_since(first);
        let length = i64::from(minutes) * 60_000;
        // Samoa's missing day makes an interval of a day and a half start over sooner, never later.
        prop_assert!(gap >= length / 3 && gap <= length + length / 3, "{gap} of {length}");
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Walks the days around an instant minute by minute with a wall of its own: each named time that the wall shows
    /// is one slot, when it is shown first; named times that it skips are one slot at the change of the clock.
    #[test]
    fn folds_give_no_second_run_and_gaps_exactly_one(schedule in any_schedule(any_wall_rule()), from in prop_oneof![any_instant(), near_a_change()]) {
        let from = Instant(from.0 - from.0.rem_euclid(60_000_000));
        let to = from.plus_millis(2 * 86_400_000);
        let zone = TimeZone::get(&schedule.timezone).expect("a zone");
        let mut expected: Vec<Instant> = Vec::new();
        let mut latest = wall(&zone, from.plus_millis(-86_400_000));
        let mut at = from.plus_millis(-86_400_000 + 60_000);
        while at < to {
            let shows = wall(&zone, at);
            let mut minute = latest;
            let mut named = false;
            // every minute of the wall's time that came since the latest one it has shown
            while minute < shows {
                minute = minute.checked_add(jiff::Span::new().minutes(1)).expect("in range");
                named |= names(&schedule.rule, minute);
            }
            if named && at >= from {
                expected.push(at);
            }
            latest = latest.max(shows);
            at = at.plus_millis(60_000);
        }
        prop_assert_eq!(slots(&schedule, "companies", from, to), expected);
    }
}

/// Instants in the days around a change of the clock.
fn near_a_change() -> impl Strategy<Value = Instant> {
    let changes = [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2018-02-18T02:00:00Z",
        "2018-11-04T03:00:00Z",
        "2026-10-03T16:00:00Z",
        "2026-04-04T16:00:00Z",
        "2026-04-04T15:00:00Z",
        "2011-12-30T10:00:00Z",
    ];
    let changes: Vec<Instant> = changes.iter().map(|text| super::at(text)).collect();
    (prop::sample::select(changes), 0i64..172_800_000).prop_map(|(change, before)| change.plus_millis(-before))
}
