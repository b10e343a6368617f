//! tidegate testkit

pub mod warehouse_suite;
pub mod sim;
