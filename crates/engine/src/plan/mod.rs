//! Thinking, without effects: mapping, fingerprints, reconciliation, guards, schedules.

pub mod due;
pub mod fit;
pub mod map;
