//! Charts as SVG, made here: shapes and words; colours are the style sheet's. Pure.

mod history;
mod usage;

pub(super) use history::{Bar, history};
pub(super) use usage::{Point, usage};

/// Where a value stands between 0 and the largest, as a length.
fn scaled(value: f64, most: f64, length: f64) -> f64 {
    if most > 0.0 && value.is_finite() { (value / most).clamp(0.0, 1.0) * length } else { 0.0 }
}

/// The next round number, for the top of an axis: 1, 2 or 5 and zeros.
fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let unit = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps.into_iter().map(|step| step * unit).find(|top| *top >= value).unwrap_or(10.0 * unit)
}

/// A length with one digit behind the point.
fn px(length: f64) -> String {
    format!("{length:.1}")
}

/// A number for an axis.
fn short(value: f64) -> String {
    match value {
        ..1_000.0 => format!("{value:.0}"),
        1_000.0..1_000_000.0 => format!("{} k", trimmed(value / 1_000.0)),
        _ => format!("{} M", trimmed(value / 1_000_000.0)),
    }
}

fn trimmed(value: f64) -> String {
    format!("{value:.1}").trim_end_matches(".0").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [(0.0, 1.0), (1.0, 1.0), (7.0, 10.0), (13.0, 20.0), (480.0, 500.0), (f64::NAN, 1.0)] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}");
        }
        assert_eq!((short(950.0), short(1_500.0), short(2_000_000.0)), ("950".into(), "1.5 k".into(), "2 M".into()));
        assert!((scaled(5.0, 0.0, 10.0)).abs() < 1e-9, "nothing to compare with");
    }
}
