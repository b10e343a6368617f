//! What detection found: quiet records are counted, the others are spooled to scratch until the guards have spoken.

use tidegate_model::change::FieldReject;
use tidegate_model::error::Result;
use tidegate_model::ports::{Env, MAX_REJECTS_LISTED, Scratch};
use tidegate_model::record::Key;
use tidegate_model::run::{Books, Counts};
use tidegate_model::sync::Target;

use crate::plan::guard::Planned;
use crate::plan::reconcile::{Look, Names, Rules, Verdict, unpack};

use super::batch::Batch;
use super::decided::Decided;
use super::judged::Judged;
use super::looks::Taker;
use super::pieces::{aside, in_pieces};

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
    /// Room for the packed verdicts of a batch.
    batch_bytes: usize,
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
        // All names that are usual, so that pieces of the records number them alike.
        let fields = rules.mapping.fields.iter();
        let names = Names::of(fields.flat_map(|field| [Some(&field.name), field.column.as_ref()]).flatten());
        Ok(Self {
            rules,
            judged,
            targets,
            env,
            scratch,
            names,
            buffer: Vec::new(),
            batch_bytes: 0,
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

    /// Takes what some records came to: counts it, and spools the verdicts.
    fn take(&mut self, decided: Decided) -> Result<()> {
        self.planned.read += decided.planned.read;
        self.planned.rejects += decided.planned.rejects;
        self.planned.deletes += decided.planned.deletes;
        self.planned.changes += decided.planned.changes;
        self.planned.clears += decided.planned.clears;
        self.rejected += decided.rejected;
        self.books.add(&decided.books);
        if decided.names != self.names {
            for packed in decided.renamed(&mut self.names)? {
                self.spool(&packed)?;
            }
        } else {
            decided.packed().try_for_each(|packed| self.spool(packed))?;
        }
        self.seen.extend(decided.seen);
        Ok(())
    }

    fn spool(&mut self, packed: &[u8]) -> Result<()> {
        self.scratch.push(packed)?;
        self.verdicts += 1;
        Ok(())
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
    pub async fn next_batch(&mut self, size: usize) -> Result<Option<Batch>> {
        // Batches are of about the same size.
        let mut packed = Vec::with_capacity(self.batch_bytes);
        let mut count = 0;
        while count < size && self.scratch.next(&mut self.buffer)? {
            packed.extend_from_slice(&self.buffer);
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        self.batch_bytes = packed.len() + packed.len() / 16;
        let names = self.names.clone();
        aside(self.env, move || Batch::unpacked(packed, count, names)).await.map(Some)
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

    fn looks(&mut self, looks: Vec<Look>) -> Result<()> {
        let (rules, judged, names) = (&self.rules, self.judged, &self.names);
        let remember = self.remember;
        let decide = |looks: Vec<Look>| Decided::of(rules, judged, remember, names.clone(), looks);
        for piece in in_pieces(self.env, looks, &decide)? {
            self.take(piece)?;
        }
        Ok(())
    }

    fn rejected(&self) -> u64 {
        self.rejected
    }
}
