//! What detection found: quiet records are counted, the others are spooled to scratch until the guards have spoken.

use tidegate_model::change::{Action, FieldReject};
use tidegate_model::error::Result;
use tidegate_model::ports::{Env, MAX_REJECTS_LISTED, Scratch};
use tidegate_model::record::Key;
use tidegate_model::run::{Books, Counts};
use tidegate_model::sync::Target;

use crate::plan::guard::Planned;
use crate::plan::reconcile::{
    Answered, Class, Look, Names, Rules, Verdict, pack, reconcile, settle, unpack, unwritten,
};

use super::batch::Batch;
use super::judged::Judged;
use super::looks::Taker;
use super::pieces::in_pieces;

/// Collects what detection found.
pub(crate) struct Sink<'a> {
    rules: Rules<'a>,
    judged: &'a Judged,
    targets: Vec<Target>,
    env: &'a dyn Env,
    scratch: Box<dyn Scratch>,
    /// The names that the verdicts in scratch refer to.
    names: Names,
    buffer: Vec<u8>,
    /// Verdicts in scratch.
    pub verdicts: u64,
    /// Counts of records that need nothing.
    pub books: Books,
    /// Numbers for the guards.
    pub planned: Planned,
    /// Rejects without a record of their own: keyless rows and duplicates.
    pub rejects: Vec<tidegate_model::change::Reject>,
    /// Keys that nobody knows any more: what is listed of them is over.
    pub over: Vec<Key>,
    /// Every record was considered.
    pub complete: bool,
    quiet: u64,
    /// Records that cannot be delivered, old news or not.
    rejected: u64,
    /// Keys of verdicts, kept only while open records may join a read of changes.
    seen: std::collections::HashSet<Key>,
    /// Whether to keep them.
    remember: bool,
}

impl<'a> Sink<'a> {
    pub fn new(
        rules: Rules<'a>,
        judged: &'a Judged,
        targets: Vec<Target>,
        env: &'a dyn Env,
        planned: Planned,
        remember: bool,
    ) -> Result<Self> {
        let scratch = env.scratch()?;
        let (books, rejects) = (Books::default(), Vec::new());
        Ok(Self {
            rules,
            judged,
            targets,
            env,
            scratch,
            names: Names::default(),
            buffer: Vec::new(),
            verdicts: 0,
            books,
            planned,
            rejects,
            over: Vec::new(),
            complete: false,
            quiet: 0,
            rejected: 0,
            seen: Default::default(),
            remember,
        })
    }

    /// Adds the quiet records to the counts, once detection is over.
    pub fn finish(&mut self) {
        let counts = Counts { read: self.quiet, unchanged: self.quiet, ..Counts::default() };
        for to in &self.targets {
            self.books.of(*to).add(&counts);
        }
        self.quiet = 0;
    }

    /// Whether a record was handed in already.
    pub fn has(&self, key: &Key) -> bool {
        self.seen.contains(key)
    }

    fn refuse(&mut self, key: Option<Key>, to: Target, why: FieldReject) {
        if !self.targets.contains(&to) {
            return;
        }
        self.planned.read += 1;
        self.rejected += 1;
        let old = match &key {
            Some(key) => self.judged.has(key),
            None => self.judged.has_keyless(),
        };
        self.planned.rejects += u64::from(!old);
        self.books.of(to).add(&Counts { read: 1, rejected: 1, ..Counts::default() });
        if self.rejects.len() < MAX_REJECTS_LISTED {
            self.rejects.push(super::detect::reject(key, to, why));
        }
    }

    /// A reconciled record.
    pub fn verdict(&mut self, look: &Look, verdict: Verdict) -> Result<()> {
        self.planned.read += 1;
        if self.remember {
            self.seen.insert(look.key.clone());
        }
        self.note(&verdict);
        if needs_nothing(look, &verdict)? {
            let settled = settle(&self.rules, verdict, Answered::Nothing, Answered::Nothing)?;
            self.books.add(&settled.books);
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.buffer = pack(verdict, &mut self.names, buffer)?;
        self.scratch.push(&self.buffer)?;
        self.verdicts += 1;
        Ok(())
    }

    fn note(&mut self, verdict: &Verdict) {
        let plans = [&verdict.to_platform, &verdict.to_warehouse];
        if plans.iter().any(|plan| plan.class == Class::Rejected) {
            self.rejected += 1;
            self.planned.rejects += u64::from(!self.judged.has(&verdict.key));
        }
        let changes: Vec<_> = plans.iter().filter_map(|plan| plan.change.as_ref()).collect();
        if changes.is_empty() {
            return;
        }
        if changes.iter().any(|change| change.action == Action::Delete) {
            self.planned.deletes += 1;
            return;
        }
        self.planned.changes += 1;
        let clears = |plan: &&crate::plan::reconcile::TargetPlan| {
            let update = plan.change.as_ref().is_some_and(|change| change.action == Action::Update);
            // Without a known value before, a NULL over something that was delivered is a clear.
            update
                && plan
                    .writes
                    .iter()
                    .any(|write| write.sent.is_null() && write.before.as_ref().is_none_or(|v| !v.is_null()))
        };
        if plans.iter().any(clears) {
            self.planned.clears += 1;
        }
    }

    /// Goes back to the first spooled verdict.
    pub fn rewind(&mut self) -> Result<()> {
        self.scratch.rewind()
    }

    /// The next spooled verdict.
    pub fn next(&mut self) -> Result<Option<Verdict>> {
        if !self.scratch.next(&mut self.buffer)? {
            return Ok(None);
        }
        Ok(Some(unpack(&self.buffer, &self.names)?.0))
    }

    /// The next spooled verdicts, at most so many, as they are journalled; none at the end.
    pub fn next_batch(&mut self, size: usize) -> Result<Option<Batch>> {
        let mut packed = Vec::new();
        let mut verdicts = Vec::with_capacity(size.min(usize::try_from(self.verdicts).unwrap_or(size)));
        while verdicts.len() < size && self.scratch.next(&mut self.buffer)? {
            verdicts.push(unpack(&self.buffer, &self.names)?.0);
            packed.extend_from_slice(&self.buffer);
        }
        if verdicts.is_empty() {
            return Ok(None);
        }
        Ok(Some(Batch::new(verdicts, packed, self.names.clone())))
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

impl Taker for Sink<'_> {
    fn quiet(&mut self) {
        self.quiet += 1;
        self.planned.read += 1;
    }

    fn keyless(&mut self, to: Target, why: FieldReject) -> Result<()> {
        self.refuse(None, to, why);
        Ok(())
    }

    fn duplicate(&mut self, key: Key, to: Target, why: FieldReject) -> Result<()> {
        self.refuse(Some(key), to, why);
        Ok(())
    }

    fn look(&mut self, look: Look) -> Result<()> {
        let verdict = reconcile(&self.rules, &look);
        self.verdict(&look, verdict)
    }

    fn looks(&mut self, looks: Vec<Look>) -> Result<()> {
        let rules = &self.rules;
        let decided = |looks: Vec<Look>| {
            let decide = |look| (reconcile(rules, &look), look);
            Ok(looks.into_iter().map(decide).collect::<Vec<(Verdict, Look)>>())
        };
        for piece in in_pieces(self.env, looks, &decided)? {
            piece.into_iter().try_for_each(|(verdict, look)| self.verdict(&look, verdict))?;
        }
        Ok(())
    }

    fn rejected(&self) -> u64 {
        self.rejected
    }
}
