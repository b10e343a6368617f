//! The one limiter: what a platform permits and what the connection's quota allows, drawn from one budget per remote
//! account that every sync and worker shares.
//!
//! A limit on calls holds in every window of its length, wherever it begins. A limit on records is the bucket that
//! platforms keep: a second's worth (or the burst) may come at once, and it fills evenly. The platform's own numbers and
//! the quota's are booked side by side, so a quota can only be tighter.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{Env, Flow, Limits, Memory};
use tidegate_model::time::Instant;

use crate::api::Quota;

use super::context::Ctx;
use super::retry::pause;

/// A place of a call in flight that nobody gave back is free after this time: calls end before a lease of 60 s does.
const PLACE_US: i64 = 90_000_000;
/// How long to wait before asking again for a place, milliseconds.
const PLACE_WAIT_MS: u64 = 20;
/// Of a limit on calls, one in so many may come early: what a late timer loses is made up for, and a window that begins
/// with these still holds no more than the limit.
const EARLY_PER: u64 = 50;
/// Calls of a full window keep apart by one in so many more than they have to: the first of a window may have left late.
const APART_PER: u64 = 50;
/// Of a bucket of records, one in so many is left in it: calls arrive with some jitter, and a bucket that is drawn to the
/// last unit refuses the one that comes a millisecond early.
const SLACK_PER: u64 = 20;
const DAY_US: i64 = 86_400_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A place among the calls in flight, where the platform counts them.
pub(crate) struct Place(Option<(u32, Instant)>);

impl Place {
    /// Gives the place back.
    pub async fn leave(self, ctx: &Ctx) -> Result<()> {
        match self.0 {
            Some((place, until)) => ctx.engine.memory.vacate(&ctx.job.quota.account, place, until).await,
            None => Ok(()),
        }
    }
}

/// Waits until the account's budget grants a call with so many records, and makes sure that the sync is still ours.
pub(crate) async fn enter(ctx: &Ctx, limits: &Limits, records: u64) -> Result<Place> {
    let (memory, env, quota) = (&ctx.engine.memory, &*ctx.engine.env, &ctx.job.quota);
    let cancel = &ctx.options.cancel;
    if let Some(limit) = quota.requests_per_day {
        let mut open = calls_of(limits, records);
        loop {
            let block = env.now().0.div_euclid(DAY_US);
            open -= memory.draw(&quota.account, "requests_per_day", block, part(quota, limit), open).await?.min(open);
            if open == 0 {
                break;
            }
            let left = (block + 1) * DAY_US - env.now().0;
            pause(env, cancel, u64::try_from(left / 1_000).unwrap_or(0) + 1).await?;
        }
    }
    let mut place = Place(None);
    while let (None, Some(places)) = (&place.0, limits.parallel) {
        let now = env.now();
        let until = Instant(now.0.saturating_add(PLACE_US));
        match memory.occupy(&quota.account, places.max(1), now, until).await? {
            Some(number) => place = Place(Some((number, until))),
            None => pause(env, cancel, PLACE_WAIT_MS).await?,
        }
    }
    let mut wait = 0;
    for (unit, flow, want) in flows(quota, limits, records) {
        wait = wait.max(memory.book(&quota.account, &unit, flow, want, env.now()).await?);
    }
    if wait > 0
        && let Err(cancelled) = pause(env, cancel, wait.div_ceil(1_000)).await
    {
        place.leave(ctx).await?;
        return Err(cancelled);
    }
    // After all waiting: what comes next is the call.
    if let Err(lost) = ctx.still_ours().await {
        place.leave(ctx).await?;
        return Err(lost);
    }
    Ok(place)
}

/// Waits until the account's budget grants one call that no run asks for as such: a page of a list, a look-up. Where the
/// day's calls are used up it does not wait: that would be for hours, within what looks like a call.
pub async fn pass(memory: &dyn Memory, env: &dyn Env, quota: &Quota, limits: &Limits) -> Result<()> {
    if let Some(limit) = quota.requests_per_day {
        let block = env.now().0.div_euclid(DAY_US);
        if memory.draw(&quota.account, "requests_per_day", block, part(quota, limit), 1).await? == 0 {
            let left = u64::try_from((block + 1) * DAY_US - env.now().0).unwrap_or(0);
            let mut error = Error::new(
                ErrorKind::RateLimited,
                format!(
                    "connection {}: the calls that `quota: {{requests_per_day: …}}` gives a day are used up",
                    quota.account
                ),
            )
            .hint("the day begins at midnight UTC; raise the quota if the platform permits more");
            error.retry_after = Some(std::time::Duration::from_micros(left));
            return Err(error);
        }
    }
    let mut wait = 0;
    for (unit, flow, want) in flows(quota, &Limits { single: false, ..*limits }, 0) {
        wait = wait.max(memory.book(&quota.account, &unit, flow, want, env.now()).await?);
    }
    if wait > 0 {
        env.sleep(wait.div_ceil(1_000)).await;
    }
    Ok(())
}

/// The budget of an account that one process has for itself: a job that keeps no store.
#[derive(Debug, Default)]
pub struct Own(Mutex<BTreeMap<String, u64>>);

impl Own {
    /// Books a call with so many records; the microseconds until it may leave.
    pub fn book(&self, limits: &Limits, records: u64, now: Instant) -> u64 {
        let now = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000);
        let mut booked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = 0;
        for (unit, flow, want) in flows(&Quota::default(), limits, records) {
            let until = booked.entry(unit).or_default();
            *until = (*until).max(now).saturating_add(want.saturating_mul(flow.unit_ns));
            wait = wait.max(until.saturating_sub(flow.burst.saturating_mul(flow.unit_ns)).saturating_sub(now));
        }
        wait.div_ceil(1_000)
    }

    /// Most records of a call.
    pub fn batch_max(limits: &Limits) -> Option<u64> {
        batch_max(&Quota::default(), limits)
    }
}

/// How many requests a call with so many records makes.
pub(crate) fn calls_of(limits: &Limits, records: u64) -> u64 {
    if limits.single { records.max(1) } else { 1 }
}

/// Every flow that a call is booked in, with the units that it takes. Limits that differ in a number are budgets of
/// their own.
fn flows(quota: &Quota, limits: &Limits, records: u64) -> Vec<(String, Flow, u64)> {
    if quota.unlimited {
        return Vec::new();
    }
    let want = calls_of(limits, records);
    let calls =
        |(name, limit, seconds): (&str, u64, u64)| (format!("{name}={limit}"), calls_flow(limit, seconds), want);
    let mut all: Vec<_> = call_limits(quota, limits).into_iter().map(calls).collect();
    if let Some(limit) = quota.records_per_second.map(|limit| part(quota, limit)) {
        all.push((format!("quota.records_per_second={limit}"), records_flow(limit, limit), records));
    }
    if let Some(limit) = limits.records_per_second {
        let burst = limits.burst_records.unwrap_or(0);
        all.push((format!("records_per_second={limit}/{burst}"), records_flow(limit, burst), records));
    }
    all
}

/// The limits on calls: name, number, seconds.
fn call_limits(quota: &Quota, limits: &Limits) -> Vec<(&'static str, u64, u64)> {
    let allowed = quota.requests_per_minute.map(|limit| ("quota.requests_per_minute", part(quota, limit), 60));
    let a_minute = limits.requests_per_minute.map(|limit| ("requests_per_minute", limit, 60));
    let a_second = limits.requests_per_second.map(|limit| ("requests_per_second", limit, 1));
    [allowed, a_minute, a_second].into_iter().flatten().collect()
}

/// Of a limit of the quota, the share that tidegate may take.
pub(crate) fn part(quota: &Quota, limit: u64) -> u64 {
    let share = if quota.share > 0.0 { quota.share } else { 1.0 };
    ((limit as f64 * share) as u64).max(1)
}

/// At most so many calls in any window of so many seconds.
fn calls_flow(limit: u64, seconds: u64) -> Flow {
    let limit = limit.max(1);
    let burst = 1 + limit / EARLY_PER;
    let window = seconds * SECOND_NS;
    Flow { unit_ns: (window + window / APART_PER).div_ceil(limit - (burst - 1)), burst }
}

/// So many records in a second, from a bucket of a second's worth or of the burst.
fn records_flow(limit: u64, burst: u64) -> Flow {
    let limit = limit.max(1);
    Flow { unit_ns: SECOND_NS.div_ceil(limit), burst: bucket(limit, burst) }
}

/// What is used of a bucket at once.
fn bucket(limit: u64, burst: u64) -> u64 {
    let whole = limit.max(burst).max(1);
    (whole - whole / SLACK_PER).max(1)
}

/// Most records of a call: more than a bucket holds would exceed it, whenever they come.
pub(crate) fn batch_max(quota: &Quota, limits: &Limits) -> Option<u64> {
    let permitted = limits.records_per_second.map(|limit| bucket(limit.max(1), limits.burst_records.unwrap_or(0)));
    let allowed = quota.records_per_second.map(|limit| bucket(part(quota, limit), 0));
    // Calls that leave together are those that may come early.
    let early = |(_, limit, seconds)| calls_flow(limit, seconds).burst;
    let together = call_limits(quota, limits).into_iter().filter(|_| limits.single).map(early).min();
    [permitted, allowed, limits.batch.map(u64::from), together].into_iter().flatten().min()
}

/// How many minutes the limits make so many calls with so many records last, at least.
pub(crate) fn minutes(quota: &Quota, limits: &Limits, calls: u64, records: u64) -> f64 {
    let calls = if limits.single { records } else { calls };
    let units = |want: u64| if want == 1 { calls } else { records };
    // Two stands for "records": a call takes one unit of every other flow.
    let seconds = flows(quota, limits, 2).into_iter().map(|(_, flow, want)| {
        let behind = units(want).saturating_sub(flow.burst);
        behind as f64 * flow.unit_ns as f64 / SECOND_NS as f64
    });
    seconds.fold(0.0, f64::max) / 60.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls as early as a flow lets them go, by the clock that only moves when they wait.
    fn calls(flow: Flow, want: u64, count: u64) -> Vec<u64> {
        let (mut now, mut booked) = (0_u64, 0_u64);
        let mut sent = Vec::new();
        for _ in 0..count {
            let from = booked.max(now);
            booked = from + want * flow.unit_ns;
            now = now.max(booked.saturating_sub(flow.burst * flow.unit_ns));
            sent.push(now);
        }
        sent
    }

    #[test]
    fn no_window_holds_more_calls_than_the_limit_and_hardly_fewer() {
        for (limit, seconds) in [(1, 1), (7, 1), (39, 1), (150, 1), (200, 60), (10, 60), (6_000, 60)] {
            let sent = calls(calls_flow(limit, seconds), 1, limit * 20);
            let window = seconds * SECOND_NS;
            for (at, from) in sent.iter().enumerate() {
                let within = sent[at..].iter().take_while(|time| **time < from + window).count() as u64;
                assert!(within <= limit, "{within} of {limit} in {seconds} s");
            }
            let rate = sent.len() as f64 / (sent[sent.len() - 1] as f64 / window as f64);
            assert!(rate >= 0.95 * limit as f64, "{rate} of {limit} in {seconds} s");
        }
    }

    #[test]
    fn a_bucket_of_records_is_never_overdrawn_and_hardly_unused() {
        for (limit, burst, batch) in [(300, 1_000, 200), (10_000, 0, 5_000), (100, 0, 95), (1, 0, 1)] {
            let sent = calls(records_flow(limit, burst), batch, 400);
            let (whole, mut filled, mut at) = (limit.max(burst) as f64, limit.max(burst) as f64, 0);
            for time in &sent {
                filled = whole.min(filled + (time - at) as f64 / SECOND_NS as f64 * limit as f64) - batch as f64;
                at = *time;
                assert!(filled >= -1e-6, "overdrawn by {filled} at {limit}/{burst}");
            }
            let rate = (sent.len() as u64 * batch) as f64 / (at as f64 / SECOND_NS as f64);
            assert!(rate >= 0.95 * limit as f64, "{rate} of {limit}");
        }
    }

    #[test]
    fn a_budget_of_ones_own_keeps_the_same_limits() {
        let limits = Limits { records_per_second: Some(300), burst_records: Some(1_000), ..Limits::default() };
        let own = Own::default();
        let at = |ms: i64| Instant(1_800_000_000_000_000 + ms * 1_000);
        let first: Vec<u64> = (0..4).map(|_| own.book(&limits, 200, at(0))).collect();
        assert_eq!(first, [0, 0, 0, 0], "the bucket holds 950");
        let fifth = own.book(&limits, 200, at(0));
        assert!((166_000..167_000).contains(&fifth), "{fifth}");
        assert_eq!(own.book(&limits, 200, at(10_000)), 0, "it fills again");
        assert_eq!(Own::batch_max(&limits), Some(950));
    }

    #[test]
    fn a_quota_is_booked_beside_the_limits_and_cuts_calls_to_its_size() {
        let limits = Limits { records_per_second: Some(300), burst_records: Some(1_000), ..Limits::default() };
        let quota = Quota { records_per_second: Some(100), share: 0.5, ..Quota::default() };
        assert_eq!(batch_max(&Quota::default(), &limits), Some(950));
        assert_eq!(batch_max(&quota, &limits), Some(48));
        assert_eq!(batch_max(&Quota::default(), &Limits::default()), None);
        let names: Vec<String> = flows(&quota, &limits, 7).into_iter().map(|(name, _, _)| name).collect();
        assert_eq!(names, ["quota.records_per_second=50", "records_per_second=300/1000"]);
        assert!((minutes(&quota, &limits, 1, 6_048) - 2.0).abs() < 1e-9);
        assert!((minutes(&Quota::default(), &limits, 1, 950)).abs() < f64::EPSILON, "within the burst");
    }

    #[test]
    fn where_each_record_is_a_request_limits_on_calls_count_records() {
        let limits = Limits { single: true, ..Limits::default() };
        let quota = Quota { requests_per_minute: Some(600), share: 1.0, ..Quota::default() };
        assert_eq!((calls_of(&limits, 7), calls_of(&Limits::default(), 7)), (7, 1));
        assert_eq!(batch_max(&quota, &limits), Some(13), "as many as may come early");
        assert_eq!(batch_max(&quota, &Limits::default()), None);
        let sent = calls(calls_flow(600, 60), 13, 400);
        for (at, from) in sent.iter().enumerate() {
            let within = sent[at..].iter().take_while(|time| **time < from + 60 * SECOND_NS).count() * 13;
            assert!(within <= 600, "{within} in a minute");
        }
        let rate = (sent.len() * 13) as f64 / (sent[sent.len() - 1] as f64 / (60 * SECOND_NS) as f64);
        assert!(rate >= 0.95 * 600.0, "{rate} of 600 a minute");
        assert!((minutes(&quota, &limits, 1, 1_213) - 2.08).abs() < 0.1);
    }
}
