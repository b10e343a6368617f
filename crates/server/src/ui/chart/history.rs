//! The last runs of a sync: a bar each, as high as its work, coloured by how it ended.

use maud::{Markup, html};

use super::{px, round_up, scaled, short};
use crate::ui::parts::State;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 44.0;
const FOOT: f64 = 20.0;
const TOP: f64 = 10.0;
/// A run that had nothing to do is seen all the same.
const LEAST: f64 = 3.0;
/// Few runs do not become broad slabs.
const BAR_MAX: f64 = 22.0;

/// One run.
pub(in crate::ui) struct Bar {
    /// Where a click leads.
    pub(in crate::ui) to: String,
    /// How it ended.
    pub(in crate::ui) status: String,
    /// How much it did.
    pub(in crate::ui) amount: u64,
    /// What is said of it.
    pub(in crate::ui) title: String,
}

/// The chart, oldest on the left. `what` says what the height means.
pub(in crate::ui) fn history(bars: &[Bar], what: &str) -> Markup {
    #[allow(clippy::cast_precision_loss, reason = "a height on a screen")]
    let amount = |bar: &Bar| bar.amount as f64;
    let most = round_up(bars.iter().map(amount).fold(0.0, f64::max));
    #[allow(clippy::cast_precision_loss, reason = "a number of bars")]
    let step = ((WIDTH - LEFT) / bars.len().max(1) as f64).min(BAR_MAX + 4.0);
    let room = HEIGHT - FOOT - TOP;
    let base = HEIGHT - FOOT;
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="group" aria-label={ (what) " of the last " (bars.len()) " runs" } {
            line.grid x1=(px(LEFT)) x2=(px(WIDTH)) y1=(px(base)) y2=(px(base)) {}
            line.grid x1=(px(LEFT)) x2=(px(WIDTH)) y1=(px(TOP)) y2=(px(TOP)) {}
            text x=(px(LEFT - 6.0)) y=(px(TOP + 4.0)) text-anchor="end" { (short(most)) }
            text x=(px(LEFT - 6.0)) y=(px(base)) text-anchor="end" { "0" }
            text x=(px(LEFT)) y=(px(HEIGHT - 5.0)) { "older" }
            text x=(px(WIDTH)) y=(px(HEIGHT - 5.0)) text-anchor="end" { (what) }
            @for (at, bar) in bars.iter().enumerate() {
                @let x = place(at, step);
                @let height = scaled(amount(bar), most, room).max(LEAST);
                a href=(bar.to) aria-label=(bar.title) {
                    rect class=(State::of_run(&bar.status).class) x=(px(x)) y=(px(base - height)) width=(px((step - 4.0).max(1.0)))
                        height=(px(height)) rx="2" { title { (bar.title) } }
                }
            }
        }
    }
}

fn place(at: usize, step: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a place on a screen")]
    let at = at as f64;
    LEFT + at * step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(amount: u64, status: &str) -> Bar {
        Bar { to: format!("/runs/{amount}"), status: status.to_owned(), amount, title: format!("{amount} & more") }
    }

    #[test]
    fn each_run_is_a_link_as_high_as_its_work() {
        let text = history(&[bar(0, "succeeded"), bar(50, "failed"), bar(100, "unbalanced")], "records").into_string();
        assert_eq!(text.matches("<rect").count(), 3);
        assert!(text.contains("height=\"3.0\""), "nothing to do is seen: {text}");
        assert!(text.contains("height=\"60.0\"") && text.contains("height=\"120.0\""), "{text}");
        assert!(text.contains("class=\"is-unbalanced\"") && text.contains("href=\"/runs/50\""));
        assert!(text.contains("100 &amp; more") && !text.contains("style="));
    }

    #[test]
    fn no_runs_and_many_runs_stay_inside() {
        assert!(!history(&[], "records").into_string().contains("NaN"));
        let many: Vec<Bar> = (0..200).map(|n| bar(n, "succeeded")).collect();
        let text = history(&many, "records").into_string();
        let ends = text
            .split("<rect")
            .skip(1)
            .filter_map(|rest| rest.split(" x=\"").nth(1)?.split('"').next()?.parse::<f64>().ok());
        assert!(ends.fold(0.0, f64::max) <= WIDTH, "{text}");
    }
}
