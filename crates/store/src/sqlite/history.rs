//! The history in SQLite.

use std::sync::LazyLock;

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::HistoryEntry;
use tidegate_model::record::RemoteId;

use super::Conn;
use super::many::{Insert, Rows};
use crate::code::{pack_onto, side};
use crate::tx::Writes;

static ADD: LazyLock<Insert> = LazyLock::new(|| {
    let own = ["seq", "key", "side", "effect", "remote", "before", "after"];
    Insert::new("INSERT", "history", &["run", "sync", "at"], &own, "")
});

impl Conn {
    pub(super) fn add_history_now(&self, of: Writes, entries: &[HistoryEntry]) -> Result<()> {
        let numbered: Vec<(i64, &HistoryEntry)> = (of.first..).zip(entries).collect();
        self.add_numbered(&[of.run, of.sync, of.at.0], &numbered).map_err(|error| self.fail(&error))
    }

    fn add_numbered(&self, shared: &[i64], entries: &[(i64, &HistoryEntry)]) -> rusqlite::Result<()> {
        let mut images = Vec::new();
        let unpackable = |error: Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        let mut bind = |row: &mut Rows<'_>, (seq, entry): &(i64, &HistoryEntry)| {
            images.clear();
            pack_onto("a before-image", &entry.before, &mut images).map_err(unpackable)?;
            let before = images.len();
            pack_onto("a write", &entry.after, &mut images).map_err(unpackable)?;
            row.bind(seq)?;
            row.bind(entry.key.as_str())?;
            row.bind(side(entry.to))?;
            row.bind(entry.effect.as_str())?;
            row.bind(entry.remote.as_ref().map(RemoteId::as_str))?;
            row.bind(&images[..before])?;
            row.bind(&images[before..])
        };
        let added = ADD.while_new(&self.db, shared, entries, &mut bind)?;
        let mut one = ADD.one(&self.db, shared)?;
        for entry in &entries[added..] {
            bind(&mut one, entry)?;
            one.run()?;
        }
        Ok(())
    }
}
