//! The engine: reads, detects, maps, plans, writes and settles. It knows no connector by name; ports, clock, ids,
//! randomness and scratch space are handed in. `plan` is pure; `run` does the effects.

mod api;
pub mod plan;
pub mod run;

pub use api::*;
