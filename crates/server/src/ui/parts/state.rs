//! States: each has a colour, a sign and a word, so that no state is told by its colour alone.

use maud::{Markup, html};

/// A state as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) struct State {
    /// Class of the style sheet, which is its colour.
    pub(in crate::ui) class: &'static str,
    sign: &'static str,
    word: &'static str,
}

impl State {
    /// The state of a run.
    pub(in crate::ui) fn of_run(status: &str) -> Self {
        let (class, sign, word) = match status {
            "succeeded" => ("is-ok", "✓", "succeeded"),
            "partial" => ("is-partial", "◐", "partial"),
            "failed" => ("is-failed", "✕", "failed"),
            "unbalanced" => ("is-unbalanced", "≠", "unbalanced"),
            "running" => ("is-running", "●", "running"),
            "queued" => ("is-running", "○", "queued"),
            "cancelled" => ("is-off", "⊘", "cancelled"),
            _ => ("is-off", "?", "unknown"),
        };
        Self { class, sign, word }
    }
    /// The health of a sync.
    pub(in crate::ui) fn of_health(health: &str) -> Self {
        let (class, sign, word) = match health {
            "healthy" => ("is-ok", "✓", "healthy"),
            "attention" => ("is-partial", "!", "needs a look"),
            "failing" => ("is-failed", "✕", "failing"),
            "running" => ("is-running", "●", "running"),
            "off" => ("is-off", "‖", "off"),
            "new" => ("is-held", "+", "new"),
            _ => ("is-off", "?", "unknown"),
        };
        Self { class, sign, word }
    }
}

fn shown(state: State) -> Markup {
    html! { span class={ "state " (state.class) } { i aria-hidden="true" { (state.sign) } (state.word) } }
}

/// The state of a run.
pub(in crate::ui) fn badge(status: &str) -> Markup {
    shown(State::of_run(status))
}

/// The health of a sync.
pub(in crate::ui) fn health(word: &str) -> Markup {
    shown(State::of_health(word))
}

/// How grave a finding is.
pub(in crate::ui) fn severity(word: &str) -> Markup {
    let (class, sign, word) = match word {
        "critical" => ("is-failed", "✕", "must be mended"),
        "warning" => ("is-partial", "!", "warning"),
        _ => ("is-ok", "✓", "good to know"),
    };
    shown(State { class, sign, word })
}

/// A direction, as an arrow between the sides and in words.
pub(in crate::ui) fn direction(word: &str) -> Markup {
    let (arrow, said) = match word {
        "to_platform" => ("→", "to the platform"),
        "to_warehouse" => ("←", "to the warehouse"),
        _ => ("⇄", "both ways"),
    };
    html! { span.nowrap title=(said) { span aria-hidden="true" { (arrow) } span.hidden-text { (said) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_sign_of_its_own() {
        let runs = ["succeeded", "partial", "failed", "unbalanced", "running", "queued", "cancelled"];
        let mut signs: Vec<_> = runs.iter().map(|status| State::of_run(status).sign).collect();
        signs.sort_unstable();
        signs.dedup();
        assert_eq!(signs.len(), runs.len());
        assert!(runs.iter().all(|status| State::of_run(status).word == *status), "the words of the contract");
    }
}
