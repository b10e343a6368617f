//! Thinking, without effects: mapping, fingerprints, reconciliation, guards, schedules.

mod append;
pub mod columns;
pub mod due;
pub mod fit;
pub mod guard;
pub mod images;
pub mod map;
pub mod parse;
pub mod prints;
pub mod reconcile;
