//! One-way syncs: the target is not read; the source's image in the ledger tells what changed.

use tidegate_model::change::Action;
use tidegate_model::record::Fields;
use tidegate_model::sync::{Deletes, Direction, Target, WriteMode};

use super::super::images::Detail;
use super::fields::{Plan, changed, gather, note_source};
use super::{Asked, Class, Look, Rules, Seen, TargetPlan, Verdict, Writes, gone_flag};

/// Decides about a record of a one-way sync.
pub fn reconcile(rules: &Rules<'_>, look: &Look, verdict: &mut Verdict) {
    let to = match rules.sync.direction {
        Direction::ToWarehouse => Target::Warehouse,
        _ => Target::Platform,
    };
    match look.side(to.other()) {
        Seen::Row(_) => present(rules, look, to, verdict),
        Seen::Absent => gone(rules, look, to, verdict),
        Seen::NotRead => {}
    }
}

fn present(rules: &Rules<'_>, look: &Look, to: Target, verdict: &mut Verdict) {
    let source = to.other();
    let Some(row) = look.side(source).row() else { return };
    let returned = look.entry.as_ref().is_some_and(|entry| entry.flags & gone_flag(source) != 0);
    let linked = look.entry.is_some() && !returned;
    verdict.flags &= !gone_flag(source);
    if look.rekeyed.is_some() {
        *verdict.to_mut(to) = TargetPlan::of(Class::Held);
        verdict.conflicts.push(super::fields::rekeyed(look));
        return;
    }
    if returned {
        // Old images are of another time: a field that is not settled now must not find them again.
        verdict.detail = Detail::default();
    }
    let mut plan = Plan::default();
    if !linked {
        plan.writes = Writes::with_capacity(rules.mapping.fields.len());
    }
    // Fields that are as they were, and go along where the target takes whole records.
    let mut quiet = Vec::new();
    for (at, field) in rules.mapping.fields.iter().enumerate() {
        if !field.direction.reaches(to) {
            continue;
        }
        let image = look.detail.field(field.id).and_then(|images| images.side(source)).filter(|_| linked);
        let misfit = row.misfits.iter().find(|(index, _)| *index == at).map(|(_, why)| why.clone());
        let is_changed = misfit.is_some()
            || match image {
                Some(image) => changed(rules, field, source, image, &row.values[at]),
                // A newly mapped, empty column never clears the other side.
                None => !row.values[at].is_null(),
            };
        if is_changed {
            gather(rules, look, to, at, misfit, None, &mut plan);
        } else {
            note_source(rules, field, source, &row.values[at], &mut verdict.detail);
            quiet.push(at);
        }
    }
    if rules.whole && linked && to == Target::Platform && !plan.writes.is_empty() {
        quiet.into_iter().for_each(|at| gather(rules, look, to, at, None, None, &mut plan));
    }
    let action = match (rules.sync.write, linked) {
        (WriteMode::Update, _) | (_, true) => Action::Update,
        _ => Action::Create,
    };
    if rules.sync.write == WriteMode::Insert && linked {
        // Only new records are written; the source's later edits are none of ours.
        *verdict.to_mut(to) = TargetPlan::of(Class::Unchanged);
        return;
    }
    let expect = (rules.sync.write == WriteMode::Insert).then(Fields::new);
    plan.finish(rules, look, to, action, expect, verdict);
}

fn gone(rules: &Rules<'_>, look: &Look, to: Target, verdict: &mut Verdict) {
    let Some(entry) = &look.entry else { return };
    if entry.flags & gone_flag(to) != 0 {
        // The target lacks it since an undo, and now the source does too: nobody has it any more.
        verdict.remove = true;
        verdict.keep = false;
        *verdict.to_mut(to) = TargetPlan::of(Class::Unchanged);
        return;
    }
    let propagate = rules.sync.write == WriteMode::Mirror || rules.sync.deletes == Deletes::Propagate;
    if !propagate {
        verdict.flags |= gone_flag(to.other());
        *verdict.to_mut(to) = TargetPlan::of(Class::Held);
        return;
    }
    let source = to.other();
    if source == Target::Platform && look.unconfirmed && entry.flags & gone_flag(source) == 0 {
        // The next run's scan has to agree before anything is deleted for it.
        verdict.flags |= gone_flag(source);
        verdict.open = true;
        *verdict.to_mut(to) = TargetPlan::of(Class::Held);
        return;
    }
    let change = Asked { remote: entry.remote.clone(), action: Action::Delete, fields: None, expect: None };
    *verdict.to_mut(to) =
        TargetPlan { class: Class::Write, change: Some(change), writes: Writes::default(), dropped: 0 };
}
