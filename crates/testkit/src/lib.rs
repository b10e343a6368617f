//! tidegate testkit

pub mod warehouse_suite;
