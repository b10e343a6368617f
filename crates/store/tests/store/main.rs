//! The suite of the store: what every backend must do, run on SQLite and on Postgres, and what each must do alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agree;
mod base;
mod chain;
mod child;
mod crash;
mod delivered;
mod files;
mod findings;
mod forget;
mod forward;
mod full;
mod history;
mod jobs;
mod leases;
mod ledger;
mod probes;
mod refused;
mod runs;
mod schema;
mod secrets;
mod shards;
mod tls;
