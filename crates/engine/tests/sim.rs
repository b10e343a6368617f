//! The engine against a simulated world: random histories, faults and crashes, and what must hold afterwards.

#[path = "sim/bench.rs"]
mod bench;
#[path = "sim/smoke.rs"]
mod smoke;
