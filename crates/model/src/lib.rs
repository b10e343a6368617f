//! The words of tidegate: values, schemas, mappings, syncs, spans, changes, outcomes, findings, errors, configuration
//! and the ports of the engine. Pure: no I/O, no clock, no async runtime. Every other crate stands on this one.

pub mod cells;
pub mod change;
pub mod config;
mod decimal;
pub mod error;
pub mod failpoint;
pub mod finding;
pub mod page;
pub mod ports;
pub mod record;
pub mod run;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod span;
pub mod sync;
pub mod time;
pub mod transform;
pub mod value;

pub use error::{Error, ErrorKind, Result};
pub use time::Instant;
