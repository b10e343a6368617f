//! Small things in text: durations, times of day, zones, percentages. Each answers what is wrong in words.

/// Reads `500ms`, `30s`, `15m`, `1h`, `30d`, `2w` as milliseconds.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    const SHAPE: &str = "a duration is a number with its unit, such as `30s`, `15m`, `1h` or `90d`";
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: i64 = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return Err(SHAPE.to_owned()),
    };
    let number: i64 = number.parse().map_err(|_| SHAPE.to_owned())?;
    // A century: longer is a slip, and microseconds of it still fit an i64.
    number
        .checked_mul(factor)
        .filter(|ms| *ms <= 36_525 * 86_400_000)
        .ok_or_else(|| "longer than a hundred years".to_owned())
}

/// Checks that a zone is in the IANA list.
pub fn parse_zone(text: &str) -> Result<jiff::tz::TimeZone, String> {
    jiff::tz::TimeZone::get(text).map_err(|_| {
        let near = jiff::tz::db().available().map(|name| name.to_string()).collect::<Vec<_>>();
        match super::did_you_mean(text, near.iter().map(String::as_str)) {
            Some(near) => format!("there is no time zone `{text}`; did you mean `{near}`?"),
            None => format!("there is no time zone `{text}`; names are as in `Europe/Stockholm` or `UTC`"),
        }
    })
}
