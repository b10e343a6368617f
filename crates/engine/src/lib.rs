//! tidegate engine
