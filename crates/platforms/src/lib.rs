//! The right wing: platforms, systems that work with customers. Each connector is a folder here and a line in
//! [`list`]; nothing else in the tree says its name. Connectors classify; they never retry, log a failure or decide.

pub mod batch;
mod conditions;
pub mod http;
pub mod hub;
mod lines;
pub mod list;
mod names;
pub mod planhat;
pub mod rest;
mod room;

pub use list::{Connector, Gate, OpenContext, kinds, open};
