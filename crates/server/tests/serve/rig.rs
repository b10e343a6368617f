//! The parts that `serve` is handed in these tests, and a hand on each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidegate_engine::plan::due::OrderEntry;
use tidegate_model::error::ErrorKind;
use tidegate_model::ports::Holder;
use tidegate_model::run::{Books, RunRecord, RunStatus};
use tidegate_model::schedule::{Rule, Schedule};
use tidegate_model::schema::ModelName;
use tidegate_model::sync::Direction;
use tidegate_model::{Error, Instant, Result};
use tidegate_server::{
    Clock, ConnectionSwitch, Outlook, Parts, RunAsk, Runner, ServeOptions, Server, StateView, SyncInfo,
};
use tidegate_store::{OpenOptions, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, oneshot, watch};
use tokio::task::JoinHandle;

/// 2026-05-01T00:00:00Z
pub const START: Instant = Instant(1_777_593_600_000_000);
/// Shorter than the time for which the scheduler believes what it has read.
pub const TICK_MS: i64 = 5_000;
/// Long enough for a loaded machine, short enough to see a hang.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn minutes(number: i64) -> i64 {
    number * 60_000
}

/// A clock that stands until it is moved.
pub struct HandClock {
    now: watch::Sender<Instant>,
    sleeps: watch::Sender<u64>,
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Instant {
        *self.now.borrow()
    }
    async fn sleep(&self, millis: u64) {
        let until = self.now().plus_millis(i64::try_from(millis).expect("a short sleep"));
        let mut seen = self.now.subscribe();
        self.sleeps.send_modify(|sleeps| *sleeps += 1);
        seen.wait_for(|now| *now >= until).await.expect("the clock outlives its sleepers");
    }
}

/// A state in memory.
#[derive(Default)]
pub struct State {
    pub runs: Mutex<Vec<RunRecord>>,
    pub full_settled: Mutex<BTreeSet<String>>,
    pub settings: Mutex<BTreeMap<String, String>>,
    pub down: Mutex<bool>,
    pub hangs: Mutex<bool>,
    store: OnceCell<(tempfile::TempDir, Arc<Store>)>,
}

impl State {
    async fn reach(&self) -> Result<()> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        if *self.down.lock().unwrap() {
            return Err(Error::new(ErrorKind::Unavailable, "the database is away").hint("start it"));
        }
        Ok(())
    }
    /// A real one, for the queue, users, tokens and sessions.
    pub async fn store(&self) -> Arc<Store> {
        let open = async {
            let folder = tempfile::tempdir().expect("a folder");
            let url = format!("sqlite:{}/state.db", folder.path().display());
            let store = Store::open(&url, &OpenOptions::default()).await.expect("a state");
            (folder, Arc::new(store))
        };
        let kept: &(tempfile::TempDir, Arc<Store>) = Box::pin(self.store.get_or_init(|| Box::pin(open))).await;
        Arc::clone(&kept.1)
    }
    /// What a server works with on this state.
    pub async fn parts(self: &Arc<Self>, runner: Arc<Puppet>, clock: Arc<dyn Clock>) -> Parts {
        Parts {
            runner,
            state: Arc::clone(self) as _,
            store: self.store().await,
            desk: None,
            outlook: Arc::new(Outlook::default()),
            clock,
            holder: Holder { name: format!("w-{:p}", Arc::as_ptr(self)), process: None },
        }
    }
    pub fn set(&self, name: &str, value: Option<&str>) {
        let mut settings = self.settings.lock().unwrap();
        match value {
            Some(value) => settings.insert(name.to_owned(), value.to_owned()),
            None => settings.remove(name),
        };
    }
}

#[async_trait]
impl StateView for State {
    async fn ping(&self) -> Result<()> {
        self.reach().await
    }
    async fn recent_runs(&self, sync: &str, limit: u32) -> Result<Vec<RunRecord>> {
        self.reach().await?;
        let runs = self.runs.lock().unwrap();
        Ok(runs.iter().rev().filter(|run| run.sync == sync).take(limit as usize).cloned().collect())
    }
    async fn full_settled(&self, sync: &str) -> Result<bool> {
        self.reach().await?;
        Ok(self.full_settled.lock().unwrap().contains(sync))
    }
    async fn settings(&self, prefix: &str) -> Result<BTreeMap<String, String>> {
        self.reach().await?;
        let settings = self.settings.lock().unwrap();
        Ok(settings.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(n, v)| (n.clone(), v.clone())).collect())
    }
    async fn set_setting(&self, name: &str, value: Option<&str>) -> Result<()> {
        self.reach().await?;
        self.set(name, value);
        Ok(())
    }
}

/// What the runner does with the next runs of a sync.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// Ends at once with this status.
    End(RunStatus),
    /// Works until it is let go or asked to stop.
    Hold,
    /// Works until it is let go, whoever asks.
    Stubborn,
    /// Cannot begin.
    Refuse(ErrorKind),
    /// A bug.
    Panic,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub sync: String,
    pub at: Instant,
    pub what: &'static str,
}

/// A runner that does as told and keeps a diary.
pub struct Puppet {
    pub clock: Arc<HandClock>,
    pub state: Arc<State>,
    pub syncs: Mutex<Result<Vec<SyncInfo>>>,
    pub acts: Mutex<BTreeMap<String, Act>>,
    pub books: Mutex<Books>,
    let_go: watch::Sender<BTreeSet<String>>,
    diary: watch::Sender<Vec<Event>>,
}

impl Puppet {
    fn note(&self, sync: &str, what: &'static str) {
        let event = Event { sync: sync.to_owned(), at: self.clock.now(), what };
        self.diary.send_modify(|diary| diary.push(event));
    }
    async fn work(&self, ask: &RunAsk, act: Act) -> RunStatus {
        let mut go = self.let_go.subscribe();
        let let_go = go.wait_for(|names| names.contains(&ask.sync));
        let asked = async {
            // Cancel is a flag that runs look at between batches; so does this one.
            while act == Act::Stubborn || !ask.cancel.is_cancelled() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            _ = let_go => RunStatus::Succeeded,
            () = asked => RunStatus::Cancelled,
        }
    }
}

#[async_trait]
impl Runner for Puppet {
    async fn syncs(&self) -> Result<Vec<SyncInfo>> {
        self.syncs.lock().unwrap().clone()
    }
    async fn run(&self, ask: RunAsk) -> Result<RunRecord> {
        let started_at = self.clock.now();
        let mut dropped = Dropped(Some(|| self.note(&ask.sync, "dropped")));
        let act = self.acts.lock().unwrap().get(&ask.sync).copied().unwrap_or(Act::End(RunStatus::Succeeded));
        self.note(&ask.sync, "start");
        let outcome = self.act(&ask, act, started_at).await;
        dropped.0 = None;
        outcome
    }
}

/// Calls what it holds when it is dropped, as a run's future is.
struct Dropped<F: FnMut()>(Option<F>);

impl<F: FnMut()> Drop for Dropped<F> {
    fn drop(&mut self) {
        if let Some(note) = &mut self.0 {
            note();
        }
    }
}

impl Puppet {
    async fn act(&self, ask: &RunAsk, act: Act, started_at: Instant) -> Result<RunRecord> {
        let status = match act {
            Act::End(status) => status,
            Act::Hold | Act::Stubborn => self.work(ask, act).await,
            Act::Refuse(kind) => {
                self.note(&ask.sync, "refused");
                return Err(Error::new(kind, "held elsewhere"));
            }
            Act::Panic => panic!("a bug in the runner, wanted by the test"),
        };
        let run = record(&ask.sync, status, started_at, self.clock.now(), *self.books.lock().unwrap());
        self.state.runs.lock().unwrap().push(run.clone());
        self.note(&ask.sync, status.as_str());
        Ok(run)
    }
}

pub fn record(sync: &str, status: RunStatus, started: Instant, finished: Instant, books: Books) -> RunRecord {
    RunRecord {
        run: format!("{sync}-{}", started.0),
        sync: sync.to_owned(),
        status,
        mode: "full".to_owned(),
        trigger: "schedule".to_owned(),
        books,
        started_at: started,
        finished_at: Some(finished),
        warehouse_ms: None,
        bytes_billed: None,
        error: None,
        config_hash: String::new(),
    }
}

pub fn sync(name: &str, rule: Rule) -> SyncInfo {
    SyncInfo {
        schedule: Some(Schedule { rule, timezone: "UTC".to_owned() }),
        automation: true,
        two_way: false,
        connections: ["lake", "crm"]
            .map(|name| ConnectionSwitch { name: name.to_owned(), enabled: true, automation: true })
            .to_vec(),
        order: OrderEntry {
            sync: name.to_owned(),
            platform: "crm".to_owned(),
            model: ModelName(format!("model of {name}")),
            direction: Direction::Both,
            references: Vec::new(),
            after: Vec::new(),
        },
        config_hash: String::new(),
    }
}

pub fn every(name: &str, minutes: u32) -> SyncInfo {
    sync(name, Rule::Every { minutes })
}

/// A server at work, and a hand on each of its parts.
pub struct Rig {
    pub clock: Arc<HandClock>,
    pub state: Arc<State>,
    pub runner: Arc<Puppet>,
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub server: JoinHandle<Result<()>>,
}

impl Rig {
    pub async fn start(syncs: Vec<SyncInfo>) -> Self {
        Self::start_with(syncs, Arc::default(), START, |_| {}).await
    }
    /// Starts and waits for the first look at what is due.
    pub async fn start_with(
        syncs: Vec<SyncInfo>,
        state: Arc<State>,
        now: Instant,
        prepare: impl FnOnce(&Puppet),
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let stop_future = async move { stopped.await.expect("the rig outlives its server") };
        let mut rig = Self::serve(syncs, state, now, prepare, stop_future).await;
        rig.stop = Some(stop);
        let mut sleeps = rig.clock.sleeps.subscribe();
        wait(sleeps.wait_for(|sleeps| *sleeps >= 1)).await.expect("a clock");
        rig
    }
    pub async fn serve(
        syncs: Vec<SyncInfo>,
        state: Arc<State>,
        now: Instant,
        prepare: impl FnOnce(&Puppet),
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let clock = Arc::new(HandClock { now: watch::Sender::new(now), sleeps: watch::Sender::new(0) });
        let runner = Arc::new(Puppet {
            clock: Arc::clone(&clock),
            state: Arc::clone(&state),
            syncs: Mutex::new(Ok(syncs)),
            acts: Mutex::default(),
            books: Mutex::default(),
            let_go: watch::Sender::new(BTreeSet::new()),
            diary: watch::Sender::new(Vec::new()),
        });
        prepare(&runner);
        let options = ServeOptions { listen: "127.0.0.1:0".to_owned(), tick_ms: 5_000, ..ServeOptions::default() };
        let server = Server::bind(options, state.store().await.as_ref()).await.expect("a free port");
        let address = server.address();
        let parts = state.parts(Arc::clone(&runner), Arc::clone(&clock) as _).await;
        let server = tokio::spawn(server.run(parts, stop));
        Self { clock, state, runner, address, stop: None, server }
    }
    /// The clock as metrics show it.
    pub fn clock_seconds(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let seconds = self.clock.now().0 as f64 / 1_000_000.0;
        seconds
    }
    /// Moves the clock by a tick.
    pub fn nudge(&self) {
        self.clock.now.send_modify(|now| *now = now.plus_millis(TICK_MS));
    }
    /// Moves the clock by a tick, and waits until the scheduler has looked.
    pub async fn tick(&self) {
        let mut sleeps = self.clock.sleeps.subscribe();
        let before = *sleeps.borrow_and_update();
        self.nudge();
        wait(sleeps.wait_for(|sleeps| *sleeps > before)).await.expect("a clock");
    }
    /// Ticks for so long, waiting each time for what has started to end (but for what is held).
    pub async fn ticks(&self, millis: i64) {
        let until = self.clock.now().plus_millis(millis);
        while self.clock.now() < until {
            self.tick().await;
            self.quiet().await;
        }
    }
    /// Waits until every run that was started and is not held has ended, and the scheduler knows.
    pub async fn quiet(&self) {
        loop {
            let text = self.get("/metrics").await;
            let value = |name: &str| {
                let line = text.lines().find(|line| line.starts_with(name)).expect("the metric");
                line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")
            };
            let held = |(sync, act): (&String, &Act)| {
                matches!(act, Act::Hold | Act::Stubborn) && self.count(sync, "start") > self.ends(sync)
            };
            let held = self.runner.acts.lock().unwrap().iter().filter(|pair| held(*pair)).count();
            #[allow(clippy::cast_precision_loss)]
            if value("tidegate_runs_at_work ") <= held as f64 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
    fn ends(&self, sync: &str) -> usize {
        self.diary().iter().filter(|event| event.sync == sync && event.what != "start").count()
    }
    pub fn diary(&self) -> Vec<Event> {
        self.runner.diary.borrow().clone()
    }
    /// When the runs of a sync began, in minutes after the start.
    pub fn starts(&self, sync: &str) -> Vec<f64> {
        let diary = self.diary();
        let starts = diary.iter().filter(|event| event.sync == sync && event.what == "start");
        #[allow(clippy::cast_precision_loss)]
        starts.map(|event| event.at.millis_since(START) as f64 / 60_000.0).collect()
    }
    pub fn count(&self, sync: &str, what: &str) -> usize {
        self.diary().iter().filter(|event| event.sync == sync && event.what == what).count()
    }
    /// Waits until the diary shows so many of something.
    pub async fn until(&self, sync: &str, what: &str, number: usize) {
        let mut diary = self.runner.diary.subscribe();
        let enough = |diary: &Vec<Event>| {
            diary.iter().filter(|event| event.sync == sync && event.what == what).count() >= number
        };
        wait(diary.wait_for(enough)).await.expect("a diary");
    }
    pub fn act(&self, sync: &str, act: Act) {
        self.runner.acts.lock().unwrap().insert(sync.to_owned(), act);
    }
    /// Lets held runs of a sync end.
    pub fn let_go(&self, sync: &str) {
        self.runner.let_go.send_modify(|names| {
            names.insert(sync.to_owned());
        });
    }
    /// Runs of a sync are held again.
    pub fn hold_again(&self, sync: &str) {
        self.runner.let_go.send_modify(|names| {
            names.remove(sync);
        });
    }
    pub fn ask_to_stop(&mut self) {
        self.stop.take().expect("asked once").send(()).expect("the server listens");
    }
    /// Asks for the end and waits for it.
    pub async fn stop(mut self) {
        self.ask_to_stop();
        wait(&mut self.server).await.expect("no panic").expect("a clean end");
    }
    /// A page as curl would get it.
    pub async fn get(&self, path: &str) -> String {
        let answer = self.ask("GET", path, &format!("Host: {}\r\n", self.address)).await;
        answer.split_once("\r\n\r\n").expect("a head and a body").1.to_owned()
    }
    pub async fn code(&self, path: &str) -> u16 {
        code_of(&self.ask("GET", path, "Host: localhost\r\n").await)
    }
    /// A whole answer to a request with these headers.
    pub async fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        wait(stream.read_to_string(&mut answer)).await.expect("an answer");
        answer
    }
}

pub fn code_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).expect("a status line").parse().expect("a code")
}

/// Waits for what has to come.
pub async fn wait<T>(for_it: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, for_it).await.expect("it comes in time")
}
