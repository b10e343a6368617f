//! The ledger in SQLite: the paths that have to be fast.

use std::sync::{LazyLock, Mutex, PoisonError};

use rusqlite::functions::Context;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, OptionalExtension, Row, params};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{LedgerEntry, LedgerRecord};
use tidegate_model::record::{Key, RemoteId};

use super::Conn;
use super::many::{Insert, Rows};
use crate::code::{print_column, print_of};
use crate::tx::{bits, column_flags, damaged};

/// What entries that a statement replaced had before.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// How many were linked.
    linked: i64,
    /// Keys of those that had a detail and have none now.
    bared: Vec<Key>,
}

impl Replaced {
    fn add(&mut self, more: Self) {
        self.linked += more.linked;
        self.bared.extend(more.bared);
    }
}

/// SQL function: notes the flags that a row had and returns the new ones. So an upsert tells what it replaced without
/// a look-up before it.
pub(super) fn swap_flags(seen: &Mutex<Replaced>, call: &Context<'_>) -> rusqlite::Result<i64> {
    let (old, new): (i64, i64) = (call.get(0)?, call.get(1)?);
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.linked += linked(old);
    if old & bits::DETAIL != 0 && new & bits::DETAIL == 0 {
        seen.bared.push(Key::new(call.get_raw(2).as_str()?));
    }
    Ok(new)
}

static LEDGER: LazyLock<Insert> = LazyLock::new(|| {
    let own = ["key", "remote", "flags", "warehouse", "platform"];
    let replace = " ON CONFLICT (sync, key) DO UPDATE SET remote = excluded.remote, \
                   flags = swap_flags(ledger.flags, excluded.flags, excluded.key), \
                   warehouse = excluded.warehouse, platform = excluded.platform";
    Insert::new("INSERT", "ledger", &["sync"], &own, replace)
});

static DETAILS: LazyLock<Insert> =
    LazyLock::new(|| Insert::new("INSERT OR REPLACE", "details", &["sync"], &["key", "detail"], ""));

const COLUMNS: &str = "SELECT key, remote, flags, warehouse, platform FROM ledger";

fn linked(flags: i64) -> i64 {
    i64::from(flags & bits::LINKED != 0)
}

fn bind_entry(row: &mut Rows<'_>, record: &&LedgerRecord) -> rusqlite::Result<()> {
    let entry = &record.entry;
    row.bind(entry.key.as_str())?;
    row.bind(entry.remote.as_ref().map(RemoteId::as_str))?;
    row.bind(column_flags(record))?;
    row.bind(print_column(&entry.warehouse))?;
    row.bind(print_column(&entry.platform))
}

fn bind_detail(row: &mut Rows<'_>, record: &&LedgerRecord) -> rusqlite::Result<()> {
    row.bind(record.entry.key.as_str())?;
    row.bind(record.detail.as_slice())
}

impl Conn {
    pub(super) fn put_ledger_now(&self, sync: i64, records: &[&LedgerRecord]) -> Result<i64> {
        let fail = |error: rusqlite::Error| self.fail(&error);
        let new = LEDGER.while_new(&self.db, &[sync], records, bind_entry).map_err(fail)?;
        let (mut done, blocked) = self.upsert_all(sync, &records[new..]).map_err(fail)?;
        if !blocked.is_empty() {
            // Remote ids swap owners: everybody who waits lets go first, then all take.
            self.release(sync, &blocked).map_err(fail)?;
            let (more, still) = self.upsert_all(sync, &blocked).map_err(fail)?;
            if let Some(record) = still.first() {
                return Err(taken(&record.entry.key));
            }
            done.add(more);
        }
        self.put_details(sync, records, &done.bared).map_err(fail)?;
        let linked: i64 = records.iter().map(|record| linked(column_flags(record))).sum();
        Ok(linked - done.linked)
    }

    /// Upserts in order; what they replaced, and those whose remote id belongs to another entry.
    fn upsert_all<'a>(
        &self,
        sync: i64,
        records: &[&'a LedgerRecord],
    ) -> rusqlite::Result<(Replaced, Vec<&'a LedgerRecord>)> {
        let mut upsert = LEDGER.one(&self.db, &[sync])?;
        let (mut done, mut blocked) = (Replaced::default(), Vec::new());
        for record in records {
            bind_entry(&mut upsert, record)?;
            let ran = upsert.run();
            // Taken in any case: what a statement that failed has noted did not happen.
            let seen = std::mem::take(&mut *self.replaced.lock().unwrap_or_else(PoisonError::into_inner));
            match ran {
                Ok(()) => done.add(seen),
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                    blocked.push(*record);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((done, blocked))
    }

    fn release(&self, sync: i64, records: &[&LedgerRecord]) -> rusqlite::Result<()> {
        let mut release = self.db.prepare_cached("UPDATE ledger SET remote = NULL WHERE sync = ?1 AND key = ?2")?;
        records.iter().try_for_each(|record| release.execute(params![sync, record.entry.key.as_str()]).map(drop))
    }

    fn put_details(&self, sync: i64, records: &[&LedgerRecord], bared: &[Key]) -> rusqlite::Result<()> {
        let full: Vec<&LedgerRecord> = records.iter().copied().filter(|record| !record.detail.is_empty()).collect();
        let new = DETAILS.while_new(&self.db, &[sync], &full, bind_detail)?;
        let mut put = DETAILS.one(&self.db, &[sync])?;
        for record in &full[new..] {
            bind_detail(&mut put, record)?;
            put.run()?;
        }
        let mut remove = self.db.prepare_cached("DELETE FROM details WHERE sync = ?1 AND key = ?2")?;
        bared.iter().try_for_each(|key| remove.execute(params![sync, key.as_str()]).map(drop))
    }

    pub(super) fn remove_ledger_now(&self, sync: i64, keys: &[Key]) -> rusqlite::Result<i64> {
        let mut remove = self.db.prepare_cached("DELETE FROM ledger WHERE sync = ?1 AND key = ?2 RETURNING flags")?;
        let mut detail = self.db.prepare_cached("DELETE FROM details WHERE sync = ?1 AND key = ?2")?;
        let mut delta = 0;
        for key in keys {
            let old: Option<i64> = remove.query_row(params![sync, key.as_str()], |row| row.get(0)).optional()?;
            let Some(old) = old else { continue };
            delta -= linked(old);
            if old & bits::DETAIL != 0 {
                detail.execute(params![sync, key.as_str()])?;
            }
        }
        Ok(delta)
    }

    pub(super) fn scan_now(&self, sync: i64, after: Option<&Key>, limit: usize) -> Result<Vec<LedgerEntry>> {
        let sql = format!("{COLUMNS} WHERE sync = ?1 AND key > ?2 ORDER BY key LIMIT ?3");
        let fail = |error: &rusqlite::Error| self.fail(error);
        let mut statement = self.db.prepare_cached(&sql).map_err(|error| fail(&error))?;
        // No key is empty, so all are after the empty text.
        let after = after.map_or("", Key::as_str);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![sync, after, limit]).map_err(|error| fail(&error))?;
        let mut out = Vec::new();
        while let Some(row) = rows.next().map_err(|error| fail(&error))? {
            out.push(entry(row)?.0);
        }
        Ok(out)
    }

    pub(super) fn entries_now(&self, sync: i64, keys: &[Key]) -> Result<Vec<Option<LedgerRecord>>> {
        let fail = |error: rusqlite::Error| self.fail(&error);
        let sql = format!("{COLUMNS} WHERE sync = ?1 AND key = ?2");
        let mut slim = self.db.prepare_cached(&sql).map_err(fail)?;
        let mut detail =
            self.db.prepare_cached("SELECT detail FROM details WHERE sync = ?1 AND key = ?2").map_err(fail)?;
        let mut out = Vec::with_capacity(keys.len());
        for key in keys {
            let mut rows = slim.query(params![sync, key.as_str()]).map_err(fail)?;
            let Some(row) = rows.next().map_err(fail)? else {
                out.push(None);
                continue;
            };
            let (entry, flags) = entry(row)?;
            let detail = if flags & bits::DETAIL == 0 { Vec::new() } else { self.detail(&mut detail, sync, key)? };
            out.push(Some(LedgerRecord { entry, detail }));
        }
        Ok(out)
    }

    fn detail(&self, statement: &mut CachedStatement<'_>, sync: i64, key: &Key) -> Result<Vec<u8>> {
        let found = statement.query_row(params![sync, key.as_str()], |row| row.get(0)).optional();
        found
            .map_err(|error| self.fail(&error))?
            .ok_or_else(|| damaged(format!("the detail of ledger entry {key} is missing")))
    }

    pub(super) fn by_remote_now(&self, sync: i64, ids: &[RemoteId]) -> rusqlite::Result<Vec<Option<Key>>> {
        let mut statement = self.db.prepare_cached("SELECT key FROM ledger WHERE sync = ?1 AND remote = ?2")?;
        ids.iter()
            .map(|id| {
                let key = |row: &Row<'_>| Ok(Key::new(row.get_ref(0)?.as_str()?));
                statement.query_row(params![sync, id.as_str()], key).optional()
            })
            .collect()
    }
}

/// Refuses a settlement that gives one remote id to two records.
pub(crate) fn taken(key: &Key) -> Error {
    Error::new(
        ErrorKind::Data,
        format!("the remote id of record {key} is linked to another key already: nothing was settled"),
    )
    .hint("one of the two was renamed on the platform: run `tidegate relink SYNC OLD NEW`, or mend the duplicate there")
}

/// An entry and all bits of its flags.
fn entry(row: &Row<'_>) -> Result<(LedgerEntry, i64)> {
    let odd = |_| damaged("a row of the ledger has another shape than tidegate gives it");
    let text = |at: usize| row.get_ref(at).map_err(odd);
    let flags = text(2)?.as_i64().map_err(|_| damaged("a ledger entry has no flags"))?;
    let key = text(0)?.as_str().map_err(|_| damaged("a key of the ledger is not text"))?;
    let remote = text(1)?.as_str_or_null().map_err(|_| damaged("a remote id of the ledger is not text"))?;
    let print = |at: usize| match text(at)? {
        ValueRef::Blob(bytes) => print_of(Some(bytes)),
        _ => print_of(None),
    };
    let entry = LedgerEntry {
        key: Key::new(key),
        remote: remote.map(RemoteId::new),
        flags: u8::try_from(flags & bits::ENGINE).unwrap_or_default(),
        warehouse: print(3)?,
        platform: print(4)?,
    };
    Ok((entry, flags))
}
