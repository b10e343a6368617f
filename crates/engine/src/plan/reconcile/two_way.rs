//! Two-way syncs: each side of a field changed when its value differs from its own image.

use tidegate_model::change::Action;
use tidegate_model::ports::{Choice, Conflict, ConflictState, flags};
use tidegate_model::record::{Fields, RemoteId};
use tidegate_model::sync::{ConflictRule, DeleteConflict, Deletes, Direction, Target, WriteMode};
use tidegate_model::value::Value;

use super::super::images::{Detail, Image};
use super::super::map::MappedField;
use super::fields::{Plan, STREAK_MAX, changed, delete_conflict, gather, note_source, push, rekeyed, same};
use super::moved::{Move, moved, stale};
use super::{Asked, Class, Look, Rules, Seen, SideRow, TargetPlan, Verdict, Writes, gone_flag};

/// Decides about a record of a two-way sync.
pub fn reconcile(rules: &Rules<'_>, look: &Look, verdict: &mut Verdict) {
    if look.rekeyed.is_some() {
        return hold_rekeyed(look, verdict);
    }
    match (&look.warehouse, &look.platform) {
        (Seen::Row(warehouse), Seen::Row(platform)) => both(rules, look, warehouse, platform, verdict),
        (Seen::Row(_), Seen::Absent) => one(rules, look, Target::Warehouse, verdict),
        (Seen::Absent, Seen::Row(_)) => one(rules, look, Target::Platform, verdict),
        (Seen::Absent, Seen::Absent) => neither(look, verdict),
        _ => {}
    }
}

fn hold_rekeyed(look: &Look, verdict: &mut Verdict) {
    for to in [Target::Platform, Target::Warehouse] {
        if look.side(to.other()).row().is_some() || look.entry.is_some() {
            *verdict.to_mut(to) = TargetPlan::of(Class::Held);
        }
    }
    verdict.conflicts.push(rekeyed(look));
    verdict.open = true;
}

fn neither(look: &Look, verdict: &mut Verdict) {
    if look.entry.is_none() {
        return;
    }
    verdict.remove = true;
    verdict.keep = false;
    verdict.to_platform = TargetPlan::of(Class::Unchanged);
    verdict.to_warehouse = TargetPlan::of(Class::Unchanged);
}

/// The record is on one side (`on`) only.
fn one(rules: &Rules<'_>, look: &Look, on: Target, verdict: &mut Verdict) {
    let off = on.other();
    let Some(entry) = &look.entry else { return create(rules, look, on, verdict) };
    if entry.flags & gone_flag(on) != 0 {
        // It had been gone here and gone stays gone there: a first run for the side where it returned.
        verdict.flags &= !gone_flag(on);
        verdict.remote = None;
        return create(rules, look, on, verdict);
    }
    if on == Target::Platform && look.platform.row().is_some_and(|row| stale(rules, look, row)) {
        // What is made or deleted now would follow a read that is older than our own write.
        verdict.open = true;
        *verdict.to_mut(off) = TargetPlan::of(Class::Held);
        *verdict.to_mut(on) = TargetPlan::of(Class::Held);
        return;
    }
    let edited = edited(rules, look, on);
    if rules.sync.deletes == Deletes::Ignore {
        verdict.flags |= gone_flag(off);
        // Towards the side that lost it, an edit has nowhere to go; from that side nothing comes.
        *verdict.to_mut(off) = TargetPlan::of(if edited { Class::Held } else { Class::Unchanged });
        *verdict.to_mut(on) = TargetPlan::of(Class::Held);
        return;
    }
    if off == Target::Platform && look.unconfirmed && entry.flags & gone_flag(off) == 0 {
        // The next run's scan has to agree before anything is deleted for it.
        verdict.flags |= gone_flag(off);
        verdict.open = true;
        *verdict.to_mut(off) = TargetPlan::of(Class::Held);
        *verdict.to_mut(on) = TargetPlan::of(Class::Held);
        return;
    }
    if edited && rules.sync.delete_conflict == DeleteConflict::Edit {
        verdict.conflicts.push(delete_conflict(look, Some(on)));
        verdict.flags &= !gone_flag(off);
        *verdict.to_mut(on) = TargetPlan::of(Class::Held);
        if off == Target::Platform {
            verdict.remote = None;
        }
        return create(rules, look, on, verdict);
    }
    if edited {
        verdict.conflicts.push(delete_conflict(look, Some(off)));
    }
    let Some(row) = look.side(on).row() else { return };
    let change = Asked {
        remote: if on == Target::Platform { verdict.remote.clone() } else { None },
        action: Action::Delete,
        fields: None,
        expect: Some(shown(rules, on, row)),
    };
    *verdict.to_mut(off) = TargetPlan::of(if edited { Class::Held } else { Class::Unchanged });
    *verdict.to_mut(on) =
        TargetPlan { class: Class::Write, change: Some(change), writes: Writes::default(), dropped: 0 };
}

fn shown(rules: &Rules<'_>, side: Target, row: &SideRow) -> Fields {
    let fields = rules.mapping.fields.iter().zip(&row.values);
    fields.filter_map(|(field, value)| Some((super::fields::target_name(field, side)?, value.clone()))).collect()
}

/// Whether a person changed the record on this side since its images.
fn edited(rules: &Rules<'_>, look: &Look, on: Target) -> bool {
    let Some(row) = look.side(on).row() else { return false };
    rules.mapping.fields.iter().zip(&row.values).any(|(field, value)| {
        let image = look.detail.field(field.id).and_then(|images| images.side(on));
        image.is_some_and(|image| changed(rules, field, on, image, value))
    })
}

/// Creates the record on the side where it is not, if the direction allows.
fn create(rules: &Rules<'_>, look: &Look, on: Target, verdict: &mut Verdict) {
    let to = on.other();
    let Some(row) = look.side(on).row() else { return };
    let mut plan = Plan::default();
    for (at, field) in rules.mapping.fields.iter().enumerate() {
        if !field.direction.reaches(to) {
            from_ledger(rules, look, to, at, &mut plan, verdict);
            continue;
        }
        let misfit = row.misfits.iter().find(|(index, _)| *index == at).map(|(_, why)| why.clone());
        if misfit.is_some() || !row.values[at].is_null() {
            gather(rules, look, to, at, misfit, None, &mut plan);
        }
    }
    let flows = rules.mapping.fields.iter().any(|field| field.direction.reaches(to));
    if !flows || rules.sync.write == WriteMode::Update {
        *verdict.to_mut(to) = TargetPlan::of(Class::Held);
        return;
    }
    plan.finish(rules, look, to, Action::Create, Some(Fields::new()), verdict);
}

/// A field that flows the other way: a record that is made again gets back what the ledger remembers of it; on a new
/// one it is empty, and that is its image.
fn from_ledger(rules: &Rules<'_>, look: &Look, to: Target, at: usize, plan: &mut Plan, verdict: &mut Verdict) {
    let field = &rules.mapping.fields[at];
    let Some(row) = look.side(to.other()).row() else { return };
    let image = look.detail.field(field.id).and_then(|images| images.side(to)).and_then(Image::value);
    match image.filter(|value| look.entry.is_some() && !value.is_null()) {
        Some(value) => {
            // An edit against the field's direction stays what it is: drift against the image.
            let known = look.detail.field(field.id).and_then(|images| images.side(to.other())).and_then(Image::value);
            verdict.open |= known.is_some_and(|known| !same(field, to.other(), known, &row.values[at]));
            push(look, to, field, Some(known.unwrap_or(&row.values[at])), value.clone(), None, plan);
        }
        None => {
            note_source(rules, field, to.other(), &row.values[at], &mut verdict.detail);
            note_source(rules, field, to, &Value::Null, &mut verdict.detail);
        }
    }
}

fn both(rules: &Rules<'_>, look: &Look, warehouse: &SideRow, platform: &SideRow, verdict: &mut Verdict) {
    let returned = verdict.flags & (flags::GONE_WAREHOUSE | flags::GONE_PLATFORM) != 0;
    verdict.flags &= !(flags::GONE_WAREHOUSE | flags::GONE_PLATFORM);
    verdict.keep = true;
    verdict.remote = platform.remote.clone().or(verdict.remote.take());
    let linked = look.entry.as_ref().is_some_and(|entry| !returned && same_record(entry.remote.as_ref(), platform));
    if !linked {
        // Old images are of another time: a field that is not settled now must not find them again.
        verdict.detail = Detail::default();
    }
    let mut record = Record {
        rules,
        look,
        warehouse,
        platform,
        linked,
        to_platform: Plan::default(),
        to_warehouse: Plan::default(),
    };
    for at in 0..rules.mapping.fields.len() {
        record.field(at, verdict);
    }
    let Record { to_platform, to_warehouse, .. } = record;
    finish(rules, look, Target::Platform, to_platform, platform, verdict);
    finish(rules, look, Target::Warehouse, to_warehouse, warehouse, verdict);
}

/// A record that was deleted and made again under its key has another id: what the ledger remembers is not of it.
fn same_record(known: Option<&RemoteId>, platform: &SideRow) -> bool {
    !matches!((known, &platform.remote), (Some(known), Some(shown)) if known != shown)
}

fn finish(rules: &Rules<'_>, look: &Look, to: Target, plan: Plan, target: &SideRow, verdict: &mut Verdict) {
    let all = shown(rules, to, target);
    let expect: Fields =
        plan.writes.iter().filter_map(|write| Some((write.name.clone(), all.get(write.name)?.clone()))).collect();
    plan.finish(rules, look, to, Action::Update, Some(expect), verdict);
}

struct Record<'a> {
    rules: &'a Rules<'a>,
    look: &'a Look,
    warehouse: &'a SideRow,
    platform: &'a SideRow,
    linked: bool,
    to_platform: Plan,
    to_warehouse: Plan,
}

impl Record<'_> {
    fn row(&self, side: Target) -> &SideRow {
        match side {
            Target::Warehouse => self.warehouse,
            Target::Platform => self.platform,
        }
    }

    fn plan(&mut self, to: Target) -> &mut Plan {
        match to {
            Target::Platform => &mut self.to_platform,
            Target::Warehouse => &mut self.to_warehouse,
        }
    }

    fn field(&mut self, at: usize, verdict: &mut Verdict) {
        let rules = self.rules;
        let field = &rules.mapping.fields[at];
        if let Some(choice) = self.choice(field) {
            return self.chosen(at, choice, verdict);
        }
        let images = self.look.detail.field(field.id).filter(|_| self.linked).cloned().unwrap_or_default();
        let (Some(warehouse), Some(platform)) = (&images.warehouse, &images.platform) else {
            return self.first_sight(at, verdict);
        };
        let misfit = self.warehouse.misfits.iter().any(|(index, _)| *index == at);
        let warehouse = match moved(rules, field, Target::Warehouse, self.warehouse, at, warehouse, &images) {
            _ if misfit => Move::Changed,
            moved => moved,
        };
        let platform = moved(rules, field, Target::Platform, self.platform, at, platform, &images);
        if platform == Move::Stale {
            verdict.open = true;
        }
        if platform == Move::CannotClear {
            return self.cannot_clear(field, verdict);
        }
        match (field.direction, warehouse == Move::Changed, platform == Move::Changed) {
            (_, false, false) => self.settle_quiet(at, platform, verdict),
            (Direction::ToPlatform, true, _) | (Direction::Both, true, false) => {
                self.write(at, Target::Platform, verdict)
            }
            (Direction::ToWarehouse, _, true) | (Direction::Both, false, true) => {
                self.write(at, Target::Warehouse, verdict);
            }
            (Direction::ToPlatform, false, true) | (Direction::ToWarehouse, true, false) => self.drift(at, verdict),
            (Direction::Both, true, true) => self.clash(at, verdict),
        }
    }

    fn choice(&self, field: &MappedField) -> Option<Choice> {
        let choices = &self.look.choices;
        choices.iter().find(|(name, _)| name.as_deref() == Some(&*field.name)).map(|(_, choice)| choice.clone())
    }

    fn settle_quiet(&self, at: usize, platform: Move, verdict: &mut Verdict) {
        let field = &self.rules.mapping.fields[at];
        note_source(self.rules, field, Target::Warehouse, &self.warehouse.values[at], &mut verdict.detail);
        if platform == Move::Same {
            note_source(self.rules, field, Target::Platform, &self.platform.values[at], &mut verdict.detail);
        }
    }

    /// No image yet: a first run, a new field or a changed mapping.
    fn first_sight(&mut self, at: usize, verdict: &mut Verdict) {
        let field = &self.rules.mapping.fields[at];
        let (warehouse, platform) = (&self.warehouse.values[at], &self.platform.values[at]);
        let misfit = self.warehouse.misfits.iter().any(|(index, _)| *index == at);
        if !misfit && (field.agree(warehouse, platform) || (warehouse.is_empty() && platform.is_empty())) {
            return self.settle_quiet(at, Move::Same, verdict);
        }
        let empty_warehouse = warehouse.is_empty() && !misfit;
        let winner = match (empty_warehouse, platform.is_empty()) {
            (true, _) => Target::Warehouse,
            (_, true) => Target::Platform,
            _ => match field.direction {
                Direction::ToPlatform => Target::Platform,
                Direction::ToWarehouse => Target::Warehouse,
                Direction::Both => return self.clash(at, verdict),
            },
        };
        if field.direction.reaches(winner) {
            self.write(at, winner, verdict);
        } else {
            self.settle_quiet(at, Move::Same, verdict);
        }
    }

    fn write(&mut self, at: usize, to: Target, verdict: &mut Verdict) {
        let (rules, look) = (self.rules, self.look);
        let before = Some(self.row(to).values[at].clone());
        let misfits = match to {
            Target::Platform => &self.warehouse.misfits,
            Target::Warehouse => &self.platform.misfits,
        };
        let misfit = misfits.iter().find(|(index, _)| *index == at).map(|(_, why)| why.clone());
        let plan = self.plan(to);
        let known = plan.writes.len();
        gather(rules, look, to, at, misfit, before, plan);
        let Some(write) = plan.writes.beyond(known) else { return };
        let sent = write.sent.clone();
        if write.streak() > STREAK_MAX {
            plan.writes.truncate(known);
            plan.held = true;
            verdict.conflicts.push(self.conflict(at, ConflictState::Open, None, Some("oscillating")));
            return;
        }
        let field = &rules.mapping.fields[at];
        if same(field, to, &sent, &self.row(to).values[at]) {
            // The other side says the same already: agreed, nothing to write.
            self.plan(to).writes.truncate(known);
            self.settle_quiet(at, Move::Same, verdict);
        }
    }

    fn drift(&mut self, at: usize, verdict: &mut Verdict) {
        let to = match self.rules.mapping.fields[at].direction {
            Direction::ToPlatform => Target::Warehouse,
            _ => Target::Platform,
        };
        self.plan(to).held = true;
        verdict.conflicts.push(self.conflict(at, ConflictState::Open, None, Some("drift")));
    }

    fn cannot_clear(&mut self, field: &MappedField, _verdict: &mut Verdict) {
        let why = tidegate_model::change::FieldReject::field(
            &*field.name,
            "cannot_clear",
            "the platform keeps the old value although the field was cleared; clear it there by hand, or map it with `nulls: skip`",
        );
        self.to_platform.dropped.push(why);
    }

    /// Both sides changed the field.
    fn clash(&mut self, at: usize, verdict: &mut Verdict) {
        let field = &self.rules.mapping.fields[at];
        let misfit = self.warehouse.misfits.iter().any(|(index, _)| *index == at);
        if !misfit && field.agree(&self.warehouse.values[at], &self.platform.values[at]) {
            return self.settle_quiet(at, Move::Same, verdict);
        }
        if self.undeliverable(at) {
            return self.hold_misfit(at, verdict);
        }
        let winner = match field.conflict {
            ConflictRule::Warehouse => Some(Target::Warehouse),
            ConflictRule::Platform => Some(Target::Platform),
            ConflictRule::Newest => Some(self.newest()),
            ConflictRule::Hold => None,
        };
        let Some(winner) = winner else {
            self.to_platform.held = true;
            self.to_warehouse.held = true;
            verdict.conflicts.push(self.conflict(at, ConflictState::Open, None, None));
            return;
        };
        let loser = winner.other();
        let known = self.plan(loser).writes.len();
        self.write(at, loser, verdict);
        if self.plan(loser).writes.len() > known {
            self.plan(winner).lost = true;
            verdict.conflicts.push(self.conflict(at, ConflictState::Decided, Some(winner), None));
        }
    }

    /// Whether one side's value does not fit the other side.
    fn undeliverable(&self, at: usize) -> bool {
        let field = &self.rules.mapping.fields[at];
        let misfit = |row: &SideRow| row.misfits.iter().any(|(index, _)| *index == at);
        misfit(self.warehouse)
            || misfit(self.platform)
            || field.to_platform(&self.warehouse.values[at]).is_err()
            || field.to_warehouse(&self.platform.values[at]).is_err()
    }

    /// A value that cannot be delivered overwrites nothing and is not overwritten: both are kept until it is mended.
    fn hold_misfit(&mut self, at: usize, verdict: &mut Verdict) {
        let (rules, look) = (self.rules, self.look);
        let id = rules.mapping.fields[at].id;
        for to in [Target::Platform, Target::Warehouse] {
            let misfits = &self.row(to.other()).misfits;
            let misfit = misfits.iter().find(|(index, _)| *index == at).map(|(_, why)| why.clone());
            let plan = self.plan(to);
            gather(rules, look, to, at, misfit, None, plan);
            plan.writes.leave_out(id);
            plan.held = true;
        }
        verdict.conflicts.push(self.conflict(at, ConflictState::Open, None, Some("misfit")));
    }

    /// The side whose record changed last; times not later than our own last write say nothing.
    fn newest(&self) -> Target {
        let time = |side: Target| {
            let wrote = self.look.detail.wrote(side).map(|at| at.0);
            self.row(side).updated_at.filter(|time| wrote.is_none_or(|wrote| *time > wrote))
        };
        match (time(Target::Warehouse), time(Target::Platform)) {
            (Some(warehouse), Some(platform)) if platform > warehouse => Target::Platform,
            (None, Some(_)) if self.row(Target::Warehouse).updated_at.is_some() => Target::Platform,
            _ => Target::Warehouse,
        }
    }

    /// A person decided.
    fn chosen(&mut self, at: usize, choice: Choice, verdict: &mut Verdict) {
        verdict.was_open = true;
        match choice {
            Choice::Warehouse => self.write(at, Target::Platform, verdict),
            Choice::Platform => self.write(at, Target::Warehouse, verdict),
            Choice::Value(text) => self.chosen_value(at, &text, verdict),
        }
    }

    fn chosen_value(&mut self, at: usize, text: &str, verdict: &mut Verdict) {
        let (rules, look) = (self.rules, self.look);
        let field = &rules.mapping.fields[at];
        let typed = super::super::parse::parse_as(text, field.source_type);
        let mapped =
            typed.and_then(|value| field.to_platform(&value).map(|mapped| (value, mapped.unwrap_or(Value::Null))));
        match mapped {
            Ok((warehouse, platform)) => {
                let before = Some(self.platform.values[at].clone());
                push(look, Target::Platform, field, Some(&warehouse), platform.clone(), before, &mut self.to_platform);
                let before = Some(self.warehouse.values[at].clone());
                push(look, Target::Warehouse, field, Some(&platform), warehouse, before, &mut self.to_warehouse);
            }
            Err(why) => {
                self.to_platform.dropped.push(why);
                verdict.conflicts.push(self.conflict(at, ConflictState::Open, None, Some("misfit")));
            }
        }
    }

    fn conflict(&self, at: usize, state: ConflictState, winner: Option<Target>, note: Option<&str>) -> Conflict {
        let name = self.rules.mapping.fields[at].name.to_string();
        let hidden = self.rules.sync.redact.contains(&name);
        let value = |side: Target| (!hidden).then(|| self.row(side).values[at].clone());
        Conflict {
            key: self.look.key.clone(),
            warehouse: value(Target::Warehouse),
            platform: value(Target::Platform),
            field: Some(name),
            winner,
            state,
            note: note.map(str::to_owned),
        }
    }
}
