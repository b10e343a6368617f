//! The surroundings of the engine, handed in so that runs can be simulated from a seed.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::time::Instant;

/// Clock, ids, randomness, sleep and scratch space.
#[async_trait]
pub trait Env: Send + Sync {
    /// What time it is.
    fn now(&self) -> Instant;
    /// A new unique id that sorts by time (ULID).
    fn new_id(&self) -> String;
    /// A random number, for jitter.
    fn random(&self) -> u64;
    /// Waits.
    async fn sleep(&self, millis: u64);
    /// A new empty scratch file, gone when dropped, for what does not fit the memory budget.
    fn scratch(&self) -> Result<Box<dyn Scratch>>;
    /// Which process this is, where the system can tell it from every other there ever was.
    fn process(&self) -> Option<ProcessId> {
        None
    }
    /// Whether a process is surely gone. Only ever true of a process of this machine: of others nothing is known.
    fn is_gone(&self, _process: &ProcessId) -> bool {
        false
    }
    /// How much work is worth handing to [`Env::aside`] at a time.
    fn hands(&self) -> usize {
        1
    }
    /// Carries out work that only computes: beside what else goes on where there is a thread for it, at once otherwise. It
    /// begins when this is first polled.
    async fn aside(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
    /// A named point between two steps, where tests stop the process. Does nothing otherwise.
    fn failpoint(&self, _name: &'static str) {}
}

/// A process, told from every other: also from a later one that was given the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The machine, and where it keeps several sets of processes (containers), which of them.
    pub host: String,
    /// The machine's start: numbers of processes begin anew with it.
    pub boot: String,
    /// The process's number.
    pub pid: i32,
    /// When it started, in the machine's own ticks since its boot.
    pub started: u64,
}

/// Scratch space: records are appended, then read back from the start, as often as wanted.
pub trait Scratch: Send {
    /// Adds a record.
    fn push(&mut self, record: &[u8]) -> Result<()>;
    /// Goes back to the first record.
    fn rewind(&mut self) -> Result<()>;
    /// The next record into `into` (cleared first); false at the end.
    fn next(&mut self, into: &mut Vec<u8>) -> Result<bool>;
}

/// Asks a run to stop at its next safe point. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Wish>);

#[derive(Debug, Default)]
struct Wish {
    asked: AtomicBool,
    /// Who wants to be told at once, by a number of their own; the next number.
    waiting: Mutex<(BTreeMap<u64, Waker>, u64)>,
}

impl Cancel {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.0.asked.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut self.0.waiting().0);
        waiting.into_values().for_each(Waker::wake);
    }
    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }
    /// Ready as soon as somebody has asked.
    pub fn asked(&self) -> Asked<'_> {
        Asked { wish: &self.0, number: None }
    }
    /// An error if somebody asked.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Self::stopped()) } else { Ok(()) }
    }
    /// The error of what was given up because somebody asked.
    pub fn stopped() -> Error {
        Error::new(ErrorKind::Cancelled, "the run was asked to stop")
    }
}

impl Wish {
    fn waiting(&self) -> MutexGuard<'_, (BTreeMap<u64, Waker>, u64)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until somebody asks a run to stop.
#[derive(Debug)]
pub struct Asked<'a> {
    wish: &'a Wish,
    number: Option<u64>,
}

impl Future for Asked<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let wish = self.wish;
        let mut waiting = wish.waiting();
        let number = self.number.unwrap_or(waiting.1);
        waiting.1 = waiting.1.max(number + 1);
        waiting.0.insert(number, context.waker().clone());
        drop(waiting);
        self.number = Some(number);
        // Looked at after the waker is there: who asks in between wakes it.
        if wish.asked.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // A process that serves asks for years: nobody who is gone may stay in the list.
        if let Some(number) = self.number {
            self.wish.waiting().0.remove(&number);
        }
    }
}

/// What a run is doing, for progress bars. Numbers grow within a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// `read`, `write`, …
    pub phase: &'static str,
    /// Rows done in this phase.
    pub rows: u64,
    /// Rows expected in this phase, if known.
    pub total: Option<u64>,
    /// Rows rejected so far.
    pub rejected: u64,
}

/// Who listens to a run.
pub trait Listener: Send + Sync {
    /// Something moved. Called often; must be cheap.
    fn progress(&self, sync: &str, progress: &Progress);
    /// A line of the log of a run, or of what comes before there is one. Never holds a row's value or a secret.
    fn log(&self, sync: &str, run: Option<&str>, line: &str);
}

/// Nobody listens.
pub struct Deaf;

impl Listener for Deaf {
    fn progress(&self, _sync: &str, _progress: &Progress) {}
    fn log(&self, _sync: &str, _run: Option<&str>, _line: &str) {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_waits_is_woken_when_somebody_asks_and_forgotten_when_it_is_gone() {
        let (cancel, woken) = (Cancel::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let (mut stays, mut goes) = (Box::pin(cancel.asked()), Box::pin(cancel.asked()));
        for _again in 0..2 {
            assert!(stays.as_mut().poll(&mut context).is_pending() && goes.as_mut().poll(&mut context).is_pending());
        }
        drop(goes);
        assert_eq!(cancel.0.waiting().0.len(), 1);
        cancel.clone().cancel();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(stays.as_mut().poll(&mut context).is_ready());
        assert!(Box::pin(cancel.asked()).as_mut().poll(&mut context).is_ready(), "who comes later need not wait");
        drop(stays);
        assert!(cancel.0.waiting().0.is_empty() && cancel.check().is_err());
    }
}
