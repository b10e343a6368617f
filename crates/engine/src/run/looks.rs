//! Looking closer: records that are not quiet are gathered, completed by key from both sides and the ledger, and
//! reconciled.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tidegate_model::change::FieldReject;
use tidegate_model::error::Result;
use tidegate_model::page::Page;
use tidegate_model::ports::{LedgerEntry, LedgerRecord, flags};
use tidegate_model::record::{Key, RecordRef, RemoteId};
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;

use crate::plan::images::Detail;
use crate::plan::reconcile::{Look, Seen, SideRow};

use super::context::Ctx;
use super::detect::{Plan, Reading};
use super::folded;
use super::retry;
use super::rows::{Keyed, Layout};

/// Records that are completed and reconciled together.
pub(crate) const LOOK_ROWS: usize = 1_024;
/// Bytes of rows from which on no more of them are looked at together: those of several thousand records are in memory at
/// once.
const LOOK_BYTES_MAX: usize = 4 << 20;
/// Bytes of rows that are looked up at once, about: by the number of keys alone, a look-up could bring a gigabyte.
const LOOKED_UP_BYTES_MAX: usize = 64 << 20;

/// The longest that a window of a change history may lag behind the clock: six times the longest lag that we know of.
const LAG_MS_MAX: i64 = 3_600_000;

/// Who takes what detection finds.
#[async_trait]
pub(crate) trait Taker: Send {
    /// A record that both sides and the ledger agree on.
    fn quiet(&mut self);
    /// A row without a usable key.
    fn keyless(&mut self, to: Target, why: FieldReject) -> Result<()>;
    /// A key that several rows claim.
    fn duplicate(&mut self, key: Key, to: Target, why: FieldReject) -> Result<()>;
    /// Records that are not quiet, in order, each with all that is known of it.
    async fn looks(&mut self, looks: Vec<Look>) -> Result<()>;
    /// Rejects so far, for progress.
    fn rejected(&self) -> u64;
}

/// A record that is not quiet, as far as the streams told.
#[derive(Debug)]
pub(crate) struct Pending {
    pub key: Key,
    /// `None`: has to be read by key.
    pub warehouse: Option<Seen>,
    /// `None`: has to be read by key.
    pub platform: Option<Seen>,
    /// The ledger was scanned and has no entry of this key.
    pub unknown: bool,
}

/// Gathers records and reconciles them in batches.
pub(crate) struct Looks<'a> {
    ctx: &'a Ctx,
    /// What is missing on a side that was read as a whole is confirmed by key before it counts as gone.
    confirm_platform: bool,
    /// The platform is read by one scan of all records.
    scanned: bool,
    /// A window shows only rows inside of it: the keys are looked up in the full table too. One that it says is gone may
    /// be back, or have been one of two rows.
    confirm_warehouse: bool,
    /// Records that are gathered before they are looked at.
    gathered: usize,
    /// The ledger has no entry at all: a first run.
    pub ledger_empty: bool,
    pending: Vec<Pending>,
    /// About how many bytes those take.
    bytes: usize,
}

impl<'a> Looks<'a> {
    pub fn new(ctx: &'a Ctx, plan: &Plan) -> Self {
        let confirm_platform = plan.platform == Reading::Complete && ctx.abilities.fetch;
        let confirm_warehouse = plan.warehouse == Reading::Delta;
        let scanned = plan.platform == Reading::Complete;
        // Where a look-up costs by the size of the table there are few of them.
        let gathered = if confirm_warehouse { ctx.job.warehouse.fetch_keys().max(LOOK_ROWS) } else { LOOK_ROWS };
        let pending = Vec::with_capacity(LOOK_ROWS);
        Self { ctx, confirm_platform, scanned, confirm_warehouse, gathered, ledger_empty: false, pending, bytes: 0 }
    }

    /// Gathers a record that takes about so many bytes.
    pub async fn push(&mut self, mut pending: Pending, bytes: usize, sink: &mut dyn Taker) -> Result<()> {
        if let (true, Some(Seen::Row(row))) = (self.confirm_warehouse, &mut pending.warehouse) {
            // Only that it is there counts: it is read again by key.
            row.values = Vec::new();
        }
        self.pending.push(pending);
        self.bytes += bytes;
        let most = if self.confirm_warehouse { LOOKED_UP_BYTES_MAX } else { LOOK_BYTES_MAX };
        if self.pending.len() >= self.gathered || self.bytes >= most {
            self.flush(sink).await?;
        }
        Ok(())
    }

    pub async fn flush(&mut self, sink: &mut dyn Taker) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // As many again are likely: growing would move each of them twice.
        let room = Vec::with_capacity(self.pending.len());
        let pending = std::mem::replace(&mut self.pending, room);
        let together = pending.len().saturating_mul(LOOK_BYTES_MAX) / std::mem::take(&mut self.bytes).max(1);
        let together = together.clamp(1, LOOK_ROWS);
        let warehouse = self.warehouse(&pending).await?;
        let mut rest = pending;
        while !rest.is_empty() {
            let after = rest.split_off(together.min(rest.len()));
            let part = std::mem::replace(&mut rest, after);
            let found = self.complete(part, &warehouse).await?;
            for (key, copies) in found.duplicates {
                let column = &self.ctx.sync.key.warehouse;
                let reason = format!("{copies} rows have this key in `{column}`; a key names one record");
                sink.duplicate(key, Target::Platform, FieldReject::record("duplicate_key", reason))?;
            }
            sink.looks(found.looks).await?;
        }
        Ok(())
    }

    /// The looks of these records; keys that several rows claim are left out.
    pub async fn complete_looks(&self, pending: Vec<Pending>) -> Result<Vec<Look>> {
        let warehouse = self.warehouse(&pending).await?;
        Ok(self.complete(pending, &warehouse).await?.looks)
    }

    /// Whether what the stream showed of the warehouse is read by key.
    fn looked_up(&self, seen: Option<&Seen>) -> bool {
        seen.is_none_or(|seen| self.confirm_warehouse && *seen != Seen::NotRead)
    }

    /// Rows of the warehouse, of those that are read by key.
    async fn warehouse(&self, pending: &[Pending]) -> Result<InWarehouse> {
        let asked = pending.iter().filter(|p| self.looked_up(p.warehouse.as_ref()));
        let asked: Vec<Key> = asked.map(|pending| pending.key.clone()).collect();
        read_warehouse(self.ctx, &asked).await
    }

    async fn complete(&self, pending: Vec<Pending>, warehouse: &InWarehouse) -> Result<Found> {
        let records = self.records(&pending).await?;
        let platform = self.platform(&pending, &records).await?;
        let mut found = Found { looks: Vec::with_capacity(pending.len()), duplicates: Vec::new() };
        for (pending, record) in pending.into_iter().zip(records) {
            self.one(pending, record, warehouse, &platform, &mut found)?;
        }
        self.rekeyed(&mut found.looks).await?;
        Ok(found)
    }

    /// What the platform has of those that it has to be asked for: by their link, and where nothing is left of that, by
    /// their key, which a record that was made anew may have.
    async fn platform(&self, pending: &[Pending], records: &[Option<LedgerRecord>]) -> Result<ByRef> {
        let mut refs = Vec::new();
        let mut linked: Vec<(RemoteId, &Key)> = Vec::new();
        for (pending, record) in pending.iter().zip(records) {
            let remote = record.as_ref().and_then(|record| record.entry.remote.clone());
            let missing = self.confirm_platform && pending.platform == Some(Seen::Absent) && remote.is_some();
            if pending.platform.is_some() && !missing {
                continue;
            }
            match remote {
                Some(remote) => {
                    refs.push(RecordRef::Remote(remote.clone()));
                    linked.push((remote, &pending.key));
                }
                None => refs.push(RecordRef::Key(pending.key.clone())),
            }
        }
        let by_key = |(_, key): &(RemoteId, &Key)| RecordRef::Key((*key).clone());
        if !self.ctx.abilities.fetch {
            // It is read as a whole, so once has to do.
            refs.extend(linked.iter().map(by_key));
            return read_platform(self.ctx, &refs).await;
        }
        let mut found = read_platform(self.ctx, &refs).await?;
        linked.retain(|(remote, _)| !found.by_remote.contains_key(remote));
        let anew: Vec<RecordRef> = linked.iter().map(by_key).collect();
        let anew = read_platform(self.ctx, &anew).await?;
        found.by_remote.extend(anew.by_remote);
        found.by_key.extend(anew.by_key);
        Ok(found)
    }

    /// Ledger records in the order of the pending ones; what a scan did not show is not looked up again.
    async fn records(&self, pending: &[Pending]) -> Result<Vec<Option<LedgerRecord>>> {
        let keys: Vec<Key> = pending.iter().filter(|one| !one.unknown).map(|one| one.key.clone()).collect();
        if keys.is_empty() {
            return Ok(pending.iter().map(|_| None).collect());
        }
        let mut found = self.ctx.engine.memory.entries(&self.ctx.sync.name, &keys).await?.into_iter();
        Ok(pending.iter().map(|one| if one.unknown { None } else { found.next().flatten() }).collect())
    }

    fn one(
        &self,
        pending: Pending,
        record: Option<LedgerRecord>,
        warehouse: &InWarehouse,
        platform: &ByRef,
        found: &mut Found,
    ) -> Result<()> {
        let Pending { key, warehouse: in_warehouse, platform: on_platform, unknown: _ } = pending;
        let read = |(row, _): &(SideRow, u64)| Seen::Row(row.clone());
        let told = match &in_warehouse {
            None | Some(Seen::NotRead) => Told::Nothing,
            Some(Seen::Row(_)) => Told::There,
            Some(Seen::Absent) => Told::Gone,
        };
        let in_warehouse = match in_warehouse {
            Some(seen) if !self.looked_up(Some(&seen)) => seen,
            _ => match warehouse.get(&key) {
                Some((_, copies)) if *copies > 1 => {
                    found.duplicates.push((key, *copies));
                    return Ok(());
                }
                row => row.map_or(Seen::Absent, read),
            },
        };
        let unconfirmed = on_platform == Some(Seen::Absent) && self.scanned && !self.confirm_platform;
        let remote = record.as_ref().and_then(|record| record.entry.remote.clone());
        let mut rekeyed = None;
        let on_platform = match on_platform {
            Some(seen) if seen != Seen::Absent || remote.is_none() || !self.confirm_platform => seen,
            _ => match remote.as_ref().and_then(|id| platform.by_remote.get(id)) {
                Some((now, row)) => {
                    if *now != key {
                        rekeyed = Some(now.clone());
                    }
                    Seen::Row(row.clone())
                }
                None => platform.by_key.get(&key).map_or(Seen::Absent, |row| Seen::Row(row.clone())),
            },
        };
        let (entry, detail) = match record {
            Some(record) => (Some(record.entry), Detail::decode(&record.detail)?),
            None => (None, Detail::default()),
        };
        let choices = self.ctx.choices.get(&key).cloned().unwrap_or_default();
        let (warehouse, platform) = (in_warehouse, on_platform);
        let rejected = self.ctx.rejected.contains(&key);
        let ahead = self.ahead(told, &warehouse, entry.as_ref(), &detail);
        let look = Look { key, warehouse, platform, unconfirmed, entry, detail, rekeyed, ahead, rejected, choices };
        found.looks.push(look);
        Ok(())
    }

    /// Whether a row is ahead of what the warehouse's change history has shown: it was found by key alone. Our own creates
    /// stay ahead for as long as a window may lag behind the clock.
    fn ahead(&self, told: Told, now: &Seen, entry: Option<&LedgerEntry>, detail: &Detail) -> Option<bool> {
        if !self.ctx.follows() || *now == Seen::NotRead {
            return None;
        }
        let flagged = |flag: u8| entry.is_some_and(|entry| entry.flags & flag != 0);
        let lags = |wrote: Instant| self.ctx.now.millis_since(wrote) < LAG_MS_MAX;
        let fresh = flagged(flags::AHEAD) && detail.wrote(Target::Warehouse).is_some_and(lags);
        Some(match (now, told) {
            (Seen::Row(_), Told::There) => fresh && !self.confirm_warehouse,
            (Seen::Row(_), Told::Gone) => true,
            (Seen::Row(_), Told::Nothing) => entry.is_none() || flagged(flags::GONE_WAREHOUSE) || fresh,
            _ => false,
        })
    }

    /// A remote id that is linked under another key is the same record with a new key.
    async fn rekeyed(&self, looks: &mut [Look]) -> Result<()> {
        let mut ids: Vec<RemoteId> = Vec::new();
        let mut at = Vec::new();
        for (index, look) in looks.iter().enumerate() {
            if let Some(id) = look.platform.row().and_then(|row| row.remote.clone())
                && look.entry.as_ref().is_none_or(|entry| entry.remote.as_ref() != Some(&id))
            {
                ids.push(id);
                at.push(index);
            }
        }
        if ids.is_empty() || self.ledger_empty {
            return Ok(());
        }
        let keys = self.ctx.engine.memory.by_remote(&self.ctx.sync.name, &ids).await?;
        for (index, known) in at.into_iter().zip(keys) {
            if let Some(known) = known.filter(|known| *known != looks[index].key) {
                looks[index].rekeyed = Some(known);
            }
        }
        Ok(())
    }
}

/// What a stream of the warehouse told of a key.
#[derive(Clone, Copy)]
enum Told {
    Nothing,
    There,
    Gone,
}

/// What pending records came to.
struct Found {
    looks: Vec<Look>,
    /// Keys that several rows claim, with how many.
    duplicates: Vec<(Key, u64)>,
}

/// Rows of the warehouse by key, with how many there are of each.
pub(crate) type InWarehouse = HashMap<Key, (SideRow, u64)>;

/// Looks rows of the warehouse up by key.
pub(crate) async fn read_warehouse(ctx: &Ctx, keys: &[Key]) -> Result<InWarehouse> {
    let mut found = InWarehouse::new();
    if keys.is_empty() {
        return Ok(found);
    }
    ctx.lookups.fetch_add(1, Ordering::Relaxed);
    let layout = ctx.layout(Target::Warehouse)?;
    let columns = layout.columns();
    let (source, timezone) = (&ctx.sync.source, &ctx.sync.timezone);
    let fetch = || ctx.job.warehouse.fetch(source, &columns, &layout.key, keys, timezone);
    let pages = match ctx.key_rule()? {
        Some(rule) => folded::rows(ctx, keys, &columns, &rule.standing()).await?,
        None => vec![retry::again(&ctx.engine, &ctx.options.cancel, fetch).await?],
    };
    for page in pages {
        let page = keyed(&layout, page)?;
        for row in 0..page.len() {
            if let Some(key) = page.key(row) {
                let entry = found.entry(Key::new(key));
                entry.and_modify(|(_, copies)| *copies += 1).or_insert_with(|| (page.row(&layout, row), 1));
            }
        }
    }
    Ok(found)
}

fn keyed(layout: &Layout, page: Page) -> Result<Keyed> {
    Keyed::new(layout, page)
}

/// Records of the platform, by their own id and by key.
#[derive(Default)]
pub(crate) struct ByRef {
    pub by_remote: HashMap<RemoteId, (Key, SideRow)>,
    pub by_key: HashMap<Key, SideRow>,
}

/// Reads records of the platform by reference.
pub(crate) async fn read_platform(ctx: &Ctx, refs: &[RecordRef]) -> Result<ByRef> {
    let mut found = ByRef::default();
    if refs.is_empty() {
        return Ok(found);
    }
    let layout = ctx.layout(Target::Platform)?;
    let fields = layout.fields();
    if ctx.abilities.fetch {
        let fetch = || ctx.job.platform.fetch(&ctx.sync.model, &layout.key, &fields, refs);
        let page = retry::again(&ctx.engine, &ctx.options.cancel, fetch).await?;
        found.add(&layout, &keyed(&layout, page)?, |_, _| true);
        return Ok(found);
    }
    // A platform that cannot be asked for single records is read as a whole, and the others are left out.
    let wanted: HashSet<&RecordRef> = refs.iter().collect();
    let mut pages = super::detect::all_of_platform(ctx, &layout).await?;
    while let Some(page) = pages.next().await? {
        found.add(&layout, &keyed(&layout, page)?, |key, remote| {
            wanted.contains(&RecordRef::Key(key.clone()))
                || remote.is_some_and(|remote| wanted.contains(&RecordRef::Remote(remote.clone())))
        });
    }
    Ok(found)
}

impl ByRef {
    fn add(&mut self, layout: &Layout, page: &Keyed, wanted: impl Fn(&Key, Option<&RemoteId>) -> bool) {
        for row in 0..page.len() {
            let side = page.row(layout, row);
            // A record whose key was taken away has none: it is known by its id alone.
            let key = Key::new(page.key(row).unwrap_or_default());
            if !wanted(&key, side.remote.as_ref()) {
                continue;
            }
            if let Some(remote) = &side.remote {
                self.by_remote.insert(remote.clone(), (key.clone(), side.clone()));
            }
            self.by_key.insert(key, side);
        }
    }
}
