//! tidegate platforms
