//! The ledger in Postgres: whole batches as arrays.

use std::collections::HashMap;
use std::pin::pin;

use bytes::Bytes;
use tidegate_model::error::Result;
use tidegate_model::ports::{LedgerEntry, LedgerRecord};
use tidegate_model::record::{Key, RemoteId};
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::Session;
use crate::code::{print_column, print_of};
use crate::sqlite::taken;
use crate::tx::{bits, column_flags, damaged};

// Batches are looked up as `unnest(…) AS n CROSS JOIN LATERAL (SELECT … OFFSET 0) AS l`: one probe of the index per key,
// whatever the planner believes. A plain join is quadratic where it believes wrong, as it does on a table that was just
// filled and has no statistics yet: it then reads the sync's whole ledger for each key, and 1,000 keys take seconds. And
// not `= ANY`: planning thousands of constants takes longer than finding them.

/// Entries of the batch `n (key, …)`, by key, as `l`.
const BY_KEY: &str = "CROSS JOIN LATERAL (SELECT *, ctid FROM ledger WHERE sync = $1 AND key = n.key OFFSET 0) AS l";

fn bytes(key: &Key) -> &[u8] {
    key.as_str().as_bytes()
}

pub(super) async fn put(session: &mut Session, sync: i64, records: &[&LedgerRecord]) -> Result<i64> {
    let keys: Vec<&[u8]> = records.iter().map(|record| bytes(&record.entry.key)).collect();
    let remotes: Vec<Option<&[u8]>> =
        records.iter().map(|record| record.entry.remote.as_ref().map(|id| id.as_str().as_bytes())).collect();
    let flags: Vec<i64> = records.iter().map(|record| column_flags(record)).collect();
    let warehouse: Vec<Option<&[u8]>> = records.iter().map(|record| print_column(&record.entry.warehouse)).collect();
    let platform: Vec<Option<&[u8]>> = records.iter().map(|record| print_column(&record.entry.platform)).collect();

    let before = before(session, sync, &keys, &remotes).await?;
    if before.moved > 0 {
        // Remote ids may swap owners within a batch: everybody who gets another one lets go first.
        let sql = format!(
            "UPDATE ledger SET remote = NULL WHERE ctid = ANY (ARRAY (SELECT l.ctid \
             FROM unnest($2::bytea[], $3::bytea[]) AS n (key, remote) {BY_KEY} \
             WHERE l.remote IS NOT NULL AND l.remote IS DISTINCT FROM n.remote))"
        );
        session.typed_rows(&sql, &[&sync, &keys, &remotes]).await?;
    }
    let done = if before.found == 0 {
        copy(session, sync, records).await?
    } else {
        let sql = "INSERT INTO ledger (sync, key, remote, flags, warehouse, platform) SELECT $1, n.* \
                   FROM unnest($2::bytea[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bytea[]) AS n \
                   ON CONFLICT (sync, key) DO UPDATE SET remote = excluded.remote, flags = excluded.flags, \
                   warehouse = excluded.warehouse, platform = excluded.platform";
        let statement = session.prepared(sql).await?;
        session.client.execute(&statement, &[&sync, &keys, &remotes, &flags, &warehouse, &platform]).await
    };
    if let Err(error) = done {
        return Err(match owner(&error, records) {
            Some(key) => taken(key),
            None => session.fail(&error),
        });
    }
    put_details(session, sync, records, before.details > 0).await?;
    let linked = flags.iter().filter(|flags| **flags & bits::LINKED != 0).count();
    Ok(i64::try_from(linked).unwrap_or(i64::MAX) - before.linked)
}

/// Adds records of which none is there yet, twice as fast as an upsert. Nobody else can add them meanwhile: whoever
/// writes a sync's ledger has locked the sync's row.
async fn copy(
    session: &mut Session,
    sync: i64,
    records: &[&LedgerRecord],
) -> Result<Result<u64, tokio_postgres::Error>> {
    let sql = "COPY ledger (sync, key, remote, flags, warehouse, platform) FROM STDIN BINARY";
    let statement = session.prepared(sql).await?;
    let sink = session.client.copy_in::<_, Bytes>(&statement).await.map_err(|error| session.fail(&error))?;
    let types = [Type::INT8, Type::BYTEA, Type::BYTEA, Type::INT8, Type::BYTEA, Type::BYTEA];
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for record in records {
        let entry = &record.entry;
        let remote = entry.remote.as_ref().map(|id| id.as_str().as_bytes());
        let (flags, warehouse, platform) =
            (column_flags(record), print_column(&entry.warehouse), print_column(&entry.platform));
        let row: [&(dyn ToSql + Sync); 6] = [&sync, &bytes(&entry.key), &remote, &flags, &warehouse, &platform];
        writer.as_mut().write(&row).await.map_err(|error| session.fail(&error))?;
    }
    Ok(writer.finish().await)
}

/// What stands in the place of a batch.
struct Before {
    /// Entries that are there.
    found: i64,
    linked: i64,
    details: i64,
    /// Entries whose remote id changes.
    moved: i64,
}

async fn before(session: &mut Session, sync: i64, keys: &[&[u8]], remotes: &[Option<&[u8]>]) -> Result<Before> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE l.flags & 256 <> 0), count(*) FILTER (WHERE l.flags & 512 <> 0), \
         count(*) FILTER (WHERE l.remote IS NOT NULL AND l.remote IS DISTINCT FROM n.remote), count(*) \
         FROM unnest($2::bytea[], $3::bytea[]) AS n (key, remote) {BY_KEY}"
    );
    let rows = session.typed_rows(&sql, &[&sync, &keys, &remotes]).await?;
    let count = |at: usize| rows.first().and_then(|row| row.try_get::<_, i64>(at).ok()).ok_or_else(odd);
    Ok(Before { linked: count(0)?, details: count(1)?, moved: count(2)?, found: count(3)? })
}

/// The record of the batch whose remote id belongs to another entry, if that is what the error says. Its detail
/// names the id; the message that a person reads does not.
fn owner<'a>(error: &tokio_postgres::Error, records: &[&'a LedgerRecord]) -> Option<&'a Key> {
    let db = error.as_db_error().filter(|db| *db.code() == SqlState::UNIQUE_VIOLATION)?;
    let (_, hex) = db.detail()?.split_once("\\x")?;
    let hex: String = hex.chars().take_while(char::is_ascii_hexdigit).collect();
    let matches = |id: &RemoteId| id.as_str().bytes().map(|byte| format!("{byte:02x}")).collect::<String>() == hex;
    records.iter().find(|record| record.entry.remote.as_ref().is_some_and(matches)).map(|record| &record.entry.key)
}

async fn put_details(session: &mut Session, sync: i64, records: &[&LedgerRecord], had: bool) -> Result<()> {
    let (empty, full): (Vec<&LedgerRecord>, Vec<&LedgerRecord>) =
        records.iter().partition(|record| record.detail.is_empty());
    if !full.is_empty() {
        let keys: Vec<&[u8]> = full.iter().map(|record| bytes(&record.entry.key)).collect();
        let details: Vec<&[u8]> = full.iter().map(|record| record.detail.as_slice()).collect();
        let sql = "INSERT INTO details (sync, key, detail) SELECT $1, n.* FROM unnest($2::bytea[], $3::bytea[]) AS n \
                   ON CONFLICT (sync, key) DO UPDATE SET detail = excluded.detail";
        session.typed_rows(sql, &[&sync, &keys, &details]).await?;
    }
    if had && !empty.is_empty() {
        let keys: Vec<&[u8]> = empty.iter().map(|record| bytes(&record.entry.key)).collect();
        delete_details(session, sync, &keys).await?;
    }
    Ok(())
}

async fn delete_details(session: &mut Session, sync: i64, keys: &[&[u8]]) -> Result<()> {
    let sql = "DELETE FROM details WHERE ctid = ANY (ARRAY (SELECT d.ctid FROM unnest($2::bytea[]) AS n (key) \
               CROSS JOIN LATERAL (SELECT ctid FROM details WHERE sync = $1 AND key = n.key OFFSET 0) AS d))";
    session.typed_rows(sql, &[&sync, &keys]).await.map(drop)
}

pub(super) async fn remove(session: &mut Session, sync: i64, keys: &[Key]) -> Result<i64> {
    let keys: Vec<&[u8]> = keys.iter().map(bytes).collect();
    let sql = format!(
        "WITH gone AS (DELETE FROM ledger WHERE ctid = ANY (ARRAY (\
         SELECT l.ctid FROM unnest($2::bytea[]) AS n (key) {BY_KEY})) RETURNING flags) \
         SELECT count(*) FILTER (WHERE flags & 256 <> 0), count(*) FILTER (WHERE flags & 512 <> 0) FROM gone"
    );
    let rows = session.typed_rows(&sql, &[&sync, &keys]).await?;
    let count = |at: usize| rows.first().and_then(|row| row.try_get::<_, i64>(at).ok()).ok_or_else(odd);
    if count(1)? > 0 {
        delete_details(session, sync, &keys).await?;
    }
    Ok(-count(0)?)
}

pub(super) async fn scan(
    session: &mut Session,
    sync: i64,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<LedgerEntry>> {
    let sql = "SELECT key, remote, flags, warehouse, platform FROM ledger WHERE sync = $1 AND key > $2 \
               ORDER BY key LIMIT $3";
    // No key is empty, so all are after the empty one.
    let after = after.map_or([].as_slice(), bytes);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = session.typed_rows(sql, &[&sync, &after, &limit]).await?;
    rows.iter().map(entry).collect()
}

pub(super) async fn entries(session: &mut Session, sync: i64, keys: &[Key]) -> Result<Vec<Option<LedgerRecord>>> {
    let asked: Vec<&[u8]> = keys.iter().map(bytes).collect();
    let sql = format!(
        "SELECT l.key, l.remote, l.flags, l.warehouse, l.platform, CASE WHEN l.flags & 512 <> 0 \
         THEN (SELECT d.detail FROM details d WHERE d.sync = $1 AND d.key = l.key) END \
         FROM unnest($2::bytea[]) AS n (key) {BY_KEY}"
    );
    let rows = session.typed_rows(&sql, &[&sync, &asked]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let detail = row.try_get::<_, Option<Vec<u8>>>(5).map_err(|_| odd())?.unwrap_or_default();
        let entry = entry(row)?;
        found.insert(entry.key.clone(), LedgerRecord { entry, detail });
    }
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

pub(super) async fn by_remote(session: &mut Session, sync: i64, ids: &[RemoteId]) -> Result<Vec<Option<Key>>> {
    let asked: Vec<&[u8]> = ids.iter().map(|id| id.as_str().as_bytes()).collect();
    let sql = "SELECT l.remote, l.key FROM unnest($2::bytea[]) AS n (remote) \
               CROSS JOIN LATERAL (SELECT * FROM ledger WHERE sync = $1 AND remote = n.remote OFFSET 0) AS l";
    let rows = session.typed_rows(sql, &[&sync, &asked]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        found.insert(text(row, 0)?, Key::new(text(row, 1)?));
    }
    Ok(ids.iter().map(|id| found.get(id.as_str()).cloned()).collect())
}

fn odd() -> tidegate_model::Error {
    damaged("a row of the ledger has another shape than tidegate gives it")
}

fn text(row: &Row, at: usize) -> Result<&str> {
    std::str::from_utf8(row.try_get(at).map_err(|_| odd())?).map_err(|_| odd())
}

fn entry(row: &Row) -> Result<LedgerEntry> {
    let remote: Option<&[u8]> = row.try_get(1).map_err(|_| odd())?;
    let remote = remote.map(std::str::from_utf8).transpose().map_err(|_| odd())?;
    let flags: i64 = row.try_get(2).map_err(|_| odd())?;
    Ok(LedgerEntry {
        key: Key::new(text(row, 0)?),
        remote: remote.map(RemoteId::new),
        flags: u8::try_from(flags & bits::ENGINE).unwrap_or_default(),
        warehouse: print_of(row.try_get(3).map_err(|_| odd())?)?,
        platform: print_of(row.try_get(4).map_err(|_| odd())?)?,
    })
}
