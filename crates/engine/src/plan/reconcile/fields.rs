//! What both kinds of syncs share: whether a field changed, and gathering the fields of one write.

use tidegate_model::change::{Action, FieldReject, Reject};
use tidegate_model::ports::{Conflict, ConflictState};
use tidegate_model::record::{FieldName, Fields};
use tidegate_model::sync::{LedgerKind, OnMisfit, Target};
use tidegate_model::value::Value;

use super::super::images::{Detail, Image};
use super::super::map::MappedField;
use super::super::prints::alike;
use super::wire::identical;
use super::{Asked, Class, FieldWrite, Look, Rules, TargetPlan, Verdict, Writes};

/// How often in a row the same value may be sent before the field is held as `oscillating`.
pub const STREAK_MAX: u8 = 3;

/// Whether a side's value differs from its own image.
pub fn changed(rules: &Rules<'_>, field: &MappedField, side: Target, image: &Image, now: &Value) -> bool {
    match image {
        Image::Print(print) => rules.printer.value(now) != *print,
        Image::Value(value) => !same(field, side, value, now),
    }
}

/// Whether two values of one side are equal under its normal form.
pub fn same(field: &MappedField, side: Target, a: &Value, b: &Value) -> bool {
    match side {
        Target::Warehouse => field.same_in_warehouse(a, b),
        Target::Platform => field.same_on_platform(a, b),
    }
}

/// Takes a value that a side shows into its image.
pub fn note_source(rules: &Rules<'_>, field: &MappedField, side: Target, value: &Value, detail: &mut Detail) {
    let image = Image::of(value, rules.sync.ledger, rules.printer);
    let images = detail.field_mut(field.id);
    images.set(side, image);
    if let Some(sent) = images.sent_mut(side) {
        sent.seen = true;
    }
    if let Some(sent) = images.sent_mut(side.other()) {
        sent.streak = 0;
    }
}

/// The record as a whole is known under another key.
pub fn rekeyed(look: &Look) -> Conflict {
    Conflict {
        key: look.key.clone(),
        field: None,
        warehouse: None,
        platform: look.rekeyed.as_ref().map(|other| Value::text(other.as_str())),
        winner: None,
        state: ConflictState::Open,
        note: Some("rekeyed".to_owned()),
    }
}

/// The record is gone on one side and was edited on the other.
pub fn delete_conflict(look: &Look, winner: Option<Target>) -> Conflict {
    Conflict {
        key: look.key.clone(),
        field: None,
        warehouse: None,
        platform: None,
        winner,
        state: ConflictState::Decided,
        note: Some("delete".to_owned()),
    }
}

/// The fields of one write, as they come together.
#[derive(Default)]
pub struct Plan {
    pub writes: Writes,
    pub rejects: Vec<FieldReject>,
    pub dropped: Vec<FieldReject>,
    /// Waits for a person or the other side, and is looked at again.
    pub held: bool,
    /// Lost a decided conflict: counts as held, and is over.
    pub lost: bool,
}

/// Adds a field to a write: maps the source's value, or notes why it cannot be delivered.
pub fn gather(
    rules: &Rules<'_>,
    look: &Look,
    to: Target,
    at: usize,
    misfit: Option<FieldReject>,
    before: Option<Value>,
    plan: &mut Plan,
) {
    let field = &rules.mapping.fields[at];
    let Some(row) = look.side(to.other()).row() else { return };
    let source = &row.values[at];
    let mapped = match misfit {
        Some(why) => Err(why),
        None => match to {
            Target::Platform => field.to_platform(source),
            Target::Warehouse => field.to_warehouse(source),
        },
    };
    match mapped {
        Ok(None) => {}
        Ok(Some(sent)) => {
            // Of the source's value only its print is kept, which the one that is sent may have, too.
            let prints = rules.sync.ledger == LedgerKind::Fingerprints;
            let own = Some(source).filter(|source| !(prints && alike(source, &sent)));
            push(look, to, field, own, sent, before, plan);
        }
        Err(why) if field.on_misfit == OnMisfit::DropField => plan.dropped.push(named(field, why)),
        Err(why) => plan.rejects.push(named(field, why)),
    }
}

fn named(field: &MappedField, mut why: FieldReject) -> FieldReject {
    why.field = Some(field.name.to_string());
    why
}

/// Adds a value that is known to fit. `source`: the source side's, unless the one that is sent can stand for it.
pub fn push(
    look: &Look,
    to: Target,
    field: &MappedField,
    source: Option<&Value>,
    sent: Value,
    before: Option<Value>,
    plan: &mut Plan,
) {
    let Some(name) = target_name(field, to) else { return };
    let last = look.detail.field(field.id).and_then(|images| images.sent(to));
    let streak = match last {
        Some(last) if last.streak > 0 && same(field, to, &last.value, &sent) => last.streak.saturating_add(1),
        _ => 1,
    };
    plan.writes.push(FieldWrite {
        id: field.id,
        name,
        source: source.filter(|source| !identical(source, &sent)).map(|source| Box::new(source.clone())),
        sent,
        before: before.map(Box::new),
        streak,
    });
}

/// The name under which a side knows a field; a constant has no column.
pub fn target_name(field: &MappedField, to: Target) -> Option<FieldName> {
    match to {
        Target::Platform => Some(field.name.clone()),
        Target::Warehouse => field.column.clone(),
    }
}

impl Plan {
    /// Turns what was gathered into the plan of one direction.
    pub fn finish(
        self,
        rules: &Rules<'_>,
        look: &Look,
        to: Target,
        action: Action,
        expect: Option<Fields>,
        verdict: &mut Verdict,
    ) {
        let shown = |why: &FieldReject| -> Option<Value> {
            let name = why.field.as_deref()?;
            if rules.sync.redact.iter().any(|field| field == name) {
                return None;
            }
            let at = rules.mapping.fields.iter().position(|field| &*field.name == name)?;
            look.side(to.other()).row().map(|row| row.values[at].clone()).filter(|value| !value.is_null())
        };
        let listed = |why: FieldReject| Reject { key: Some(look.key.clone()), to, value: shown(&why), why };
        let refused = !self.rejects.is_empty();
        verdict.open |= refused || !self.dropped.is_empty() || self.held;
        verdict.rejects.extend(self.rejects.into_iter().map(&listed));
        if refused {
            *verdict.to_mut(to) = TargetPlan::of(Class::Rejected);
            return;
        }
        let dropped = self.dropped.len() as u64;
        verdict.rejects.extend(self.dropped.into_iter().map(&listed));
        if self.writes.is_empty() && action != Action::Create {
            let class = if self.held || self.lost { Class::Held } else { Class::Unchanged };
            *verdict.to_mut(to) = TargetPlan { dropped, ..TargetPlan::of(class) };
            return;
        }
        let change = Asked { remote: verdict.remote.clone(), action, fields: None, expect };
        *verdict.to_mut(to) = TargetPlan { class: Class::Write, change: Some(change), writes: self.writes, dropped };
    }
}
