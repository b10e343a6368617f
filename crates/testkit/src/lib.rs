//! tidegate testkit

pub mod platform_suite;
pub mod sim;
pub mod warehouse_suite;
