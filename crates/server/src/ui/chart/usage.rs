//! A number over time, as bars.

use maud::{Markup, html};

use super::{px, round_up, scaled, short};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 44.0;
const FOOT: f64 = 22.0;
const TOP: f64 = 10.0;

/// One day, or whatever a bar stands for.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::ui) struct Point {
    /// Below the bar.
    pub(in crate::ui) label: String,
    /// Its height.
    pub(in crate::ui) value: f64,
}

/// The chart, oldest on the left. `what` says what is counted.
pub(in crate::ui) fn usage(points: &[Point], what: &str) -> Markup {
    let most = round_up(points.iter().map(|point| point.value).fold(0.0, f64::max));
    #[allow(clippy::cast_precision_loss, reason = "a number of bars")]
    let step = (WIDTH - LEFT) / points.len().max(1) as f64;
    let (room, base) = (HEIGHT - FOOT - TOP, HEIGHT - FOOT);
    let ends = (points.first(), points.last());
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(said(points, what)) {
            @for part in [0.0, 0.5, 1.0] {
                @let y = base - room * part;
                line.grid x1=(px(LEFT)) x2=(px(WIDTH)) y1=(px(y)) y2=(px(y)) {}
                text x=(px(LEFT - 6.0)) y=(px(y + 4.0)) text-anchor="end" { (short(most * part)) }
            }
            @for (at, point) in points.iter().enumerate() {
                @let height = scaled(point.value, most, room);
                rect.bar x=(px(place(at, step))) y=(px(base - height)) width=(px((step - 2.0).clamp(1.0, 40.0))) height=(px(height)) rx="1.5" {
                    title { (point.label) ": " (point.value) }
                }
            }
            @if let (Some(first), Some(last)) = ends {
                text x=(px(LEFT)) y=(px(HEIGHT - 6.0)) { (first.label) }
                @if points.len() > 1 { text x=(px(WIDTH)) y=(px(HEIGHT - 6.0)) text-anchor="end" { (last.label) } }
            }
        }
    }
}

fn place(at: usize, step: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a place on a screen")]
    let at = at as f64;
    LEFT + at * step
}

/// The chart in a sentence, for those who hear it.
fn said(points: &[Point], what: &str) -> String {
    let Some(most) = points.iter().max_by(|a, b| a.value.total_cmp(&b.value)) else {
        return format!("{what}: nothing yet");
    };
    let sum: f64 = points.iter().map(|point| point.value).sum();
    format!("{what}: {sum:.0} over {} days, most on {} with {:.0}", points.len(), most.label, most.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(label: &str, value: f64) -> Point {
        Point { label: label.to_owned(), value }
    }

    #[test]
    fn bars_are_as_high_as_their_days() {
        let text = usage(&[day("1 May", 5.0), day("2 May", 10.0)], "events").into_string();
        assert!(text.contains("height=\"79.0\"") && text.contains("height=\"158.0\""), "{text}");
        assert!(text.contains("events: 15 over 2 days, most on 2 May with 10"), "{text}");
        assert!(!usage(&[], "events").into_string().contains("NaN"));
        assert!(!text.contains("style="));
    }
}
