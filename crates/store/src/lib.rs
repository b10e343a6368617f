//! tidegate store
