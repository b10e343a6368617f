//! tidegate testkit
