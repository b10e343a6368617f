//! When a sync runs by itself. The due-planner is `engine::plan::due`.

use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};

/// `schedule:` of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rule.
    pub rule: Rule,
    /// IANA zone in which the rule is read.
    pub timezone: String,
}

/// The rule of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Every so many minutes, anchored to local midnight plus a stable offset per sync.
    Every {
        /// Minutes, at least 1, and a divisor or multiple that the config allows.
        minutes: u32,
    },
    /// Each day at this local time.
    DailyAt {
        /// 0–23.
        hour: u8,
        /// 0–59.
        minute: u8,
    },
    /// A cron expression of five fields.
    Cron(String),
}

impl Rule {
    /// Reads `every:` such as `5m`, `1h` or `1d`. The slots are anchored to local midnight, so they must divide a day.
    pub fn parse_every(text: &str) -> Result<Self, String> {
        const DAY: i64 = 24 * 60;
        let shape = || "an interval is a number of minutes, hours or one day, such as `5m`, `1h` or `1d`".to_owned();
        let ms = crate::config::parse_duration_ms(text).map_err(|_| shape())?;
        if ms < 60_000 || ms % 60_000 != 0 {
            return Err("an interval is at least one minute, in whole minutes, such as `5m`".to_owned());
        }
        let minutes = ms / 60_000;
        if minutes > DAY {
            return Err("an interval is at most one day; for rarer runs write `cron: \"…\"`".to_owned());
        }
        if DAY % minutes != 0 {
            let divides = |m: &i64| DAY % m == 0;
            let below = (1..minutes).rev().find(divides).unwrap_or(1);
            let above = (minutes..=DAY).find(divides).unwrap_or(DAY);
            return Err(format!("{minutes} minutes do not divide a day; take `{below}m` or `{above}m`"));
        }
        u32::try_from(minutes).map(|minutes| Rule::Every { minutes }).map_err(|_| shape())
    }
    /// Reads `daily_at:` such as `02:30`.
    pub fn parse_daily_at(text: &str) -> Result<Self, String> {
        let shape = || "a time of day is HH:MM, such as `02:30`".to_owned();
        let (hour, minute) = text.split_once(':').ok_or_else(shape)?;
        let number = |part: &str, most: u8| {
            let whole = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u8>().ok().filter(|n| whole && *n <= most)
        };
        match (number(hour, 23), number(minute, 59)) {
            (Some(hour), Some(minute)) if text.split(':').nth(1).is_some_and(|m| m.len() == 2) => {
                Ok(Rule::DailyAt { hour, minute })
            }
            _ => Err(shape()),
        }
    }
    /// Reads `cron:`, an expression of five fields.
    pub fn parse_cron(text: &str) -> Result<Self, String> {
        let fields = text.split_whitespace().count();
        if fields != 5 {
            return Err(format!(
                "a cron expression has five fields (minute, hour, day, month, weekday), this one has {fields}"
            ));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| format!("not a cron expression: {error}"))?;
        // A year of no special kind: what does not come after it, such as 30 February, never comes.
        cron.find_next_occurrence(&jiff::civil::DateTime::constant(2000, 1, 1, 0, 0, 0, 0), true)
            .map_err(|_| "this day never comes".to_owned())?;
        Ok(Rule::Cron(text.split_whitespace().collect::<Vec<_>>().join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_divides_a_day() {
        for (text, minutes) in [("5m", 5), ("60m", 60), ("1h", 60), ("90m", 90), ("1d", 1440), ("24h", 1440)] {
            assert_eq!(Rule::parse_every(text), Ok(Rule::Every { minutes }));
        }
        for (text, why) in [
            ("7m", "take `6m` or `8m`"),
            ("30s", "at least one minute"),
            ("2d", "cron"),
            ("60", "`5m`"),
            ("0m", "least"),
        ] {
            let error = Rule::parse_every(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(Rule::parse_daily_at("02:30"), Ok(Rule::DailyAt { hour: 2, minute: 30 }));
        assert_eq!(Rule::parse_daily_at("7:05"), Ok(Rule::DailyAt { hour: 7, minute: 5 }));
        for text in ["24:00", "12:60", "12", "12:5", "+1:30", "aa:bb", "", "1:30:00"] {
            assert!(Rule::parse_daily_at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cron_has_five_fields() {
        assert_eq!(Rule::parse_cron("0  6 * * *"), Ok(Rule::Cron("0 6 * * *".to_owned())));
        assert!(Rule::parse_cron("0 6 29 2 *").is_ok(), "every four years");
        assert!(Rule::parse_cron("*/15 8-18 * * MON-FRI").is_ok());
        for (text, why) in [
            ("0 6 * *", "this one has 4"),
            ("61 * * * *", "not a cron"),
            ("@daily", "has 1"),
            ("0 6 30 2 *", "never comes"),
        ] {
            let error = Rule::parse_cron(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
