//! The ledger in key order, page by page.

use tidegate_model::error::Result;
use tidegate_model::ports::{LedgerEntry, Memory};

/// Entries read at once: about two megabytes.
const SCAN_ROWS: usize = 16_384;

/// A cursor over the ledger of a sync.
pub(crate) struct Ledger<'a> {
    memory: &'a dyn Memory,
    sync: &'a str,
    entries: Vec<LedgerEntry>,
    at: usize,
    ended: bool,
}

impl<'a> Ledger<'a> {
    pub fn new(memory: &'a dyn Memory, sync: &'a str) -> Self {
        Self { memory, sync, entries: Vec::new(), at: 0, ended: false }
    }

    /// A ledger that is not scanned.
    pub fn none(memory: &'a dyn Memory, sync: &'a str) -> Self {
        Self { ended: true, ..Self::new(memory, sync) }
    }

    /// Makes sure that there is a current entry; false at the end.
    pub async fn ready(&mut self) -> Result<bool> {
        if self.at < self.entries.len() {
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        let after = self.entries.last().map(|entry| entry.key.clone());
        self.entries = self.memory.scan(self.sync, after.as_ref(), SCAN_ROWS).await?;
        self.at = 0;
        self.ended = self.entries.len() < SCAN_ROWS;
        Ok(!self.entries.is_empty())
    }

    /// The current entry. Only after [`Ledger::ready`] said true.
    pub fn current(&self) -> Option<&LedgerEntry> {
        self.entries.get(self.at)
    }

    pub fn advance(&mut self) {
        self.at += 1;
    }
}
