//! What a span's intent holds: enough to settle a page whose load landed, without reading its rows again.

use serde::{Deserialize, Serialize};
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{Delivered, LedgerEntry, LedgerRecord, Print, Settlement};
use tidegate_model::record::Key;
use tidegate_model::sync::Target;

/// The rows of a page that are to be remembered once it has landed; each with its number among the loaded rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Note {
    /// Inside the lookback margin: order and print.
    Margin(Vec<(u32, i64, u64)>),
    /// New in the ledger: key and print of the source's row.
    Ledger(Vec<(u32, Key, Print)>),
    /// Rows of open rejects, tried again.
    Again(Vec<Again>),
}

/// A row of an open reject that is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Again {
    pub(super) row: u32,
    /// Its reject is closed once it has landed.
    pub(super) key: Key,
    /// Order and print, if later margins will read it again.
    pub(super) margin: Option<(i64, u64)>,
    /// The print of the source's row, if the ledger keeps it.
    pub(super) ledger: Option<Print>,
}

impl Note {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Note::Margin(rows) => rows.is_empty(),
            Note::Ledger(rows) => rows.is_empty(),
            Note::Again(rows) => rows.is_empty(),
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
            Note::Again(rows) => rows.retain(|again| keep(&again.row)),
        }
    }

    /// Adds what is remembered of landed rows to their settlement.
    pub(super) fn remember(self, to: Target, settlement: &mut Settlement) {
        let mut keys = Vec::new();
        match self {
            Note::Margin(rows) => keys.extend(rows.into_iter().map(|(_, order, print)| (order, print))),
            Note::Ledger(rows) => {
                settlement.entries.extend(rows.into_iter().map(|(_, key, print)| entry(key, print, to)));
            }
            Note::Again(rows) => {
                settlement.delivered_to = rows.iter().map(|again| (again.key.clone(), to)).collect();
                keys.extend(rows.iter().filter_map(|again| again.margin));
                let kept = rows.into_iter().filter_map(|again| Some((again.key, again.ledger?)));
                settlement.entries.extend(kept.map(|(key, print)| entry(key, print, to)));
            }
        }
        if !keys.is_empty() {
            settlement.delivered = Some(Delivered { keys, forget_below: None });
        }
    }
}

/// A ledger entry of an appended row.
fn entry(key: Key, print: Print, to: Target) -> LedgerRecord {
    let none = Print::default();
    let (warehouse, platform) = match to {
        Target::Platform => (print, none),
        Target::Warehouse => (none, print),
    };
    LedgerRecord { entry: LedgerEntry { key, remote: None, flags: 0, warehouse, platform }, detail: Vec::new() }
}
