//! Verdicts as bytes, for the spool of a detection and the journal of intents. A first load writes each of its records
//! twice this way, so what repeats is left out: names stand as numbers of a table, a value that is sent as it was read
//! stands once, and so do the fields of a change that only carries its writes.

use serde::{Deserialize, Serialize};
use tidegate_model::change::{Action, Change, Reject};
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{Conflict, Print};
use tidegate_model::record::{FieldName, Fields, Key, RemoteId};
use tidegate_model::sync::Target;
use tidegate_model::value::Value;

use super::{Class, FieldWrite, TargetPlan, Verdict};
use crate::plan::images::Detail;

/// The names that packed verdicts refer to by number. A number once given stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(Vec<FieldName>);

impl Names {
    fn number(&mut self, name: &FieldName) -> u32 {
        // A sync has a few dozen names, and mostly it is the very same text again.
        let known = self.0.iter().position(|known| std::sync::Arc::ptr_eq(known, name));
        let at = known.or_else(|| self.0.iter().position(|known| known == name)).unwrap_or_else(|| {
            self.0.push(name.clone());
            self.0.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn name(&self, number: u32) -> Result<FieldName> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.0.get(at).cloned().ok_or_else(|| Error::internal("a packed change refers to a name that is not there"))
    }
}

#[derive(Serialize, Deserialize)]
struct Packed {
    key: Key,
    remote: Option<RemoteId>,
    flags: u8,
    prints: (Print, Print),
    detail: Detail,
    /// `open`, `remove`, `keep` and `was_open`, a bit each.
    bits: u8,
    to_platform: PackedPlan,
    to_warehouse: PackedPlan,
    rejects: Vec<Reject>,
    over: Vec<Target>,
    conflicts: Vec<Conflict>,
}

#[derive(Serialize, Deserialize)]
struct PackedPlan {
    class: Class,
    change: Option<PackedChange>,
    writes: Vec<PackedWrite>,
    dropped: u64,
}

#[derive(Serialize, Deserialize)]
struct PackedChange {
    remote: Option<RemoteId>,
    action: Action,
    /// `None`: what the writes send.
    fields: Option<PackedFields>,
    expect: Option<PackedFields>,
}

type PackedFields = Vec<(u32, Value)>;

#[derive(Serialize, Deserialize)]
struct PackedWrite {
    id: u64,
    name: u32,
    /// `None`: the same as `name`.
    target_name: Option<u32>,
    /// `None`: the same as `sent`.
    source: Option<Value>,
    sent: Value,
    before: Option<Value>,
    streak: u8,
}

/// Appends a verdict to a buffer.
pub fn pack(verdict: Verdict, names: &mut Names, into: Vec<u8>) -> Result<Vec<u8>> {
    let bits = [verdict.open, verdict.remove, verdict.keep, verdict.was_open];
    let bits = bits.into_iter().enumerate().fold(0, |all, (at, bit)| all | (u8::from(bit) << at));
    let packed = Packed {
        key: verdict.key,
        remote: verdict.remote,
        flags: verdict.flags,
        prints: verdict.prints,
        detail: verdict.detail,
        bits,
        to_platform: pack_plan(verdict.to_platform, names),
        to_warehouse: pack_plan(verdict.to_warehouse, names),
        rejects: verdict.rejects,
        over: verdict.over,
        conflicts: verdict.conflicts,
    };
    postcard::to_extend(&packed, into).map_err(|error| Error::internal("pack a planned change").cause(error))
}

fn pack_plan(plan: TargetPlan, names: &mut Names) -> PackedPlan {
    let change = plan.change.map(|change| {
        let same = |((a, x), (b, y)): ((&FieldName, &Value), (&FieldName, &Value))| a == b && identical(x, y);
        let said = carried(change.action, &plan.writes);
        let carried = carried(change.action, &plan.writes).count() == change.fields.len()
            && change.fields.iter().zip(said).all(same);
        PackedChange {
            remote: change.remote,
            action: change.action,
            fields: (!carried).then(|| pack_fields(&change.fields, names)),
            expect: change.expect.map(|expect| pack_fields(&expect, names)),
        }
    });
    let writes = plan.writes.into_iter().map(|write| PackedWrite {
        id: write.id,
        name: names.number(&write.name),
        target_name: (write.target_name != write.name).then(|| names.number(&write.target_name)),
        source: write.source,
        sent: write.sent,
        before: write.before,
        streak: write.streak,
    });
    PackedPlan { class: plan.class, change, writes: writes.collect(), dropped: plan.dropped }
}

fn pack_fields(fields: &Fields, names: &mut Names) -> PackedFields {
    fields.iter().map(|(name, value)| (names.number(name), value.clone())).collect()
}

/// The fields that a change carries if it says what its writes say. A new record starts empty.
fn carried(action: Action, writes: &[FieldWrite]) -> impl Iterator<Item = (&FieldName, &Value)> {
    let said = writes.iter().filter(move |write| action != Action::Create || !write.sent.is_null());
    said.map(|write| (&write.target_name, &write.sent))
}

/// Whether one value can stand for the other: equal, and written alike.
pub(super) fn identical(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // 1.50 and 1.5 are equal and not alike; so are 0 and -0.
        (Value::Decimal(x), Value::Decimal(y)) => x.scale() == y.scale() && x == y,
        (Value::Float(x), Value::Float(y)) => x.to_bits() == y.to_bits(),
        (Value::List(x), Value::List(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| identical(x, y)),
        _ => a == b,
    }
}

/// Takes a verdict from the front of some bytes; the rest comes back.
pub fn unpack<'b>(bytes: &'b [u8], names: &Names) -> Result<(Verdict, &'b [u8])> {
    let (packed, rest) = postcard::take_from_bytes::<Packed>(bytes)
        .map_err(|error| Error::internal("unpack a planned change").cause(error))?;
    let bit = |at: u8| packed.bits & (1 << at) != 0;
    let verdict = Verdict {
        remote: packed.remote,
        flags: packed.flags,
        prints: packed.prints,
        detail: packed.detail,
        open: bit(0),
        remove: bit(1),
        keep: bit(2),
        was_open: bit(3),
        to_platform: unpack_plan(packed.to_platform, &packed.key, names)?,
        to_warehouse: unpack_plan(packed.to_warehouse, &packed.key, names)?,
        rejects: packed.rejects,
        over: packed.over,
        conflicts: packed.conflicts,
        key: packed.key,
    };
    Ok((verdict, rest))
}

fn unpack_plan(plan: PackedPlan, key: &Key, names: &Names) -> Result<TargetPlan> {
    let mut writes = Vec::with_capacity(plan.writes.len());
    for write in plan.writes {
        let name = names.name(write.name)?;
        writes.push(FieldWrite {
            id: write.id,
            target_name: write.target_name.map_or_else(|| Ok(name.clone()), |number| names.name(number))?,
            name,
            source: write.source,
            sent: write.sent,
            before: write.before,
            streak: write.streak,
        });
    }
    let change = match plan.change {
        None => None,
        Some(change) => Some(Change {
            key: key.clone(),
            remote: change.remote,
            action: change.action,
            fields: match change.fields {
                Some(fields) => unpack_fields(fields, names)?,
                None => carried(change.action, &writes).map(|(name, value)| (name.clone(), value.clone())).collect(),
            },
            expect: change.expect.map(|expect| unpack_fields(expect, names)).transpose()?,
        }),
    };
    Ok(TargetPlan { class: plan.class, change, writes, dropped: plan.dropped })
}

fn unpack_fields(fields: PackedFields, names: &Names) -> Result<Fields> {
    fields.into_iter().map(|(number, value)| Ok((names.name(number)?, value))).collect()
}
