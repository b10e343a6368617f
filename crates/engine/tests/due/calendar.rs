//! Slots on the days when the clock is changed, on leap days, at the ends of years.

use tidegate_engine::plan::due::{next_after, offset_seconds};
use tidegate_model::Instant;
use tidegate_model::schedule::Schedule;

use super::{at, cron, daily, every, shown, slots};

/// Zone, hour and minute, from, to, and the slots that are expected.
type Case = (&'static str, u8, u8, &'static str, &'static str, &'static [&'static str]);

/// The slots from one instant to another, as the wall of the schedule's zone shows them.
fn walls(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    slots(schedule, "companies", at(from), at(to)).into_iter().map(|slot| shown(slot, &schedule.timezone)).collect()
}

/// A sync whose offset is small, so that an interval's slots stand close to round times.
fn early_bird(minutes: u32) -> (String, i64) {
    let name = (0..).map(|n| format!("s{n}")).find(|name| offset_seconds(name, minutes) < 60).expect("some name");
    let offset = offset_seconds(&name, minutes);
    (name, offset)
}

#[test]
fn a_daily_time_in_a_gap_runs_once_at_the_next_valid_time() {
    let table: &[Case] = &[
        // Stockholm skips 02:00–03:00, in March, north
        (
            "Europe/Stockholm",
            2,
            30,
            "2026-03-28T00:00:00+01:00",
            "2026-03-31T00:00:00+02:00",
            &["2026-03-28 02:30:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"],
        ),
        // the gap's first minute is skipped too; its end is not
        (
            "Europe/Stockholm",
            2,
            0,
            "2026-03-29T00:00:00+01:00",
            "2026-03-30T00:00:00+02:00",
            &["2026-03-29 03:00:00 +02:00"],
        ),
        (
            "Europe/Stockholm",
            3,
            0,
            "2026-03-29T00:00:00+01:00",
            "2026-03-30T00:00:00+02:00",
            &["2026-03-29 03:00:00 +02:00"],
        ),
        // Sydney, in October, south
        (
            "Australia/Sydney",
            2,
            15,
            "2026-10-03T00:00:00+10:00",
            "2026-10-06T00:00:00+11:00",
            &["2026-10-03 02:15:00 +10:00", "2026-10-04 03:00:00 +11:00", "2026-10-05 02:15:00 +11:00"],
        ),
        // São Paulo skipped midnight itself
        (
            "America/Sao_Paulo",
            0,
            30,
            "2018-11-03T00:00:00-03:00",
            "2018-11-06T00:00:00-02:00",
            &["2018-11-03 00:30:00 -03:00", "2018-11-04 01:00:00 -02:00", "2018-11-05 00:30:00 -02:00"],
        ),
        // Lord Howe moves by half an hour
        (
            "Australia/Lord_Howe",
            2,
            10,
            "2026-10-03T00:00:00+10:30",
            "2026-10-06T00:00:00+11:00",
            &["2026-10-03 02:10:00 +10:30", "2026-10-04 02:30:00 +11:00", "2026-10-05 02:10:00 +11:00"],
        ),
        // Samoa left out the 30th of December 2011 whole
        (
            "Pacific/Apia",
            9,
            0,
            "2011-12-29T00:00:00-10:00",
            "2012-01-01T00:00:00+14:00",
            &["2011-12-29 09:00:00 -10:00", "2011-12-31 00:00:00 +14:00", "2011-12-31 09:00:00 +14:00"],
        ),
    ];
    for (zone, hour, minute, from, to, expected) in table {
        assert_eq!(walls(&daily(*hour, *minute, zone), from, to), *expected, "{zone} {hour:02}:{minute:02} daily_at");
        let pattern = format!("{minute} {hour} * * *");
        assert_eq!(walls(&cron(&pattern, zone), from, to), *expected, "{zone} {pattern} cron");
    }
}

#[test]
fn a_daily_time_in_a_fold_runs_once() {
    let table: &[Case] = &[
        (
            "Europe/Stockholm",
            2,
            30,
            "2026-10-25T00:00:00+02:00",
            "2026-10-27T00:00:00+01:00",
            &["2026-10-25 02:30:00 +02:00", "2026-10-26 02:30:00 +01:00"],
        ),
        (
            "Australia/Sydney",
            2,
            0,
            "2026-04-05T00:00:00+11:00",
            "2026-04-07T00:00:00+10:00",
            &["2026-04-05 02:00:00 +11:00", "2026-04-06 02:00:00 +10:00"],
        ),
        // São Paulo showed 23:00–24:00 of the 17th twice
        (
            "America/Sao_Paulo",
            23,
            30,
            "2018-02-17T00:00:00-02:00",
            "2018-02-19T00:00:00-03:00",
            &["2018-02-17 23:30:00 -02:00", "2018-02-18 23:30:00 -03:00"],
        ),
        (
            "Australia/Lord_Howe",
            1,
            45,
            "2026-04-05T00:00:00+11:00",
            "2026-04-07T00:00:00+10:30",
            &["2026-04-05 01:45:00 +11:00", "2026-04-06 01:45:00 +10:30"],
        ),
    ];
    for (zone, hour, minute, from, to, expected) in table {
        assert_eq!(walls(&daily(*hour, *minute, zone), from, to), *expected, "{zone} {hour:02}:{minute:02} daily_at");
        let pattern = format!("{minute} {hour} * * *");
        assert_eq!(walls(&cron(&pattern, zone), from, to), *expected, "{zone} {pattern} cron");
    }
}

#[test]
fn between_the_two_showings_of_a_time_the_next_slot_is_tomorrows() {
    let schedule = daily(2, 30, "Europe/Stockholm");
    let second_showing = at("2026-10-25T02:15:00+01:00");
    let next = next_after(&schedule, "companies", second_showing).expect("a slot");
    assert_eq!(shown(next, "Europe/Stockholm"), "2026-10-26 02:30:00 +01:00");
}

#[test]
fn several_cron_times_in_one_gap_are_one_slot() {
    assert_eq!(
        walls(&cron("0,20,40 1-3 * * *", "Europe/Stockholm"), "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"),
        ["2026-03-29 01:40:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-29 03:20:00 +02:00"]
    );
}

#[test]
fn every_hour_stays_hourly_when_the_clock_is_changed() {
    let (name, _) = early_bird(60);
    let table = [
        ("Europe/Stockholm", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23),
        ("Europe/Stockholm", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25),
        ("America/Sao_Paulo", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00", 23),
        ("America/Sao_Paulo", "2018-02-17T00:00:00-02:00", "2018-02-18T00:00:00-03:00", 25),
        ("Australia/Sydney", "2026-10-04T00:00:00+10:00", "2026-10-05T00:00:00+11:00", 23),
        ("Australia/Sydney", "2026-04-05T00:00:00+11:00", "2026-04-06T00:00:00+10:00", 25),
    ];
    for (zone, from, to, count) in table {
        let day = slots(&every(60, zone), &name, at(from), at(to));
        assert_eq!(day.len(), count, "{zone} {from}");
        assert!(day.windows(2).all(|two| two[1].millis_since(two[0]) == 3_600_000), "{zone} {from}");
    }
}

#[test]
fn an_interval_begins_anew_at_local_midnight_plus_its_offset() {
    let (name, offset) = early_bird(360);
    let zone = "Europe/Stockholm";
    let times = |from: &str, to: &str| -> Vec<String> {
        let found = slots(&every(360, zone), &name, at(from), at(to));
        found.into_iter().map(|slot| shown(Instant(slot.0 - offset * 1_000_000), zone)[11..16].to_owned()).collect()
    };
    let day = ["00:00", "06:00", "12:00", "18:00"];
    assert_eq!(times("2026-01-10T00:00:00+01:00", "2026-01-11T00:00:00+01:00"), day);
    // six hours stay six hours on the short day, and the next day stands at midnight again
    assert_eq!(
        times("2026-03-29T00:00:00+01:00", "2026-03-31T00:00:00+02:00"),
        ["00:00", "07:00", "13:00", "19:00", "00:00", "06:00", "12:00", "18:00"]
    );
    // on the long day the fifth, an hour before midnight, is left out
    assert_eq!(
        times("2026-10-25T00:00:00+02:00", "2026-10-27T00:00:00+01:00"),
        ["00:00", "05:00", "11:00", "17:00", "00:00", "06:00", "12:00", "18:00"]
    );
    // half an hour's change of the clock: every hour stays hourly within the day
    let (name, _) = early_bird(60);
    let lord_howe = slots(
        &every(60, "Australia/Lord_Howe"),
        &name,
        at("2026-10-04T00:00:00+10:30"),
        at("2026-10-05T00:00:00+11:00"),
    );
    assert_eq!(lord_howe.len(), 24);
    assert!(lord_howe.windows(2).all(|two| two[1].millis_since(two[0]) == 3_600_000));
}

#[test]
fn an_interval_that_does_not_divide_the_day_starts_over_each_day() {
    let (name, offset) = early_bird(420);
    let found = slots(&every(420, "UTC"), &name, at("2026-05-01T00:00:00Z"), at("2026-05-03T00:00:00Z"));
    let times: Vec<String> =
        found.into_iter().map(|slot| shown(Instant(slot.0 - offset * 1_000_000), "UTC")[8..16].to_owned()).collect();
    assert_eq!(times, ["01 00:00", "01 07:00", "01 14:00", "01 21:00", "02 00:00", "02 07:00", "02 14:00", "02 21:00"]);
}

#[test]
fn intervals_longer_than_a_day_keep_their_length() {
    for (minutes, year_slots) in [(1440, 365), (2 * 1440, 183), (2160, 244), (7 * 1440, 53)] {
        let found = slots(&every(minutes, "UTC"), "companies", at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        assert!(found.len().abs_diff(year_slots) <= 1, "{minutes}: {}", found.len());
        let length = i64::from(minutes) * 60_000;
        assert!(found.windows(2).all(|two| two[1].millis_since(two[0]) == length), "{minutes}");
    }
}

#[test]
fn syncs_of_one_interval_are_spread_over_it() {
    let names: Vec<String> = (0..100).map(|n| format!("sync{n}")).collect();
    let offsets: Vec<i64> = names.iter().map(|name| offset_seconds(name, 60)).collect();
    assert!(offsets.iter().all(|offset| (0..3600).contains(offset)));
    for quarter in 0..4 {
        let here = offsets.iter().filter(|offset| (quarter * 900..(quarter + 1) * 900).contains(*offset)).count();
        assert!((10..=40).contains(&here), "{here} of 100 syncs in quarter {quarter}");
    }
    // Frozen: another number would move every user's runs.
    assert_eq!((offset_seconds("companies", 5), offset_seconds("companies", 60)), (199, 2299));
}

#[test]
fn leap_days_and_the_ends_of_years() {
    let table: &[(&str, &str, &[&str])] = &[
        ("0 6 29 2 *", "2025-01-01T00:00:00Z", &["2028-02-29 06:00:00 +00:00", "2032-02-29 06:00:00 +00:00"]),
        // 2100 has no leap day
        ("0 6 29 2 *", "2096-03-01T00:00:00Z", &["2104-02-29 06:00:00 +00:00"]),
        ("59 23 31 12 *", "2026-06-01T00:00:00Z", &["2026-12-31 23:59:00 +00:00", "2027-12-31 23:59:00 +00:00"]),
        ("0 0 1 1 *", "2026-06-01T00:00:00Z", &["2027-01-01 00:00:00 +00:00"]),
        ("0 0 31 * *", "2026-01-31T00:00:00Z", &["2026-03-31 00:00:00 +00:00", "2026-05-31 00:00:00 +00:00"]),
        ("30 7 * * 1-5", "2026-11-20T08:00:00Z", &["2026-11-23 07:30:00 +00:00", "2026-11-24 07:30:00 +00:00"]),
        ("*/20 * * * *", "2026-12-31T23:40:00Z", &["2027-01-01 00:00:00 +00:00", "2027-01-01 00:20:00 +00:00"]),
    ];
    for (pattern, from, expected) in table {
        let mut last = at(from);
        for wanted in *expected {
            last = next_after(&cron(pattern, "UTC"), "companies", last).expect("a slot");
            assert_eq!(shown(last, "UTC"), *wanted, "{pattern} after {from}");
        }
    }
    let leap = slots(&daily(2, 30, "UTC"), "companies", at("2028-02-28T00:00:00Z"), at("2028-03-02T00:00:00Z"));
    assert_eq!(leap.len(), 3);
}

#[test]
fn a_year_has_as_many_slots_as_it_should() {
    let years = [
        ("Europe/Stockholm", "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00", 365),
        ("Australia/Sydney", "2028-01-01T00:00:00+11:00", "2029-01-01T00:00:00+11:00", 366),
        ("America/Sao_Paulo", "2018-01-01T00:00:00-02:00", "2019-01-01T00:00:00-02:00", 365),
    ];
    for (zone, from, to, days) in years {
        let count = |schedule: &Schedule| slots(schedule, "companies", at(from), at(to)).len();
        for minute in [0, 30] {
            for hour in [0, 2, 3, 23] {
                assert_eq!(count(&daily(hour, minute, zone)), days, "{zone} {hour:02}:{minute:02}");
            }
        }
        assert_eq!(count(&cron("15 */6 * * *", zone)), days * 4, "{zone}");
        assert_eq!(count(&every(60, zone)), days * 24, "{zone}: the hour lost in one half-year is won in the other");
        assert_eq!(count(&every(5, zone)), days * 24 * 12, "{zone}");
        assert_eq!(count(&every(360, zone)), days * 4, "{zone}");
    }
}

#[test]
fn schedules_that_cannot_be_followed_say_why_and_what_to_do() {
    let table = [
        (daily(24, 0, "UTC"), "not a time of day", "HH:MM"),
        (daily(2, 0, "Europe/Stokholm"), "Europe/Stokholm", "IANA"),
        (cron("0 6 * *", "UTC"), "cannot be read", "five fields"),
        (cron("0 0 6 * * *", "UTC"), "cannot be read", "five fields"),
        (cron("0 0 30 2 *", "UTC"), "never comes", "a day that exists"),
        (every(0, "UTC"), "not an interval", "1m"),
    ];
    for (schedule, says, hint) in table {
        let error = next_after(&schedule, "companies", at("2026-01-01T00:00:00Z")).expect_err("no slot");
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint.as_deref().is_some_and(|text| text.contains(hint)), "{error:?}");
    }
}
