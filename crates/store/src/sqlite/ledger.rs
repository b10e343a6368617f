//! The ledger in SQLite: the paths that have to be fast.

use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::functions::Context;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, OptionalExtension, Row, params};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{LedgerEntry, LedgerRecord};
use tidegate_model::record::{Key, RemoteId};

use super::Conn;
use crate::code::{print_column, print_of};
use crate::tx::{bits, column_flags, damaged};

/// No row was there before.
pub(super) const NO_ROW: i64 = -1;

/// SQL function: notes the flags that a row had and returns the new ones. So an upsert tells what it replaced without
/// a look-up before it.
pub(super) fn swap_flags(seen: &AtomicI64, call: &Context<'_>) -> rusqlite::Result<i64> {
    seen.store(call.get(0)?, Ordering::Relaxed);
    call.get(1)
}

const UPSERT: &str = "INSERT INTO ledger (sync, key, remote, flags, warehouse, platform) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                      ON CONFLICT (sync, key) DO UPDATE SET remote = excluded.remote, \
                      flags = swap_flags(ledger.flags, excluded.flags), \
                      warehouse = excluded.warehouse, platform = excluded.platform";

const COLUMNS: &str = "SELECT key, remote, flags, warehouse, platform FROM ledger";

fn linked(flags: i64) -> i64 {
    i64::from(flags & bits::LINKED != 0)
}

impl Conn {
    pub(super) fn put_ledger_now(&self, sync: i64, records: &[&LedgerRecord]) -> Result<i64> {
        let (mut linked, blocked) =
            self.upsert_all(sync, records.iter().copied()).map_err(|error| self.fail(&error))?;
        if blocked.is_empty() {
            return Ok(linked);
        }
        // Remote ids swap owners: everybody who waits lets go first, then all take.
        let release = "UPDATE ledger SET remote = NULL WHERE sync = ?1 AND key = ?2";
        let free = || {
            let mut statement = self.db.prepare_cached(release)?;
            blocked.iter().try_for_each(|record| statement.execute(params![sync, record.entry.key.as_str()]).map(drop))
        };
        free().map_err(|error| self.fail(&error))?;
        let (more, still) = self.upsert_all(sync, blocked.into_iter()).map_err(|error| self.fail(&error))?;
        linked += more;
        match still.first() {
            None => Ok(linked),
            Some(record) => Err(taken(&record.entry.key)),
        }
    }

    /// Upserts in order; returns those whose remote id belongs to another entry.
    fn upsert_all<'a>(
        &self,
        sync: i64,
        records: impl Iterator<Item = &'a LedgerRecord>,
    ) -> rusqlite::Result<(i64, Vec<&'a LedgerRecord>)> {
        let mut upsert = self.db.prepare_cached(UPSERT)?;
        let sql = "INSERT OR REPLACE INTO details (sync, key, detail) VALUES (?1, ?2, ?3)";
        let mut put_detail = self.db.prepare_cached(sql)?;
        let mut delta = 0;
        let mut blocked = Vec::new();
        for record in records {
            let entry = &record.entry;
            let flags = column_flags(record);
            self.old_flags.store(NO_ROW, Ordering::Relaxed);
            let done = upsert.execute(params![
                sync,
                entry.key.as_str(),
                entry.remote.as_ref().map(RemoteId::as_str),
                flags,
                print_column(&entry.warehouse),
                print_column(&entry.platform),
            ]);
            match done {
                Ok(_) => {}
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                    blocked.push(record);
                    continue;
                }
                Err(error) => return Err(error),
            }
            let old = self.old_flags.load(Ordering::Relaxed);
            delta += linked(flags) - if old == NO_ROW { 0 } else { linked(old) };
            if !record.detail.is_empty() {
                put_detail.execute(params![sync, entry.key.as_str(), record.detail])?;
            } else if old != NO_ROW && old & bits::DETAIL != 0 {
                let sql = "DELETE FROM details WHERE sync = ?1 AND key = ?2";
                self.db.prepare_cached(sql)?.execute(params![sync, entry.key.as_str()])?;
            }
        }
        Ok((delta, blocked))
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
