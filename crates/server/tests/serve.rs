//! `serve` with a clock in hand, a runner that does as told, and a real TCP socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "serve/ending.rs"]
mod ending;
#[path = "serve/openapi.rs"]
mod openapi;
#[path = "serve/pages.rs"]
mod pages;
#[path = "serve/prometheus.rs"]
mod prometheus;
#[path = "serve/rig.rs"]
mod rig;
#[path = "serve/scheduling.rs"]
mod scheduling;
#[path = "serve/switches.rs"]
mod switches;
