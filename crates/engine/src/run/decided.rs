//! Deciding about some records at once: what each comes to, packed for the spool, and what all of them count.

use tidegate_model::change::Action;
use tidegate_model::error::Result;
use tidegate_model::record::Key;
use tidegate_model::run::Books;

use crate::plan::guard::Planned;
use crate::plan::reconcile::{
    Answered, Class, Look, Names, Rules, TargetPlan, Verdict, pack, reconcile, settle, unpack, unwritten,
};

use super::judged::Judged;

/// Bytes that a packed verdict takes at least, for the room of a piece.
const VERDICT_BYTES: usize = 256;

/// What some records came to.
#[derive(Default)]
pub(crate) struct Decided {
    /// Counts of records that need nothing.
    pub books: Books,
    /// Numbers for the guards.
    pub planned: Planned,
    /// Records that cannot be delivered, old news or not.
    pub rejected: u64,
    /// Keys of the records, if they are kept.
    pub seen: Vec<Key>,
    /// The names that the packed verdicts refer to.
    pub names: Names,
    /// The records, back to be taken down by the thread that made them: it makes more meanwhile, and two threads that free
    /// and make in the same place wait for each other.
    pub spent: Vec<Look>,
    packed: Vec<u8>,
    /// Where each verdict ends.
    ends: Vec<usize>,
}

impl Decided {
    /// Decides about records.
    pub fn of(rules: &Rules<'_>, judged: &Judged, remember: bool, names: Names, looks: Vec<Look>) -> Result<Self> {
        let mut decided = Self { names, ..Self::default() };
        decided.packed.reserve(looks.len() * VERDICT_BYTES);
        for look in &looks {
            if remember {
                decided.seen.push(look.key.clone());
            }
            decided.add(rules, judged, look)?;
        }
        decided.spent = looks;
        Ok(decided)
    }

    fn add(&mut self, rules: &Rules<'_>, judged: &Judged, look: &Look) -> Result<()> {
        let verdict = reconcile(rules, look);
        self.planned.read += 1;
        self.note(judged, &verdict);
        if needs_nothing(look, &verdict)? {
            let settled = settle(rules, verdict, Answered::Nothing, Answered::Nothing)?;
            self.books.add(&settled.books);
            return Ok(());
        }
        pack(&verdict, &mut self.names, &mut self.packed)?;
        self.ends.push(self.packed.len());
        Ok(())
    }

    fn note(&mut self, judged: &Judged, verdict: &Verdict) {
        let plans = [&verdict.to_platform, &verdict.to_warehouse];
        if plans.iter().any(|plan| plan.class == Class::Rejected) {
            self.rejected += 1;
            self.planned.rejects += u64::from(!judged.has(&verdict.key));
        }
        let is = |plan: &TargetPlan, action: Action| plan.change.as_ref().is_some_and(|asked| asked.action == action);
        if !verdict.writes() {
            return;
        }
        if plans.iter().any(|plan| is(plan, Action::Delete)) {
            self.planned.deletes += 1;
            return;
        }
        self.planned.changes += 1;
        let clears = |plan: &&TargetPlan| {
            // Without a known value before, a NULL over something that was delivered is a clear.
            let mut nulls = plan.writes.iter().filter(|write| write.sent.is_null());
            is(plan, Action::Update) && nulls.any(|write| write.before().is_none_or(|before| !before.is_null()))
        };
        if plans.iter().any(clears) {
            self.planned.clears += 1;
        }
    }

    /// The packed verdicts, in order.
    pub fn packed(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.packed[start..*end])
    }

    /// The same with names numbered by another table, which gets those that it lacks.
    pub fn renamed(&self, names: &mut Names) -> Result<Vec<Vec<u8>>> {
        let again = |mut bytes: &[u8]| {
            let mut packed = Vec::with_capacity(bytes.len());
            pack(&unpack(&mut bytes, &self.names)?, names, &mut packed)?;
            Ok(packed)
        };
        self.packed().map(again).collect()
    }
}

/// True if neither a write nor a change of the ledger follows.
fn needs_nothing(look: &Look, verdict: &Verdict) -> Result<bool> {
    if verdict.writes() || verdict.remove || !verdict.rejects.is_empty() || !verdict.conflicts.is_empty() {
        return Ok(false);
    }
    if verdict.was_open {
        return Ok(false);
    }
    match &look.entry {
        None => Ok(!verdict.keep),
        Some(entry) if verdict.keep && *entry == unwritten(verdict) => {
            Ok(look.detail.encode()? == verdict.detail.encode()?)
        }
        Some(_) => Ok(false),
    }
}
