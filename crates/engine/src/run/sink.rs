//! What detection found: quiet records are counted, the others are spooled to scratch until the guards have spoken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use futures_util::poll;
use tidegate_model::change::FieldReject;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{MAX_REJECTS_LISTED, Scratch};
use tidegate_model::record::Key;
use tidegate_model::run::{Books, Counts};
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;

use crate::plan::guard::Planned;
use crate::plan::reconcile::{Look, Names, Verdict, unpack};

use super::aside::Aside;
use super::batch::{BATCH_BYTES_MAX, Batch};
use super::context::Ctx;
use super::decided::Decided;
use super::ground::Ground;
use super::looks::Taker;

/// Collects what detection found.
pub(crate) struct Sink<'a> {
    ground: Arc<Ground>,
    now: Instant,
    targets: Vec<Target>,
    aside: &'a Aside,
    scratch: Box<dyn Scratch>,
    /// The names that the verdicts in scratch refer to.
    names: Names,
    buffer: Vec<u8>,
    /// Verdicts in scratch that were not read since it was rewound.
    ahead: u64,
    /// Room for the packed verdicts of a batch.
    batch_bytes: usize,
    /// Records that are being decided about, in their order.
    deciding: VecDeque<BoxFuture<'static, Result<Decided>>>,
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
    pub fn new(ctx: &'a Ctx, planned: Planned, remember: bool) -> Result<Self> {
        let (ground, aside) = (Arc::clone(ctx.ground()), &ctx.aside);
        let scratch = aside.env().scratch()?;
        let (books, rejects) = (Books::default(), Vec::new());
        // All fields, so that all decisions number them alike.
        let fields = || ground.mapping.fields.iter();
        let both = fields().flat_map(|field| [Some(&field.name), field.column.as_ref()]).flatten();
        let names = Names::of(both, fields().map(|field| field.id));
        Ok(Self {
            ground,
            now: ctx.now,
            targets: ctx.targets(),
            deciding: VecDeque::new(),
            aside,
            scratch,
            names,
            buffer: Vec::new(),
            ahead: 0,
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
            Some(key) => self.ground.judged.has(key),
            None => self.ground.judged.has_keyless(),
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

    /// Takes what the records that were handed in first came to.
    async fn decided(&mut self) -> Result<()> {
        match self.deciding.pop_front() {
            Some(deciding) => self.take(deciding.await?),
            None => Ok(()),
        }
    }

    /// Makes room for one more to be decided about, by taking what is done. False if all hands are busy: then the thread that
    /// reads lends one, instead of waiting for theirs.
    async fn room(&mut self) -> Result<bool> {
        let hands = self.aside.env().hands();
        // One more than there are hands, so that none is idle when it has done its part.
        while self.deciding.len() > hands {
            let Some(oldest) = self.deciding.front_mut() else { break };
            match poll!(oldest) {
                Poll::Ready(decided) => {
                    self.deciding.pop_front();
                    self.take(decided?)?;
                }
                Poll::Pending if self.deciding.len() <= 2 * hands => return Ok(false),
                Poll::Pending => self.decided().await?,
            }
        }
        Ok(true)
    }

    /// Takes what is still being decided.
    pub async fn drain(&mut self) -> Result<()> {
        while !self.deciding.is_empty() {
            self.decided().await?;
        }
        Ok(())
    }

    fn spool(&mut self, packed: &[u8]) -> Result<()> {
        self.scratch.push(packed)?;
        self.verdicts += 1;
        Ok(())
    }

    /// Goes back to the first spooled verdict.
    pub fn rewind(&mut self) -> Result<()> {
        self.ahead = self.verdicts;
        self.scratch.rewind()
    }

    /// The next spooled verdict.
    pub fn next(&mut self) -> Result<Option<Verdict>> {
        if !self.scratch.next(&mut self.buffer)? {
            return Ok(None);
        }
        self.ahead = self.ahead.saturating_sub(1);
        unpack(&mut self.buffer.as_slice(), &self.names).map(Some)
    }

    /// Bytes of the spooled verdict that came last.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The next spooled verdicts, at most so many, as they are journalled; none at the end.
    pub async fn next_batch(&mut self, size: usize) -> Result<Option<Batch>> {
        let most = usize::try_from(self.ahead).unwrap_or(usize::MAX).min(size);
        if most == 0 {
            return Ok(None);
        }
        // Batches are of about the same size.
        let mut payload = Batch::head(&self.names, most, Vec::with_capacity(self.batch_bytes))?;
        let (head, mut count) = (payload.len(), 0);
        while count < most && payload.len() < BATCH_BYTES_MAX {
            if !self.scratch.next(&mut self.buffer)? {
                return Err(Error::internal("fewer planned changes came back from scratch than were written"));
            }
            payload.extend_from_slice(&self.buffer);
            count += 1;
        }
        if count < most {
            payload.splice(..head, Batch::head(&self.names, count, Vec::new())?);
        }
        self.ahead -= count as u64;
        self.batch_bytes = payload.len() + payload.len() / 16;
        let spent = self.aside.spent();
        let unpack = move || {
            drop(spent);
            Batch::unpacked(payload)
        };
        self.aside.in_turn(count, unpack).await.map(Some)
    }
}

#[async_trait]
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

    async fn looks(&mut self, looks: Vec<Look>) -> Result<()> {
        let room = self.room().await?;
        let (ground, now, remember) = (Arc::clone(&self.ground), self.now, self.remember);
        let (records, names) = (looks.len(), self.names.clone());
        let decide = move || Decided::of(&ground.rules(now), &ground.judged, remember, names, looks);
        if !room {
            self.deciding.push_back(ready(decide()).boxed());
            return Ok(());
        }
        let mut deciding = self.aside.at_once(records, decide).boxed();
        // Begun now, while more is being read.
        match poll!(&mut deciding) {
            Poll::Ready(decided) => self.deciding.push_back(ready(decided).boxed()),
            Poll::Pending => self.deciding.push_back(deciding),
        }
        Ok(())
    }

    fn rejected(&self) -> u64 {
        self.rejected
    }
}
