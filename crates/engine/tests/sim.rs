//! The engine against a simulated world: random histories, faults and crashes, and what must hold afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "sim/bench.rs"]
mod bench;
#[path = "sim/history.rs"]
mod history;
#[path = "sim/oracle.rs"]
mod oracle;
#[path = "sim/setup.rs"]
mod setup;
#[path = "sim/smoke.rs"]
mod smoke;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds of one test: together the tests of this file play all of them.
const SEEDS: u64 = 200;
const PARTS: u64 = 4;

fn one(seed: u64) {
    let mut setup = setup::setup(seed);
    if tidegate_testkit::sim::traced() {
        eprintln!("sync: {:#?}", setup.bench.sync);
    }
    let told = history::play(&mut setup);
    oracle::check(&mut setup, &told);
}

fn part(part: u64) {
    let mut failed = Vec::new();
    for seed in tidegate_testkit::sim::seeds(SEEDS).into_iter().filter(|seed| seed % PARTS == part) {
        if catch_unwind(AssertUnwindSafe(|| one(seed))).is_err() {
            eprintln!(
                "--- replay: TIDEGATE_SEED={seed} cargo nextest run -p tidegate-engine --test sim histories_{part}"
            );
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}

#[test]
fn histories_0_converge() {
    part(0);
}

#[test]
fn histories_1_converge() {
    part(1);
}

#[test]
fn histories_2_converge() {
    part(2);
}

#[test]
fn histories_3_converge() {
    part(3);
}
