//! Edits YAML texts where they differ and nowhere else: what a person wrote around it, comments, order, blank lines and
//! the way a list is laid out, stays byte by byte.
//!
//! An edit names a path and a value. It finds the span of what stands there and puts the new text in its place; then
//! the whole is read again and held against what was meant. What cannot be edited so is an error, never a guess.

mod edit;
mod tree;
mod write;

pub(super) use edit::{Step, set};
pub(super) use tree::to_json;
pub(super) use write::inline;
