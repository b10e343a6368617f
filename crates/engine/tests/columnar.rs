//! Columnar runs on real files: series and datasets in, exports out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "these runs are on real databases and the real clock's sleep")]

#[path = "columnar/again.rs"]
mod again;
#[path = "columnar/bench.rs"]
mod bench;
#[path = "columnar/cursor.rs"]
mod cursor;
#[path = "columnar/doubles.rs"]
mod doubles;
#[path = "columnar/exports.rs"]
mod exports;
#[path = "columnar/following.rs"]
mod following;
#[path = "columnar/guards.rs"]
mod guards;
#[path = "columnar/keeping.rs"]
mod keeping;
#[path = "columnar/rows.rs"]
mod rows;
#[path = "columnar/tables.rs"]
mod tables;
