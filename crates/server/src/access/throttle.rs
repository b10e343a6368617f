//! How often somebody may try to sign in. Pure: the time is handed in.

use std::collections::HashMap;

use tidegate_model::Instant;

/// Tries that are free: a person mistypes.
const FREE: u32 = 5;
/// The wait after the first try above that; it doubles with each.
const FIRST_WAIT_MS: i64 = 2_000;
/// The longest wait.
const WAIT_MS_MAX: i64 = 15 * 60_000;
/// After this long without a try everything is forgotten.
const FORGET_MS: i64 = 60 * 60_000;
/// Names and addresses that are remembered; past it the oldest go.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Tries {
    failed: u32,
    last: Instant,
}

/// Failed tries, by whatever they are counted: a name, an address.
#[derive(Debug, Default)]
pub(crate) struct Throttle(HashMap<String, Tries>);

impl Throttle {
    /// How long to wait before another try; `None`: none.
    pub(crate) fn wait_ms(&self, of: &str, now: Instant) -> Option<i64> {
        let tries = self.0.get(of)?;
        let over = tries.failed.checked_sub(FREE)?;
        let wait = FIRST_WAIT_MS.saturating_mul(1_i64 << over.min(20)).min(WAIT_MS_MAX);
        let left = wait - now.millis_since(tries.last).max(0);
        (left > 0).then_some(left)
    }
    /// A try failed, or is under way: it counts before it is checked, so that many at once count too.
    pub(crate) fn count(&mut self, of: &str, now: Instant) {
        self.0.retain(|_, tries| now.millis_since(tries.last) < FORGET_MS);
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(of) {
            let oldest = self.0.iter().min_by_key(|(_, tries)| tries.last).map(|(name, _)| name.clone());
            oldest.map(|name| self.0.remove(&name));
        }
        let tries = self.0.entry(of.to_owned()).or_insert(Tries { failed: 0, last: now });
        tries.failed = tries.failed.saturating_add(1);
        tries.last = now;
    }
    /// Somebody signed in.
    pub(crate) fn forget(&mut self, of: &str) {
        self.0.remove(of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_are_free_then_the_wait_doubles() {
        let mut throttle = Throttle::default();
        let start = Instant(0);
        for _ in 0..5 {
            assert_eq!(throttle.wait_ms("ada", start), None);
            throttle.count("ada", start);
        }
        assert_eq!(throttle.wait_ms("ada", start), Some(2_000));
        assert_eq!(throttle.wait_ms("ada", start.plus_millis(1_999)), Some(1));
        assert_eq!(throttle.wait_ms("ada", start.plus_millis(2_000)), None);
        throttle.count("ada", start);
        assert_eq!(throttle.wait_ms("ada", start), Some(4_000));
        for _ in 0..40 {
            throttle.count("ada", start);
        }
        assert_eq!(throttle.wait_ms("ada", start), Some(WAIT_MS_MAX));
        assert_eq!(throttle.wait_ms("bob", start), None);
        throttle.forget("ada");
        assert_eq!(throttle.wait_ms("ada", start), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::default();
        for number in 0..REMEMBERED_MAX + 100 {
            throttle.count(&number.to_string(), Instant(i64::try_from(number).expect("small")));
        }
        assert_eq!(throttle.0.len(), REMEMBERED_MAX);
        assert!(!throttle.0.contains_key("0"));
    }
}
