//! What a span's intent holds: enough to settle a page whose load landed, without reading its rows again.

use serde::{Deserialize, Serialize};
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{LedgerEntry, Print};
use tidegate_model::record::Key;
use tidegate_model::sync::Target;

/// The rows of a page that are to be remembered once it has landed; each with its number among the loaded rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Note {
    /// Inside the lookback margin: order and print.
    Margin(Vec<(u32, i64, u64)>),
    /// New in the ledger: key and print of the source's row.
    Ledger(Vec<(u32, Key, Print)>),
}

impl Note {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Note::Margin(rows) => rows.is_empty(),
            Note::Ledger(rows) => rows.is_empty(),
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        postcard::to_allocvec(self).map_err(|error| Error::internal("write the intent of a page").cause(error))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        postcard::from_bytes(bytes).map_err(|error| Error::internal("read the intent of a page").cause(error))
    }

    /// Takes out the rows that the target refused.
    pub(super) fn without(&mut self, refused: &[u64]) {
        if refused.is_empty() {
            return;
        }
        let keep = |row: &u32| refused.binary_search(&u64::from(*row)).is_err();
        match self {
            Note::Margin(rows) => rows.retain(|(row, ..)| keep(row)),
            Note::Ledger(rows) => rows.retain(|(row, ..)| keep(row)),
        }
    }
}

/// A ledger entry of an appended row.
pub(super) fn entry(key: Key, print: Print, to: Target) -> LedgerEntry {
    let none = Print::default();
    let (warehouse, platform) = match to {
        Target::Platform => (print, none),
        Target::Warehouse => (none, print),
    };
    LedgerEntry { key, remote: None, flags: 0, warehouse, platform }
}
