//! When syncs are due.
