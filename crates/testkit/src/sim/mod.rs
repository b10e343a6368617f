//! A small world in memory for simulations: a warehouse, a platform, surroundings and a faulting memory, all driven by
//! one seed and one clock. The same seed gives the same run, to the byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod env;
mod faults;
mod knobs;
mod memory;
mod past;
mod platform;
mod warehouse;
mod world;

pub use env::{SimEnv, drive};
pub use faults::Faults;
pub use knobs::{Knobs, SimCall, all_abilities};
pub use memory::SimMemory;
pub use past::Keeps;
pub use platform::{SimPlatform, normalised, settled};
pub use warehouse::{Cells, SimWarehouse};
pub use world::{Gate, World, long, seeds, state_folder, traced};
