//! The surroundings of the engine, handed in so that runs can be simulated from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
    /// An error if somebody asked.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the run was asked to stop"));
        }
        Ok(())
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
