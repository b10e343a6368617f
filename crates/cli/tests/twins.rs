//! The real binary against a twin: faults until it converges, `sandbox`, `rehearse`, an independent client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

#[path = "twins/batch.rs"]
mod batch;
#[path = "e2e/bench.rs"]
mod bench;
#[path = "twins/budget.rs"]
mod budget;
#[path = "twins/client.rs"]
mod client;
#[path = "../../platforms/tests/http/desk.rs"]
mod desk;
#[path = "twins/faults.rs"]
mod faults;
#[path = "twins/http.rs"]
mod http;
#[path = "shared/knobs.rs"]
mod knobs;
#[path = "twins/lab.rs"]
mod lab;
#[path = "twins/rehearse.rs"]
mod rehearse;
#[path = "twins/secrets.rs"]
mod secrets;
#[path = "api/server.rs"]
mod server;
