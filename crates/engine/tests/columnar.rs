//! Columnar runs on real files: series and datasets in, exports out.

#[path = "columnar/bench.rs"]
mod bench;
#[path = "columnar/cursor.rs"]
mod cursor;
#[path = "columnar/exports.rs"]
mod exports;
#[path = "columnar/tables.rs"]
mod tables;
