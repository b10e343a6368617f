//! The container job: the real binary between the stand-in for Snowflake and the twin of Batch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

#[path = "shared/account.rs"]
mod account;
#[path = "e2e/bench.rs"]
mod bench;
#[path = "batch_sync/care.rs"]
mod care;
#[path = "batch_sync/defects.rs"]
mod defects;
#[path = "batch_sync/faults.rs"]
mod faults;
#[path = "shared/knobs.rs"]
mod knobs;
#[path = "batch_sync/lab.rs"]
mod lab;
#[path = "batch_sync/overlap.rs"]
mod overlap;
