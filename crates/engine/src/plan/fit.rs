//! Fitting values into types and rules.
