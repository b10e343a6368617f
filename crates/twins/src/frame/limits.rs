//! The limits of a platform, kept as it keeps them: what comes too soon is refused with 429.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

/// What is permitted at an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Calls in any second.
    pub requests_per_second: Option<u64>,
    /// Calls in any minute.
    pub requests_per_minute: Option<u64>,
    /// Records in a second, on average.
    pub records_per_second: Option<u64>,
    /// Records that may come at once after a pause.
    pub burst_records: Option<u64>,
    /// Calls in flight.
    pub parallel: Option<u64>,
}

const SECOND: i64 = 1_000_000;

/// What a class of endpoints has seen.
#[derive(Debug, Default)]
struct Class {
    /// When calls of the last minute came.
    calls: VecDeque<i64>,
    /// Records that may still come, in micro-records, and when that was true.
    bucket: Option<(u64, i64)>,
    flying: u64,
}

/// The memory of all limits, by class of endpoints.
#[derive(Debug, Default)]
pub(super) struct Gate(HashMap<&'static str, Class>);

impl Gate {
    /// Lets a call in, or says which limit it breaks.
    pub(super) fn enter(
        &mut self,
        class: &'static str,
        rates: Rates,
        records: u64,
        now: i64,
    ) -> Result<(), &'static str> {
        let class = self.0.entry(class).or_default();
        while class.calls.front().is_some_and(|at| *at <= now - 60 * SECOND) {
            class.calls.pop_front();
        }
        let within = |span: i64| class.calls.iter().rev().take_while(|at| **at > now - span).count() as u64;
        let over = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used >= limit);
        if over(rates.parallel, class.flying) {
            return Err("calls in flight");
        }
        if rates.requests_per_second.is_some() && over(rates.requests_per_second, within(SECOND)) {
            return Err("calls in a second");
        }
        if over(rates.requests_per_minute, class.calls.len() as u64) {
            return Err("calls in a minute");
        }
        if let Some(rate) = rates.records_per_second {
            let burst = rates.burst_records.unwrap_or(rate).max(rate) * SECOND as u64;
            let (left, since) = class.bucket.unwrap_or((burst, now));
            let gained = rate.saturating_mul(u64::try_from(now - since).unwrap_or(0));
            let left = left.saturating_add(gained).min(burst);
            class.bucket = Some((left, now));
            let wanted = records.saturating_mul(SECOND as u64);
            if wanted > left {
                return Err("records in a second");
            }
            class.bucket = Some((left - wanted, now));
        }
        class.calls.push_back(now);
        class.flying += 1;
        Ok(())
    }

    /// A call that was let in has ended.
    pub(super) fn leave(&mut self, class: &'static str) {
        if let Some(class) = self.0.get_mut(class) {
            class.flying = class.flying.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_second_and_minute_and_flight() {
        let rates =
            Rates { requests_per_second: Some(2), requests_per_minute: Some(3), parallel: Some(9), ..Rates::default() };
        let mut gate = Gate::default();
        let mut at = |now: i64| gate.enter("x", rates, 1, now).err();
        assert_eq!([at(0), at(1), at(2)], [None, None, Some("calls in a second")]);
        assert_eq!([at(2 * SECOND), at(4 * SECOND), at(61 * SECOND)], [None, Some("calls in a minute"), None]);
        let one = Rates { parallel: Some(1), ..Rates::default() };
        assert_eq!(gate.enter("y", one, 1, 0), Ok(()));
        assert_eq!(gate.enter("y", one, 1, 0), Err("calls in flight"));
        gate.leave("y");
        assert_eq!(gate.enter("y", one, 1, 0), Ok(()));
    }

    #[test]
    fn records_fill_a_bucket() {
        let rates = Rates { records_per_second: Some(300), burst_records: Some(1_000), ..Rates::default() };
        let mut gate = Gate::default();
        assert_eq!(gate.enter("x", rates, 1_000, 0), Ok(()));
        assert_eq!(gate.enter("x", rates, 200, SECOND / 2), Err("records in a second"));
        assert_eq!(gate.enter("x", rates, 200, SECOND), Ok(()));
    }
}
