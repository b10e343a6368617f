//! The ports of the engine: the warehouse, the platform, the memory (the store) and the surroundings (clock, ids,
//! randomness, sleep, scratch space). The contract of each stands on its trait; `testkit` holds one suite per trait.

mod env;
mod memory;
mod platform;
mod shards;
mod warehouse;

pub use env::*;
pub use memory::*;
pub use platform::*;
pub use shards::*;
pub use warehouse::*;

use serde::{Deserialize, Serialize};

use crate::change::FieldReject;
use crate::span::{Fence, OpId};
use crate::value::Type;

/// What a sync needs of a side, handed to its `check`.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    /// The side can be reached and lets us in.
    Connect,
    /// This source can be read, with these columns (fields).
    Read {
        /// Relation or query, or the model's name in a relation of one part.
        source: crate::schema::Source,
        /// Columns (fields) that must be there.
        columns: Vec<String>,
    },
    /// The changes of this source are followed, by its history or, if it is one, as a stream.
    Follow {
        /// The relation.
        source: crate::schema::Source,
    },
    /// This target can be written: these columns exist and take these types.
    Write {
        /// Relation, or the model's name in a relation of one part.
        relation: crate::schema::Relation,
        /// The key's column, for keyed writes.
        key: Option<String>,
        /// Columns (fields) to write, with the type of what is written and whether NULL may come.
        columns: Vec<WriteColumn>,
        /// How it is written.
        mode: crate::sync::WriteMode,
    },
}

/// A column that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteColumn {
    /// Its name at the target.
    pub name: String,
    /// The type of what is written.
    pub logical: Type,
    /// Whether NULL may come.
    pub nulls: bool,
    /// Most characters that may come, where it is known.
    pub max_length: Option<u32>,
}

/// How a columnar load treats what stands in the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LoadMode {
    /// Rows are added. A target that deduplicates by source key counts rows it had as unchanged.
    Append,
    /// Rows are created or updated by the key column; rows that are equal already count as unchanged. Columns that a
    /// page lacks, and NULLs of columns marked [`crate::page::KEEP`] (platforms only), leave alone what stands there.
    Merge,
    /// All rows of the target are replaced, in one transaction: readers see the old rows or the new rows.
    Replace {
        /// Guard: refuse (error `Guard`) if more than this share of at least 20 rows would be lost, in percent.
        max_shrink_pct: Option<f64>,
    },
}

/// A columnar load of many rows in one transaction of the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Append, merge or replace.
    pub mode: LoadMode,
    /// The column of the page that holds the source key, for dedup and merge.
    pub key: Option<String>,
    /// Written with the rows, in the same transaction. If the target has this operation already, nothing is
    /// written and [`Loaded::replayed`] is set: exactly once.
    pub op: OpId,
    /// Checked in the same transaction: a higher epoch of the same store is `LeaseLost`, another store `ForeignStore`.
    pub fence: Fence,
    /// Types of the page's columns where the target has to make columns (datasets, custom fields).
    pub link: crate::sync::DatasetLink,
}

/// What a columnar load did. `created + updated + unchanged + rejected.len()` is the number of rows handed in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// New rows.
    pub created: u64,
    /// Rows changed.
    pub updated: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows cleared by a replace.
    pub cleared: u64,
    /// Rows refused: number of the row over all pages of the load, and why. At most [`MAX_REJECTS_LISTED`] per load
    /// have their reason listed in full; past that the reason is short.
    pub rejected: Vec<(u64, FieldReject)>,
    /// The operation had been carried out before; the counts are those of that time.
    pub replayed: bool,
    /// Calls it took.
    pub requests: u64,
}

/// Rejects of one load whose reasons are spelled out: bounds the memory of a load where every row is bad.
pub const MAX_REJECTS_LISTED: usize = 10_000;

/// Rows of a page that a read asks for when nobody says otherwise: large enough to amortise a call, small enough
/// that a few wide pages fit a 64 MB budget.
pub const PAGE_ROWS: usize = 16_384;
