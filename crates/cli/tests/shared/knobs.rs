//! Knobs of twins.

use tidegate_twins::{Knobs, Limits};

/// No limits, nothing goes wrong.
pub fn quiet() -> Knobs {
    Knobs { limits: Limits::Off, ..Knobs::default() }
}

/// Everything goes wrong at times: so many answers in a hundred are lost, ten records are refused, and there are storms.
pub fn faults(seed: u64, lost: f64) -> Knobs {
    Knobs {
        seed,
        lost_pct: lost,
        reject_pct: 10.0,
        storm_pct: 5.0,
        storm_length: 2,
        unavailable_pct: 2.0,
        dropped_pct: 2.0,
        ..quiet()
    }
}
