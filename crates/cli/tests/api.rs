//! `serve` and `work` as real processes: the API as programs and attackers call it, workers that share a queue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "api/actions.rs"]
mod actions;
#[path = "api/alerts.rs"]
mod alerts;
#[path = "api/attacks.rs"]
mod attacks;
#[path = "e2e/bench.rs"]
#[allow(dead_code, reason = "the workbench of the other tests, of which these use a part")]
mod bench;
#[path = "api/crew.rs"]
mod crew;
#[path = "api/exports.rs"]
mod exports;
#[cfg(feature = "failpoints")]
#[path = "api/fallen.rs"]
mod fallen;
#[path = "api/files.rs"]
mod files;
#[path = "api/fleet.rs"]
mod fleet;
#[path = "api/fuzz.rs"]
mod fuzz;
#[path = "shared/lake.rs"]
mod lake;
#[path = "api/one_path.rs"]
mod one_path;
#[path = "api/operate.rs"]
mod operate;
#[path = "api/prices.rs"]
mod prices;
#[path = "api/reach.rs"]
mod reach;
#[path = "api/scale.rs"]
mod scale;
#[path = "api/server.rs"]
mod server;
#[path = "api/setup.rs"]
mod setup;
#[cfg(feature = "failpoints")]
#[path = "api/shared.rs"]
mod shared;
#[cfg(feature = "failpoints")]
#[path = "api/stalled.rs"]
mod stalled;
#[path = "api/tls.rs"]
mod tls;
#[cfg(feature = "failpoints")]
#[path = "api/workers.rs"]
mod workers;
#[path = "api/yaml.rs"]
mod yaml;
