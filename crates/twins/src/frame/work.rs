//! The course of one request: fault, limit, work, log.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::Connection;
use tidegate_model::{Error, ErrorKind, Result};

use super::call::{Call, Reply};
use super::chance::Chance;
use super::knobs::{Fault, Knobs, Limits, scripted};
use super::limits::Gate;
use super::log::{Log, Seen};
use super::twin::{Shelf, Twin};

/// How long a request waits for the file when another process has it.
const BUSY: Duration = Duration::from_secs(5);

/// What becomes of the connection.
pub(super) enum Ending {
    /// An answer.
    Whole(Reply),
    /// An answer that takes this long.
    Slow(Reply, Duration),
    /// Half an answer.
    Cut(Reply),
    /// None.
    Hangup,
}

/// What changes while a twin runs.
pub(super) struct State {
    pub(super) knobs: Knobs,
    chance: Chance,
    storm: u64,
    gate: Gate,
    pub(super) log: Log,
}

/// A twin at work.
pub(super) struct Desk {
    pub(super) twin: Arc<dyn Twin>,
    db: Mutex<Connection>,
    state: Mutex<State>,
}

fn open(file: Option<&Path>) -> rusqlite::Result<Connection> {
    let db = match file {
        Some(path) => Connection::open(path)?,
        None => Connection::open_in_memory()?,
    };
    db.busy_timeout(BUSY)?;
    // A twin that loses its last second in a power cut has lost nothing of anybody's.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")?;
    Ok(db)
}

impl Desk {
    /// On a file, or in memory.
    pub(super) fn new(twin: Arc<dyn Twin>, file: Option<&Path>, knobs: Knobs) -> Result<Self> {
        let db = open(file).and_then(|db| twin.prepare(&db).map(|()| db)).map_err(|error| {
            let place = file.map_or("memory".to_owned(), |path| path.display().to_string());
            Error::new(ErrorKind::Unavailable, format!("the twin cannot keep its records in {place}"))
                .cause(error)
                .hint("name another file with --file, or leave it out to keep them in memory")
        })?;
        let chance = Chance::new(knobs.seed);
        let state = State { knobs, chance, storm: 0, gate: Gate::default(), log: Log::default() };
        Ok(Self { twin, db: Mutex::new(db), state: Mutex::new(state) })
    }

    // A panic of another request leaves nothing half done in here: transactions roll back, the rest is replaced whole.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns the knobs; chance starts again from the seed.
    pub(super) fn turn(&self, knobs: Knobs) {
        let mut state = self.state();
        state.chance = Chance::new(knobs.seed);
        state.storm = 0;
        state.knobs = knobs;
    }

    /// What it holds.
    pub(super) fn shelves(&self, newest: u32) -> rusqlite::Result<Vec<Shelf>> {
        self.twin.shelves(&self.db(), newest)
    }

    /// Answers a request.
    pub(super) async fn serve(self: &Arc<Self>, call: Call, target: String) -> Ending {
        let begun = Instant::now();
        let (at, method, body) = (call.at, call.method.to_string(), call.body.clone());
        let (kind, authorized) =
            (call.header("content-type").map(str::to_owned), call.headers.contains_key("authorization"));
        let (fault, mut chance, wait) = self.draw(&call);
        let class = match self.admit(&call) {
            Ok(class) => class,
            Err(limit) => {
                let reply = self.twin.too_many();
                self.note(
                    Seen {
                        fault: Some(format!("limit: {limit}")),
                        ..seen(at, method, target, kind, authorized, body, reply.status.as_u16())
                    },
                    begun,
                );
                return Ending::Whole(reply);
            }
        };
        let works = !matches!(fault, Fault::Dropped | Fault::Status(_));
        let reply = match &fault {
            Fault::Dropped => Reply::text(500, ""),
            Fault::Status(429) => self.refused_for_now(),
            Fault::Status(status) => Reply::text(*status, "a fault that was asked for"),
            Fault::Instead(status, body) => {
                let (status, body) = (*status, body.clone());
                self.work(call, &mut chance).await;
                Reply::of(status, "application/json", body)
            }
            _ => self.work(call, &mut chance).await,
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if let Some(class) = class {
            self.state().gate.leave(class);
        }
        let silent = matches!(fault, Fault::Lost | Fault::Dropped);
        let status = if silent { 0 } else { reply.status.as_u16() };
        let told = (fault != Fault::None).then(|| format!("{fault:?}").to_lowercase());
        self.note(Seen { done: works, fault: told, ..seen(at, method, target, kind, authorized, body, status) }, begun);
        match fault {
            Fault::Lost | Fault::Dropped => Ending::Hangup,
            Fault::Cut => Ending::Cut(reply),
            Fault::Slow => Ending::Slow(reply, Duration::from_millis(self.state().knobs.slow_ms)),
            _ => Ending::Whole(reply),
        }
    }

    /// What goes wrong with this request, its own chance, and how long its answer waits.
    fn draw(&self, call: &Call) -> (Fault, Chance, Duration) {
        let mut state = self.state();
        let state = &mut *state;
        let mut chance = state.chance.split();
        let knobs = &mut state.knobs;
        let wait = Duration::from_millis(knobs.latency_ms + chance.up_to(knobs.jitter_ms));
        if let Some(fault) = scripted(&mut knobs.script, call.method.as_str(), &call.path) {
            return (fault, chance, wait);
        }
        if !knobs.only.is_empty() && !knobs.only.iter().any(|start| call.path.starts_with(start)) {
            return (Fault::None, chance, wait);
        }
        let [storm, down, dropped, lost, slow] =
            [knobs.storm_pct, knobs.unavailable_pct, knobs.dropped_pct, knobs.lost_pct, knobs.slow_pct]
                .map(|pct| chance.hit(pct));
        if state.storm > 0 || storm {
            state.storm = if state.storm > 0 { state.storm - 1 } else { knobs.storm_length };
            return (Fault::Status(429), chance, wait);
        }
        let fault = match () {
            () if down => Fault::Status(503),
            () if dropped => Fault::Dropped,
            () if lost => Fault::Lost,
            () if slow => Fault::Slow,
            () => Fault::None,
        };
        (fault, chance, wait)
    }

    /// The class whose limits let the call in, or the limit that it breaks.
    fn admit(&self, call: &Call) -> Result<Option<&'static str>, &'static str> {
        let mut state = self.state();
        if state.knobs.limits == Limits::Off {
            return Ok(None);
        }
        let Some(weight) = self.twin.weight(call) else { return Ok(None) };
        let rates = match &state.knobs.limits {
            Limits::Rates(rates) => *rates,
            _ => weight.rates,
        };
        state.gate.enter(weight.class, rates, weight.records, call.at).map(|()| Some(weight.class))
    }

    fn refused_for_now(&self) -> Reply {
        let reply = self.twin.too_many();
        match self.state().knobs.retry_after_s {
            Some(seconds) => reply.header("retry-after", seconds.to_string()),
            None => reply,
        }
    }

    async fn work(self: &Arc<Self>, call: Call, chance: &mut Chance) -> Reply {
        let (desk, mut chance) = (Arc::clone(self), chance.clone());
        let knobs = self.state().knobs.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut db = desk.db();
            let work = db.transaction()?;
            let reply = desk.twin.answer(&work, &call, &knobs, &mut chance)?;
            work.commit()?;
            Ok::<Reply, rusqlite::Error>(reply)
        });
        match done.await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => Reply::text(500, format!("the twin's file: {error}")),
            Err(error) => Reply::text(500, format!("a bug in the twin: {error}")),
        }
    }

    fn note(&self, mut seen: Seen, begun: Instant) {
        seen.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.state().log.add(seen);
    }
}

fn seen(
    at: i64,
    method: String,
    target: String,
    kind: Option<String>,
    authorized: bool,
    body: Bytes,
    status: u16,
) -> Seen {
    let bytes = body.len();
    Seen { number: 0, at, method, target, kind, authorized, body, bytes, status, done: false, fault: None, took_ms: 0 }
}
