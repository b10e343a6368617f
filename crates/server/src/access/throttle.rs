//! How often somebody may try to sign in. What is counted stands in the state, so that all processes count together.

use tidegate_model::Instant;

/// Tries that are free: a person mistypes.
const FREE: u32 = 5;
/// The wait after the first try above that; it doubles with each.
const FIRST_WAIT_MS: i64 = 2_000;
/// The longest wait.
const WAIT_MS_MAX: i64 = 15 * 60_000;

/// How long to wait before another try after so many failed ones, the last one then; `None`: not at all.
pub(crate) fn wait_ms(failed: u32, last: Instant, now: Instant) -> Option<i64> {
    let over = failed.checked_sub(FREE)?;
    let wait = FIRST_WAIT_MS.saturating_mul(1_i64 << over.min(20)).min(WAIT_MS_MAX);
    let left = wait - now.millis_since(last).max(0);
    (left > 0).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_are_free_then_the_wait_doubles() {
        let start = Instant(0);
        assert_eq!(wait_ms(4, start, start), None);
        assert_eq!(wait_ms(5, start, start), Some(2_000));
        assert_eq!(wait_ms(5, start, start.plus_millis(1_999)), Some(1));
        assert_eq!(wait_ms(5, start, start.plus_millis(2_000)), None);
        assert_eq!(wait_ms(6, start, start), Some(4_000));
        assert_eq!(wait_ms(u32::MAX, start, start), Some(WAIT_MS_MAX));
        assert_eq!(wait_ms(5, start.plus_millis(9), start), Some(2_000), "a clock that was set back frees nobody");
    }
}
