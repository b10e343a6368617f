//! Limits of a platform and quotas, by a clock that moves only while somebody waits.

use std::sync::Arc;

use futures_util::future::join;
use tidegate_engine::{Job, Quota, RunOptions};
use tidegate_model::ports::Limits;
use tidegate_model::sync::Direction::ToPlatform;
use tidegate_testkit::sim::{Knobs, SimCall, all_abilities, drive};

use crate::bench::{Bench, plain_fields, sync, text};

fn bench(rows: usize, limits: Limits, write_ms: u64) -> Bench {
    let abilities = tidegate_model::schema::Abilities { max_batch: 1_000, ..all_abilities() };
    let knobs = Knobs { page_rows: 500, abilities, limits, write_ms, ..Knobs::default() };
    let bench = Bench::of(0, sync(&[("name", ToPlatform)]), knobs, plain_fields(), 500);
    for at in 0..rows {
        bench.warehouse.insert(Some(&format!("c{at}")), &[("name", text("x"))]);
    }
    bench
}

/// Records a second from the first call to the last, the last call's own left out.
fn rate(calls: &[SimCall]) -> f64 {
    let sent: u64 = calls[..calls.len() - 1].iter().map(|call| call.records).sum();
    sent as f64 / ((calls[calls.len() - 1].at - calls[0].at) as f64 / 1e6)
}

/// The bucket of a platform: whether any call found too little in it.
fn overdrawn(calls: &[SimCall], limit: f64, whole: f64) -> bool {
    let (mut filled, mut at) = (whole, calls[0].at);
    calls.iter().any(|call| {
        filled = whole.min(filled + (call.at - at) as f64 / 1e6 * limit) - call.records as f64;
        at = call.at;
        filled < 0.0
    })
}

/// Two syncs of one connection at the same time.
fn two_syncs(bench: &Bench, quota: Quota) {
    let job = Job { quota, ..bench.job() };
    let mut named = (*job.sync).clone();
    named.name = "people".into();
    let other = Job { sync: Arc::new(named), ..job.clone() };
    let (engine, options) = (bench.engine(), RunOptions::default());
    let both = Box::pin(join(engine.run(&job, &options), engine.run(&other, &options)));
    let (one, two) = drive(&bench.world, both);
    assert!(one.unwrap().error.is_none() && two.unwrap().error.is_none());
}

#[test]
fn records_keep_to_the_bucket_and_use_it() {
    let limits =
        Limits { records_per_second: Some(300), burst_records: Some(1_000), batch: Some(200), ..Limits::default() };
    let mut bench = bench(8_000, limits, 50);
    assert_eq!(bench.ok().to_platform.created, 8_000);
    let calls = bench.platform.calls();
    assert!(calls.iter().all(|call| call.records <= 200), "{calls:?}");
    assert!(!overdrawn(&calls, 300.0, 1_000.0), "{calls:?}");
    assert!(rate(&calls) >= 0.95 * 300.0, "{}", rate(&calls));
    assert!(calls[3].at - calls[0].at < 500_000, "a burst after a pause goes at once: {:?}", &calls[..5]);
}

#[test]
fn calls_keep_to_every_minute_and_second() {
    for (limits, window_us, most) in [
        (Limits { requests_per_minute: Some(200), batch: Some(1), ..Limits::default() }, 60_000_000, 200),
        (Limits { requests_per_second: Some(30), batch: Some(1), ..Limits::default() }, 1_000_000, 30),
    ] {
        let mut bench = bench(500, limits, 10);
        bench.ok();
        let calls = bench.platform.calls();
        for (at, call) in calls.iter().enumerate() {
            let within = calls[at..].iter().filter(|other| other.at < call.at + window_us).count();
            assert!(within <= most, "{within} calls in a window of {window_us} µs");
        }
        let per_window = rate(&calls) * window_us as f64 / 1e6;
        assert!(per_window >= 0.95 * most as f64, "{per_window} of {most}");
    }
}

#[test]
fn a_quota_may_only_be_tighter_and_is_shared_by_syncs_of_the_account() {
    let permitted = Limits { records_per_second: Some(100), ..Limits::default() };
    for (quota, tighter) in [(Some(40), 40.0), (Some(100_000), 100.0), (None, 100.0)] {
        let bench = bench(1_500, permitted, 20);
        let quota = Quota { account: "crm".into(), records_per_second: quota, ..Quota::default() };
        two_syncs(&bench, quota);
        let calls = bench.platform.calls();
        assert!(!overdrawn(&calls, tighter, tighter), "over {tighter}: {calls:?}");
        assert!(rate(&calls) >= 0.95 * tighter, "{} of {tighter}", rate(&calls));
    }
}

#[test]
fn calls_in_flight_are_counted_over_all_syncs() {
    for (parallel, expected) in [(Some(1), 1), (None, 2)] {
        let bench = bench(300, Limits { parallel, batch: Some(50), ..Limits::default() }, 200);
        two_syncs(&bench, Quota { account: "crm".into(), ..Quota::default() });
        let most = bench.platform.calls().iter().map(|call| call.in_flight).max();
        assert_eq!(most, Some(expected));
    }
}
