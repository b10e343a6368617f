//! Twins: servers that behave as a platform's API does, as far as it is known, on an SQLite file. They are the demo
//! without an account, what the tests of a connector write to, and what `rehearse` runs against.
//!
//! [`frame`] is what all twins share: listening, faults on purpose ([`frame::knobs`]), the platform's limits, the log
//! of requests, the page. A platform's own behaviour is a [`Twin`] in a folder of its own. A twin shares no code with
//! the connector that speaks to it: what the platform does is said twice, so that a misreading on one side shows.

pub mod batch;
pub mod frame;
pub mod planhat;

pub use frame::call::{Call, Reply};
pub use frame::chance::Chance;
pub use frame::knobs::{Fault, Knobs, Limits, Normalise, Step};
pub use frame::limits::Rates;
pub use frame::log::Seen;
pub use frame::server::{Running, Start, start};
pub use frame::twin::{About, Shelf, Twin, Weight};
