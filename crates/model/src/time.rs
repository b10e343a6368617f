//! Days and microseconds to ISO text and back. No clock is read here.

use jiff::civil::{Date, DateTime, Time};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An instant: microseconds since 1970-01-01T00:00:00Z. The engine's and the store's only unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Instant(pub i64);

impl Instant {
    /// This instant moved by a number of milliseconds (may be negative).
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000)))
    }
    /// Milliseconds from `earlier` to this instant.
    pub fn millis_since(self, earlier: Instant) -> i64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }
}

/// RFC 3339 in UTC with as many fraction digits as needed.
impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}Z", timestamp_text(self.0))
    }
}

/// `YYYY-MM-DD` of a number of days since 1970-01-01.
pub fn date_text(days: i32) -> String {
    match epoch_date().checked_add(jiff::Span::new().days(i64::from(days).clamp(-4_000_000, 4_000_000))) {
        Ok(date) => date.to_string(),
        Err(_) => format!("day {days}"),
    }
}

/// `HH:MM:SS[.ffffff]` of microseconds since midnight.
pub fn time_text(us: i64) -> String {
    let us = us.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
    let base = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 {
        return base;
    }
    let digits = format!("{fraction:06}");
    format!("{base}.{}", digits.trim_end_matches('0'))
}

/// `YYYY-MM-DDTHH:MM:SS[.ffffff]` of microseconds since the epoch.
pub fn timestamp_text(us: i64) -> String {
    let days = us.div_euclid(MICROS_PER_DAY);
    let date = date_text(i32::try_from(days).unwrap_or(i32::MAX));
    format!("{date}T{}", time_text(us.rem_euclid(MICROS_PER_DAY)))
}

fn epoch_date() -> Date {
    Date::constant(1970, 1, 1)
}

/// Days since 1970-01-01 of a civil date.
pub fn days_of(date: Date) -> i32 {
    date.since(epoch_date()).map_or(0, |span| span.get_days())
}

/// The civil date of a number of days since 1970-01-01; `None` outside the years −9999–9999.
pub fn date_of(days: i32) -> Option<Date> {
    epoch_date().checked_add(jiff::Span::new().try_days(i64::from(days)).ok()?).ok()
}

/// Microseconds since the epoch of a civil date and time.
pub fn micros_of(at: DateTime) -> i64 {
    let time = at.time();
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    i64::from(days_of(at.date())) * MICROS_PER_DAY + seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1_000
}

/// The civil date and time of microseconds since the epoch.
pub fn datetime_of(us: i64) -> Option<DateTime> {
    let date = date_of(i32::try_from(us.div_euclid(MICROS_PER_DAY)).ok()?)?;
    let rest = us.rem_euclid(MICROS_PER_DAY);
    let seconds = rest / 1_000_000;
    let time = Time::new(
        i8::try_from(seconds / 3600).ok()?,
        i8::try_from(seconds / 60 % 60).ok()?,
        i8::try_from(seconds % 60).ok()?,
        i32::try_from(rest % 1_000_000 * 1_000).ok()?,
    )
    .ok()?;
    Some(DateTime::from_parts(date, time))
}

/// Why a text is not a date or time of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeMisfit {
    /// Not a date or time at all.
    Malformed,
    /// Digits finer than a microsecond that are not zero.
    SubMicrosecond,
}

fn check_fraction(nanos: i32) -> Result<(), TimeMisfit> {
    if nanos % 1_000 == 0 { Ok(()) } else { Err(TimeMisfit::SubMicrosecond) }
}

/// Reads `YYYY-MM-DD` strictly (no time after it).
pub fn parse_date(text: &str) -> Result<i32, TimeMisfit> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return Err(TimeMisfit::Malformed);
    }
    text.parse::<Date>().map(days_of).map_err(|_| TimeMisfit::Malformed)
}

/// Reads `HH:MM[:SS[.f]]`.
pub fn parse_time(text: &str) -> Result<i64, TimeMisfit> {
    let time: Time = text.parse().map_err(|_| TimeMisfit::Malformed)?;
    check_fraction(time.subsec_nanosecond())?;
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Ok(seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1_000)
}

/// Reads a date and time without zone, `T` or a blank between them; a bare date is midnight.
pub fn parse_timestamp(text: &str) -> Result<i64, TimeMisfit> {
    if text.len() == 10 {
        return parse_date(text).map(|days| i64::from(days) * MICROS_PER_DAY);
    }
    let last = text.as_bytes().last().copied().unwrap_or(b' ');
    if !last.is_ascii_digit() || text.rfind(['+', '-']).is_some_and(|at| at > 10) {
        return Err(TimeMisfit::Malformed);
    }
    let at: DateTime = text.parse().map_err(|_| TimeMisfit::Malformed)?;
    check_fraction(at.subsec_nanosecond())?;
    Ok(micros_of(at))
}

/// Reads a date and time with `Z` or an offset; the result is UTC.
pub fn parse_timestamptz(text: &str) -> Result<i64, TimeMisfit> {
    let at: jiff::Timestamp = text.parse().map_err(|_| TimeMisfit::Malformed)?;
    check_fraction(at.subsec_nanosecond())?;
    Ok(at.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_turn_into_each_other() {
        for (text, us) in [
            ("1970-01-01T00:00:00", 0),
            ("2024-02-29T23:59:59.123456", 1_709_251_199_123_456),
            ("1969-12-31T23:59:59", -1_000_000),
        ] {
            assert_eq!(parse_timestamp(text), Ok(us));
            assert_eq!(timestamp_text(us), text);
            assert_eq!(micros_of(datetime_of(us).expect("in range")), us);
        }
        assert_eq!(parse_date("2023-02-29"), Err(TimeMisfit::Malformed));
        assert_eq!(parse_timestamp("2024-01-01T00:00:00.1234567"), Err(TimeMisfit::SubMicrosecond));
        assert_eq!(parse_timestamp("2024-01-01T00:00:00+02:00"), Err(TimeMisfit::Malformed));
        assert_eq!(parse_timestamptz("2024-01-01T02:00:00+02:00"), Ok(1_704_067_200_000_000));
        assert_eq!(parse_timestamp("2024-01-01 10:00:00"), Ok(1_704_103_200_000_000));
    }
}
