//! The real binary, end to end: each test in a folder of its own, with SQL of its own to look at what was written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "shared/account.rs"]
mod account;
#[path = "e2e/auth.rs"]
mod auth;
#[path = "e2e/bad_input.rs"]
mod bad_input;
#[path = "e2e/bench.rs"]
mod bench;
#[path = "e2e/bigquery.rs"]
mod bigquery;
#[path = "e2e/bigquery_demo.rs"]
mod bigquery_demo;
#[path = "e2e/bigquery_logins.rs"]
mod bigquery_logins;
#[path = "e2e/changes.rs"]
mod changes;
#[path = "e2e/demo.rs"]
mod demo;
#[path = "e2e/demo_elsewhere.rs"]
mod demo_elsewhere;
#[path = "e2e/exits.rs"]
mod exits;
#[cfg(feature = "failpoints")]
#[path = "e2e/failpoints.rs"]
mod failpoints;
#[path = "e2e/full_disk.rs"]
mod full_disk;
#[path = "e2e/google.rs"]
mod google;
#[path = "e2e/help.rs"]
mod help;
#[path = "e2e/housekeeping.rs"]
mod housekeeping;
#[path = "shared/lake.rs"]
mod lake;
#[path = "e2e/postgres.rs"]
mod postgres;
#[path = "e2e/privacy.rs"]
mod privacy;
#[path = "../../net/tests/oauth/provider.rs"]
mod provider;
#[path = "e2e/refusals.rs"]
mod refusals;
#[path = "e2e/serve_log.rs"]
mod serve_log;
#[path = "e2e/setup.rs"]
mod setup;
#[path = "e2e/shapes.rs"]
mod shapes;
#[path = "e2e/signals.rs"]
mod signals;
#[path = "e2e/snowflake.rs"]
mod snowflake;
#[path = "e2e/snowflake_demo.rs"]
mod snowflake_demo;
