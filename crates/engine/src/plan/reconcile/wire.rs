//! Verdicts as bytes, for the spool of a detection and the journal of intents. A first load writes each of its records
//! twice this way, so what repeats is left out: names stand as numbers of a table, a value that is sent as it was read
//! stands once, and so do the fields of a change that only carries its writes.

use serde::{Deserialize, Serialize};
use tidegate_model::change::Action;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::Print;
use tidegate_model::record::{FieldName, Fields, Key, RemoteId};
use tidegate_model::value::Value;

use super::{Asked, Class, FieldWrite, TargetPlan, Verdict, Writes};
use crate::plan::append::append;
use crate::plan::images::Detail;

/// The names that packed verdicts refer to by number. A number once given stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(Vec<FieldName>);

impl Names {
    /// A table that begins with these names.
    pub fn of<'n>(names: impl Iterator<Item = &'n FieldName>) -> Self {
        let mut table = Self::default();
        for name in names {
            table.number(name, &mut 0);
        }
        table
    }

    /// The number of a name. The search begins where the last name of the same record was found: they come in order.
    fn number(&mut self, name: &FieldName, from: &mut usize) -> u32 {
        let (before, after) = self.0.split_at((*from).min(self.0.len()));
        let later = after.iter().position(|known| known == name).map(|at| before.len() + at);
        let at = later.or_else(|| before.iter().position(|known| known == name)).unwrap_or_else(|| {
            self.0.push(name.clone());
            self.0.len() - 1
        });
        *from = at + 1;
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn name(&self, number: u32) -> Result<FieldName> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.0.get(at).cloned().ok_or_else(|| Error::internal("a packed change refers to a name that is not there"))
    }
}

type PackedFields = Vec<(u32, Value)>;

/// A write as its parts, in the order of their bytes.
#[derive(Deserialize)]
struct PackedWrite {
    id: u64,
    name: u32,
    /// Where it is there, it stands for `name`: journals of earlier versions have the target's name apart.
    renamed: Option<u32>,
    /// `None`: the same as `sent`.
    source: Option<Box<Value>>,
    sent: Value,
    before: Option<Box<Value>>,
    streak: u8,
}

fn put<T: Serialize + ?Sized>(part: &T, into: &mut Vec<u8>) -> Result<()> {
    append(part, into).map_err(|error| Error::internal("pack a planned change").cause(error))
}

fn take<'b, T: Deserialize<'b>>(bytes: &mut &'b [u8]) -> Result<T> {
    let (part, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| Error::internal("unpack a planned change").cause(error))?;
    *bytes = rest;
    Ok(part)
}

fn take_print(bytes: &mut &[u8]) -> Result<Print> {
    let short = || Error::internal("unpack a planned change: the bytes end early");
    let (print, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    *bytes = rest;
    Ok(*print)
}

/// Appends a verdict to a buffer.
///
/// # Errors
/// A value that cannot be written.
pub fn pack(verdict: &Verdict, names: &mut Names, into: &mut Vec<u8>) -> Result<()> {
    let bits = [verdict.open, verdict.remove, verdict.keep, verdict.was_open];
    let bits = bits.into_iter().enumerate().fold(0_u8, |all, (at, bit)| all | (u8::from(bit) << at));
    put(&(&verdict.key, &verdict.remote, verdict.flags), into)?;
    // As they are, which is how they would be written byte by byte.
    [verdict.prints.0, verdict.prints.1].iter().for_each(|print| into.extend_from_slice(print));
    put(&(&verdict.detail, bits), into)?;
    pack_plan(&verdict.to_platform, names, into)?;
    pack_plan(&verdict.to_warehouse, names, into)?;
    put(&(&verdict.rejects, &verdict.over, &verdict.conflicts), into)
}

fn pack_plan(plan: &TargetPlan, names: &mut Names, into: &mut Vec<u8>) -> Result<()> {
    put(&(plan.class, plan.change.is_some()), into)?;
    if let Some(asked) = &plan.change {
        put(&(&asked.remote, asked.action), into)?;
        pack_fields(asked.fields.as_ref(), names, into)?;
        pack_fields(asked.expect.as_ref(), names, into)?;
    }
    put(&plan.writes.len(), into)?;
    let mut from = 0;
    for write in plan.writes.iter() {
        let name = names.number(write.name, &mut from);
        let (source, before) = (write.own_source(), write.before());
        put(&(write.id(), name, None::<u32>, source, write.sent, before, write.streak()), into)?;
    }
    put(&plan.dropped, into)
}

fn pack_fields(fields: Option<&Fields>, names: &mut Names, into: &mut Vec<u8>) -> Result<()> {
    let mut from = 0;
    let fields: Option<Vec<(u32, &Value)>> =
        fields.map(|fields| fields.iter().map(|(name, value)| (names.number(name, &mut from), value)).collect());
    put(&fields, into)
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
///
/// # Errors
/// The bytes are no verdict's.
pub fn unpack<'b>(bytes: &'b [u8], names: &Names) -> Result<(Verdict, &'b [u8])> {
    let mut rest = bytes;
    let (key, remote, flags) = take::<(Key, Option<RemoteId>, u8)>(&mut rest)?;
    let prints = (take_print(&mut rest)?, take_print(&mut rest)?);
    let (detail, bits) = take::<(Detail, u8)>(&mut rest)?;
    let to_platform = unpack_plan(&mut rest, names)?;
    let to_warehouse = unpack_plan(&mut rest, names)?;
    let (rejects, over, conflicts) = take(&mut rest)?;
    let bit = |at: u8| bits & (1 << at) != 0;
    let (open, remove, keep, was_open) = (bit(0), bit(1), bit(2), bit(3));
    let verdict = Verdict {
        key,
        remote,
        flags,
        prints,
        detail,
        open,
        remove,
        keep,
        to_platform,
        to_warehouse,
        rejects,
        over,
        conflicts,
        was_open,
    };
    Ok((verdict, rest))
}

fn unpack_plan(bytes: &mut &[u8], names: &Names) -> Result<TargetPlan> {
    let (class, asked) = take::<(Class, bool)>(bytes)?;
    let change = match asked {
        false => None,
        true => {
            let (remote, action) = take::<(Option<RemoteId>, Action)>(bytes)?;
            let (fields, expect) = (unpack_fields(bytes, names)?, unpack_fields(bytes, names)?);
            Some(Asked { remote, action, fields, expect })
        }
    };
    let count = take::<usize>(bytes)?;
    // A write takes more than a byte: a damaged count asks for no more room than there are bytes.
    let mut writes = Writes::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        let write = take::<PackedWrite>(bytes)?;
        writes.push(FieldWrite {
            id: write.id,
            name: names.name(write.renamed.unwrap_or(write.name))?,
            source: write.source,
            sent: write.sent,
            before: write.before,
            streak: write.streak,
        });
    }
    Ok(TargetPlan { class, change, writes, dropped: take(bytes)? })
}

fn unpack_fields(bytes: &mut &[u8], names: &Names) -> Result<Option<Fields>> {
    let Some(fields) = take::<Option<PackedFields>>(bytes)? else { return Ok(None) };
    let named = fields.into_iter().map(|(number, value)| Ok((names.name(number)?, value)));
    named.collect::<Result<Fields>>().map(Some)
}
