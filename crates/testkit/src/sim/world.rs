//! The clock, the dice and the faults that all parts of a simulation share.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidegate_model::error::{Error, ErrorKind, Result};

use super::Faults;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Memory.
    Memory,
    /// A read of a port.
    Read,
    /// A write of a port.
    Write,
}

/// What happens after the work of a call is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The answer arrives.
    Clear,
    /// The process ends: nobody hears the answer.
    Crash,
    /// The answer is lost.
    Lose,
}

type Hook = Box<dyn FnMut() + Send>;

/// The world: one per simulation.
pub struct World {
    state: Mutex<State>,
    before_write: Mutex<Option<Hook>>,
}

struct State {
    clock: i64,
    ids: u64,
    dice: ChaCha8Rng,
    faults: Faults,
    crashed: bool,
    calls: u64,
    crash_at: Option<u64>,
    writes: u64,
    deadlines: BTreeSet<i64>,
    in_flight: u64,
}

impl World {
    /// A world in which nothing goes wrong yet.
    pub fn new(seed: u64) -> Self {
        let state = State {
            clock: 1_760_000_000_000_000,
            ids: 0,
            dice: ChaCha8Rng::seed_from_u64(seed),
            faults: Faults::default(),
            crashed: false,
            calls: 0,
            crash_at: None,
            writes: 0,
            deadlines: BTreeSet::new(),
            in_flight: 0,
        };
        Self { state: Mutex::new(state), before_write: Mutex::new(None) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A write begins or ends; how many there are now.
    pub(super) fn in_flight(&self, begins: bool) -> u64 {
        let count = &mut self.state().in_flight;
        *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        *count
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The process ends at the call with this number from now (0: the next one); `None`: it does not.
    pub fn crash_at(&self, call: Option<u64>) {
        let mut state = self.state();
        state.crash_at = call.map(|call| state.calls + call);
    }

    /// Whether the process has ended since the last [`World::restart`].
    pub fn crashed(&self) -> bool {
        self.state().crashed
    }

    /// A new process starts.
    pub fn restart(&self) {
        let mut state = self.state();
        state.crashed = false;
        state.crash_at = None;
        state.deadlines.clear();
    }

    /// Is called before each write of a port: somebody edits while a run is at work.
    pub fn before_write(&self, hook: Option<Hook>) {
        *self.before_write.lock().unwrap() = hook;
    }

    /// The time, in microseconds.
    pub fn now(&self) -> i64 {
        self.state().clock
    }

    /// Time passes.
    pub fn pass(&self, millis: i64) {
        self.state().clock += millis * 1_000;
    }

    /// A number below `below`.
    pub fn below(&self, below: u64) -> u64 {
        self.state().dice.random_range(0..below)
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        self.state().dice.next_u64()
    }

    /// True once in a thousand times `chance`.
    pub fn chance(&self, chance: u32) -> bool {
        chance > 0 && self.below(1_000) < u64::from(chance)
    }

    /// Whether a read of our write stays stale for a while.
    pub(super) fn stale(&self) -> bool {
        let chance = self.state().faults.stale;
        self.chance(chance)
    }

    /// Whether a record is answered with "try again".
    pub(super) fn retry_some(&self) -> bool {
        let chance = self.state().faults.retry_some;
        self.chance(chance)
    }

    /// A new id that sorts by time.
    pub fn id(&self) -> String {
        let mut state = self.state();
        state.ids += 1;
        format!("{:026}", state.ids)
    }

    /// Writes of ports that changed something, so far.
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// Calls of ports and memory, so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    pub(super) fn wrote(&self) {
        self.state().writes += 1;
    }

    /// Sleeps end at this time; true if it has come.
    pub(super) fn due(&self, at: i64) -> bool {
        let mut state = self.state();
        if state.clock < at {
            state.deadlines.insert(at);
        }
        state.clock >= at
    }

    /// Goes to the next time at which somebody wakes; false if nobody sleeps.
    pub(super) fn to_next_deadline(&self) -> bool {
        let mut state = self.state();
        let next = state.deadlines.pop_first();
        if let Some(next) = next {
            state.clock = state.clock.max(next);
        }
        next.is_some()
    }

    /// A call begins: an error is a call that did nothing.
    pub(super) fn enter(&self, call: Call) -> Result<Gate> {
        if call == Call::Write && !self.crashed() {
            let hook = self.before_write.lock().unwrap().take();
            if let Some(mut hook) = hook {
                hook();
                self.before_write.lock().unwrap().get_or_insert(hook);
            }
        }
        let faults = {
            let mut state = self.state();
            if state.crashed {
                return Err(gone());
            }
            state.calls += 1;
            state.clock += 3_000;
            if state.crash_at.is_some_and(|at| state.calls > at) {
                state.crashed = true;
                drop(state);
                return if self.chance(500) { Err(gone()) } else { Ok(Gate::Crash) };
            }
            state.faults
        };
        if self.chance(faults.crash) {
            self.state().crashed = true;
            return if self.chance(500) { Err(gone()) } else { Ok(Gate::Crash) };
        }
        if call == Call::Memory {
            return Ok(Gate::Clear);
        }
        if self.chance(faults.unavailable) {
            return Err(Error::new(ErrorKind::Unavailable, "503 Service Unavailable"));
        }
        if self.chance(faults.rate_limited) {
            let mut error = Error::new(ErrorKind::RateLimited, "429 Too Many Requests");
            error.retry_after = Some(Duration::from_secs(2));
            return Err(error);
        }
        if self.chance(faults.unauthorized) {
            return Err(Error::new(ErrorKind::Unauthorized, "401 Unauthorized"));
        }
        Ok(if call == Call::Write && self.chance(faults.lost) { Gate::Lose } else { Gate::Clear })
    }
}

impl Gate {
    /// The answer of a call, or why nobody hears it.
    pub fn leave<T>(self, answer: T) -> Result<T> {
        match self {
            Gate::Clear => Ok(answer),
            Gate::Crash => Err(gone()),
            Gate::Lose => Err(Error::new(ErrorKind::Lost, "the connection was reset before the answer came")),
        }
    }
}

fn gone() -> Error {
    Error::internal("the simulated process has ended")
}

/// The seeds of a simulation: the one of TIDEGATE_SEED, or so many from 0, or fifty times as many with
/// TIDEGATE_TEST_LONG.
pub fn seeds(usual: u64) -> Vec<u64> {
    if let Ok(seed) = std::env::var("TIDEGATE_SEED") {
        return vec![seed.parse().expect("TIDEGATE_SEED is a number")];
    }
    (0..if long() { usual * 50 } else { usual }).collect()
}

/// Whether one seed is replayed, and people want to see what happens.
pub fn traced() -> bool {
    std::env::var_os("TIDEGATE_SEED").is_some()
}

/// Whether the long tests are asked for.
pub fn long() -> bool {
    std::env::var("TIDEGATE_TEST_LONG").is_ok_and(|value| value == "1")
}

/// A folder for a state that need not survive: in memory where the system has such a place.
pub fn state_folder() -> tempfile::TempDir {
    let fast = std::path::Path::new("/dev/shm");
    let made = if fast.is_dir() { tempfile::tempdir_in(fast) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).expect("a folder for the state")
}
