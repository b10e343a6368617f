//! What stands in the transaction of every write: who drives the sync, which operations were carried out, and the
//! counter of changes.

use tidegate_model::ports::LEASE_MS;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::{Error, ErrorKind, Result};

use super::cell::{Cell, CellRef};
use super::db::{Session, first};

/// Operations remembered per sync: far more than a run has unsettled at once, few enough to stay small.
const OPS_KEPT: i64 = 128;

/// Checks the fence and moves it to this epoch. Holds its row until the transaction ends.
pub fn check(session: &mut dyn Session, fence: &Fence) -> Result<()> {
    let sync = CellRef::Text(&fence.sync);
    let row = [sync, CellRef::Text(&fence.store), CellRef::Int(fence.epoch)];
    session.exec("INSERT INTO hub_fence (sync, store, epoch) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", &row)?;
    let sql = format!("SELECT store, epoch FROM hub_fence WHERE sync = $1{}", session.dialect().for_update());
    let found = first(session, &sql, &[sync], 2)?.ok_or_else(|| Error::internal("the hub's fence row is missing"))?;
    if found[0].text() != Some(fence.store.as_str()) {
        let message = format!("another tidegate project drives the sync {} into this hub", fence.sync);
        return Err(Error::new(ErrorKind::ForeignStore, message)
            .hint(format!("if the other one is gone for good, take over with: tidegate adopt {}", fence.sync)));
    }
    let epoch = found[1].int().unwrap_or(0);
    if epoch > fence.epoch {
        let message = format!("another run took over the sync {} (epoch {epoch} after {})", fence.sync, fence.epoch);
        return Err(Error::new(ErrorKind::LeaseLost, message).hint(format!(
            "nothing was written by this run; leases end {} s after their last heartbeat",
            LEASE_MS / 1000
        )));
    }
    if epoch < fence.epoch {
        session.exec("UPDATE hub_fence SET epoch = $2 WHERE sync = $1", &[sync, CellRef::Int(fence.epoch)])?;
    }
    Ok(())
}

/// Takes a sync over.
pub fn adopt(session: &mut dyn Session, fence: &Fence) -> Result<()> {
    let sql = "INSERT INTO hub_fence (sync, store, epoch) VALUES ($1, $2, $3) \
               ON CONFLICT (sync) DO UPDATE SET store = $2, epoch = $3";
    let row = [CellRef::Text(&fence.sync), CellRef::Text(&fence.store), CellRef::Int(fence.epoch)];
    session.exec(sql, &row).map(|_| ())
}

/// What an operation answered, if it was carried out before.
pub fn replay(session: &mut dyn Session, op: &OpId) -> Result<Option<Vec<u8>>> {
    let found = first(session, "SELECT answer FROM hub_op WHERE op = $1", &[CellRef::Text(&op.0)], 1)?;
    match found.map(|mut cells| cells.remove(0)) {
        None => Ok(None),
        Some(Cell::Blob(bytes)) => Ok(Some(bytes)),
        Some(_) => Err(Error::internal("an operation of the hub has no answer")),
    }
}

/// Remembers what an operation answered, and forgets the oldest of its sync.
pub fn remember(
    session: &mut dyn Session,
    kind: &str,
    op: &OpId,
    fence: &Fence,
    number: i64,
    answer: &[u8],
) -> Result<()> {
    session.exec(
        "INSERT INTO hub_op (op, n, sync, kind, at, answer) VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            CellRef::Text(&op.0),
            CellRef::Int(number),
            CellRef::Text(&fence.sync),
            CellRef::Text(kind),
            CellRef::Int(super::clock()),
            CellRef::Blob(answer),
        ],
    )?;
    let sql = "DELETE FROM hub_op WHERE sync = $1 AND n <= \
               (SELECT n FROM hub_op WHERE sync = $1 ORDER BY n DESC LIMIT 1 OFFSET $2)";
    session.exec(sql, &[CellRef::Text(&fence.sync), CellRef::Int(OPS_KEPT)]).map(|_| ())
}

/// The counter of changes, held by one transaction at a time: numbers are committed in their order, so nobody who
/// reads up to a number misses a smaller one.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// The last number given.
    pub seq: i64,
    /// The time of this transaction, later than that of any before it.
    pub now: i64,
}

impl Counter {
    /// Takes the counter.
    pub fn take(session: &mut dyn Session) -> Result<Self> {
        let lock = session.dialect().for_update();
        let sql = format!("SELECT name, number FROM hub_meta WHERE name IN ('clock', 'seq') ORDER BY name{lock}");
        let (mut seq, mut clock) = (0, 0);
        session.query(&sql, &[], &mut |row| {
            let number = row.int(1)?;
            if row.cell(0)? == CellRef::Text("seq") {
                seq = number
            } else {
                clock = number
            }
            Ok(())
        })?;
        Ok(Self { seq, now: super::clock().max(clock + 1) })
    }
    /// The next number.
    pub fn next(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }
    /// Puts the counter back.
    pub fn store(&self, session: &mut dyn Session) -> Result<()> {
        for (name, number) in [("clock", self.now), ("seq", self.seq)] {
            let row = [CellRef::Text(name), CellRef::Int(number)];
            session.exec("UPDATE hub_meta SET number = $2 WHERE name = $1", &row)?;
        }
        Ok(())
    }
}

/// The last number that was committed.
pub fn mark(session: &mut dyn Session) -> Result<i64> {
    let found = first(session, "SELECT number FROM hub_meta WHERE name = 'seq'", &[], 1)?;
    found.and_then(|cells| cells[0].int()).ok_or_else(|| Error::internal("the hub's counter is missing"))
}
