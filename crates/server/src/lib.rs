//! tidegate server
