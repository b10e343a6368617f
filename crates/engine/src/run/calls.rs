//! The calls of a batch: repeated as the one retry policy says, split where a call is refused as a whole. One answer
//! per change comes back, whatever happens. Used by runs, and by jobs that have no ledger.

use async_trait::async_trait;
use tidegate_model::change::{Change, FieldReject, Outcome};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{Cancel, Env};
use tidegate_model::span::OpId;
use xxhash_rust::xxh3::xxh3_64;

use super::retry;

/// Most calls that one batch may take while a bad record is searched in it.
const SPLITS_MAX: u32 = 64;
/// If the first so many single records fail alike, it is not the records.
const ALIKE_MAX: u32 = 8;

/// Where changes are sent to.
#[async_trait]
pub trait Line: Send + Sync {
    /// One call: one outcome per change, in their order. Waits for its turn by itself, and repeats nothing.
    async fn call(&self, batch: &[Change], op: &OpId) -> Result<Vec<Outcome>>;
    /// Whether sending a call again does no harm.
    fn keyed(&self) -> bool;
    /// How many requests a call with so many records makes.
    fn requests(&self, _records: u64) -> u64 {
        1
    }
    /// Clock and chance.
    fn env(&self) -> &dyn Env;
    /// Somebody who may ask to stop.
    fn cancel(&self) -> &Cancel;
}

/// What sending gave.
pub struct Sent {
    /// One per change, same order.
    pub outcomes: Vec<Outcome>,
    /// Calls made.
    pub requests: u64,
    /// Nothing more can be sent after this batch.
    pub stop: Option<Error>,
}

/// Sends the changes of a batch.
pub async fn send(line: &dyn Line, changes: &[Change], op: &OpId) -> Sent {
    send_open(line, changes, op, changes.iter().map(|_| None).collect()).await
}

/// Sends those changes of a batch that have no outcome yet.
pub(crate) async fn send_open(
    line: &dyn Line,
    changes: &[Change],
    op: &OpId,
    mut outcomes: Vec<Option<Outcome>>,
) -> Sent {
    let mut state = Sending { line, requests: 0, alike: 0, last: None, singles: 0, refused: Vec::new() };
    let open: Vec<usize> = (0..changes.len()).filter(|at| outcomes[*at].is_none()).collect();
    let stop = state.part(changes, &open, &op.0, &mut outcomes).await.err();
    closed(outcomes, state.requests, stop)
}

/// What is left without an outcome gets one by what stopped it.
pub(crate) fn closed(outcomes: Vec<Option<Outcome>>, requests: u64, stop: Option<Error>) -> Sent {
    let lost = |error: &Error| matches!(error.kind, ErrorKind::Lost);
    let rest = |slot: Option<Outcome>| match (slot, &stop) {
        // Sent again as often as may be, and never answered.
        (Some(Outcome::Retry(error)), _) if lost(&error) => Outcome::Unknown(error),
        (Some(outcome), _) => outcome,
        (None, Some(error)) if lost(error) => Outcome::Unknown(error.clone()),
        (None, Some(error)) => Outcome::Retry(error.clone()),
        (None, None) => Outcome::Retry(Error::internal("a change was left without an answer")),
    };
    let outcomes = outcomes.into_iter().map(rest).collect();
    // A lost answer is listed record by record and does not stop the run.
    Sent { outcomes, requests, stop: stop.filter(|error| !lost(error)) }
}

struct Sending<'a> {
    line: &'a dyn Line,
    requests: u64,
    singles: u32,
    alike: u32,
    last: Option<String>,
    /// The first single records that were refused.
    refused: Vec<usize>,
}

impl Sending<'_> {
    /// Sends some of the changes; records that the target wants to see again are sent again.
    async fn part(
        &mut self,
        changes: &[Change],
        which: &[usize],
        op: &str,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<()> {
        let mut open: Vec<usize> = which.to_vec();
        let mut attempt = 0;
        while !open.is_empty() {
            attempt += 1;
            let some: Vec<Change>;
            // Nearly always all of them go at once: then nothing is copied.
            let batch = if open.len() == changes.len() {
                changes
            } else {
                some = open.iter().map(|at| changes[*at].clone()).collect();
                &some
            };
            let error = match self.call(batch, &named(op, changes.len(), &open)).await {
                Ok(answers) => {
                    let before = open.len();
                    open = sort_answers(open, answers, outcomes)?;
                    // Attempts are counted where nothing moves: a platform that takes some of a batch each time takes all.
                    attempt = if open.len() < before { 1 } else { attempt };
                    let Some(error) = slowest(&open, outcomes) else { return Ok(()) };
                    error
                }
                Err(error) if error.kind == ErrorKind::BadRequest => {
                    return Box::pin(self.split(changes, &open, op, outcomes, error)).await;
                }
                Err(error) => error,
            };
            let Some(wait) = retry::wait_after(&error, attempt, self.line.keyed(), self.line.env().random()) else {
                return Err(error);
            };
            retry::pause(self.line.env(), self.line.cancel(), wait).await?;
        }
        Ok(())
    }

    async fn call(&mut self, batch: &[Change], op: &OpId) -> Result<Vec<Outcome>> {
        self.requests += self.line.requests(batch.len() as u64);
        let answers = self.line.call(batch, op).await?;
        if answers.len() != batch.len() {
            return Err(Error::internal(format!("{} answers for {} changes", answers.len(), batch.len())));
        }
        Ok(answers)
    }

    /// The whole call was refused: halves are sent on their own until the bad record is found.
    async fn split(
        &mut self,
        changes: &[Change],
        which: &[usize],
        op: &str,
        outcomes: &mut [Option<Outcome>],
        error: Error,
    ) -> Result<()> {
        if let [single] = which {
            self.singles += 1;
            let text = error.to_string();
            self.alike = if self.singles == 1 || self.last.as_deref() == Some(&*text) { self.alike + 1 } else { 0 };
            self.last = Some(text);
            if self.singles == ALIKE_MAX && self.alike == ALIKE_MAX {
                // It was not the records: what was said of the ones before is taken back.
                self.refused.iter().for_each(|at| outcomes[*at] = None);
                return Err(error);
            }
            if self.singles < ALIKE_MAX {
                self.refused.push(*single);
            }
            outcomes[*single] = Some(Outcome::Rejected(FieldReject::record("refused", error.to_string())));
            return Ok(());
        }
        if self.requests >= u64::from(SPLITS_MAX) {
            return Err(error.hint("too many records of this batch are refused; `tidegate check --rows` lists why"));
        }
        let (left, right) = which.split_at(which.len() / 2);
        self.part(changes, left, op, outcomes).await?;
        self.part(changes, right, op, outcomes).await
    }
}

/// The name of a call. A target that has carried out a call answers its name from memory, so a name stands for the same
/// changes whenever it is used: after a crash others of the batch may have moved on, or wait for another try. What stands
/// before the plus is the batch's, for targets that remember record by record.
fn named(op: &str, all: usize, open: &[usize]) -> OpId {
    if open.len() == all {
        return OpId(op.to_owned());
    }
    let places: Vec<u8> = open.iter().flat_map(|at| (*at as u64).to_be_bytes()).collect();
    OpId(format!("{op}+{:016x}", xxh3_64(&places)))
}

/// Of the errors that records wait with, the one that asks for the longest wait.
fn slowest(open: &[usize], outcomes: &[Option<Outcome>]) -> Option<Error> {
    let errors = open.iter().filter_map(|at| match &outcomes[*at] {
        Some(Outcome::Retry(error)) => Some(error),
        _ => None,
    });
    errors.max_by_key(|error| error.retry_after).cloned()
}

/// Puts answers in their places; the ones to be asked again come back.
fn sort_answers(open: Vec<usize>, answers: Vec<Outcome>, outcomes: &mut [Option<Outcome>]) -> Result<Vec<usize>> {
    let mut again = Vec::new();
    for (at, answer) in open.into_iter().zip(answers) {
        if matches!(answer, Outcome::Retry(_)) {
            again.push(at);
        }
        outcomes[at] = Some(answer);
    }
    Ok(again)
}
