//! What the state costs a first load: `cargo run --release -p tidegate-store --example settle_speed -- URL [BATCHES
//! [SHAPES]]`, where SHAPES are some of `planhat`, `batch`, `edits` (which are of every tenth of the records that `planhat`
//! left, and need it). Batches of 5,000 records are intended, answered and settled
//! one after the other; printed is the processor time of the store a record (making the records does not count), call
//! by call. The state is written to; give it an empty one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use tidegate_model::ports::{HistoryEntry, IntentBatch, LedgerEntry, LedgerRecord, Memory, Settlement};
use tidegate_model::record::{Fields, Key};
use tidegate_model::run::{Books, RunRecord, RunStatus};
use tidegate_model::span::Span;
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;
use tidegate_model::value::Value;
use tidegate_store::{OpenOptions, Store};

/// Records of a batch: what Planhat takes in a call, and the mass door of Batch.
const RECORDS: usize = 5_000;
/// The thread whose time does not count.
const MAKER: &str = "maker";

/// What a platform's records leave in the state.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    /// The sync, and so the ledger.
    sync: &'static str,
    /// Every which record is in the batches.
    step: usize,
    /// Bytes of journalled intents a record.
    payload: usize,
    /// Bytes of the engine's images a record.
    detail: usize,
    /// Whether each write is kept in the history.
    history: bool,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "planhat", sync: "planhat", step: 1, payload: 200, detail: 130, history: false },
    Shape { name: "batch", sync: "batch", step: 1, payload: 200, detail: 250, history: true },
    Shape { name: "edits", sync: "planhat", step: 10, payload: 200, detail: 140, history: false },
];

/// Nanoseconds of processor time of all threads but the one that makes the records.
fn spent() -> u64 {
    let mut all = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        // The maker of the batches before may end while we look.
        let read = |file: &str| std::fs::read_to_string(task.join(file)).ok();
        let (Some(name), Some(times)) = (read("comm"), read("schedstat")) else { continue };
        if name.trim() != MAKER {
            all += times.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
    }
    all
}

/// The most memory that the process ever held, in MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

/// Bytes that do not repeat.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    let mut word = seed as u64 + 1;
    let mut next = || {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (word >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn record(shape: Shape, n: usize) -> LedgerRecord {
    let print: [u8; 16] = bytes(n, 16).try_into().unwrap();
    let entry =
        LedgerEntry { key: Key::new(format!("c{n:08}")), remote: None, flags: 0, warehouse: print, platform: print };
    LedgerRecord { entry, detail: bytes(n, shape.detail) }
}

fn write(n: usize) -> HistoryEntry {
    let mut after = Fields::default();
    after.push("name", Value::text(format!("Customer number {n}")));
    after.push("email", Value::text(format!("customer{n}@company.example")));
    after.push("city", Value::text("Stockholm"));
    after.push("orders", Value::Int(n as i64 % 5_000));
    HistoryEntry {
        key: Key::new(format!("c{n:08}")),
        remote: None,
        to: Target::Platform,
        effect: "created".to_owned(),
        before: Fields::default(),
        after,
        run: String::new(),
        at: Instant::default(),
    }
}

/// A batch, and what settles it.
fn made(shape: Shape, number: usize) -> (IntentBatch, Vec<u8>, Settlement) {
    let numbers = (number * RECORDS..(number + 1) * RECORDS).map(|n| n * shape.step);
    let intents = IntentBatch {
        span: format!("{}-span", shape.name),
        number: u32::try_from(number).unwrap(),
        to: Target::Platform,
        payload: bytes(number, shape.payload * RECORDS),
        answer: None,
    };
    let mut books = Books::default();
    books.to_platform.read = RECORDS as u64;
    let settlement = Settlement {
        run: format!("{}-run", shape.name),
        batch: Some((intents.span.clone(), intents.number)),
        entries: numbers.clone().map(|n| record(shape, n)).collect(),
        history: if shape.history { numbers.map(write).collect() } else { Vec::new() },
        books,
        ..Settlement::default()
    };
    (intents, bytes(number, 4 * RECORDS), settlement)
}

/// Makes batches ahead of who settles them, one at a time.
fn maker(shape: Shape, batches: usize) -> Receiver<(IntentBatch, Vec<u8>, Settlement)> {
    let (send, made_ones) = sync_channel(0);
    let work = move || (0..batches).all(|number| send.send(made(shape, number)).is_ok());
    thread::Builder::new().name(MAKER.to_owned()).spawn(work).unwrap();
    made_ones
}

fn run(shape: Shape) -> RunRecord {
    RunRecord {
        run: format!("{}-run", shape.name),
        sync: shape.sync.to_owned(),
        status: RunStatus::Running,
        mode: "full".to_owned(),
        trigger: "manual".to_owned(),
        books: Books::default(),
        started_at: Instant(1),
        finished_at: None,
        warehouse_ms: None,
        bytes_billed: None,
        error: None,
        config_hash: String::new(),
    }
}

async fn load(store: &Store, shape: Shape, batches: usize) {
    let lease = store.claim(shape.sync, "speed", Instant(1)).await.unwrap();
    store.put_run(&lease, &run(shape)).await.unwrap();
    let (id, run) = (format!("{}-span", shape.name), format!("{}-run", shape.name));
    let span = Span { id, sync: shape.sync.to_owned(), run, from: None, to: None, batch_rows: RECORDS as u32 };
    store.open_span(&lease, &span).await.unwrap();
    let (mut costs, start) = ([0; 3], std::time::Instant::now());
    for (intents, answer, settlement) in maker(shape, batches) {
        let number = intents.number;
        let mut marks = [spent(); 4];
        store.intend_all(&lease, intents).await.unwrap();
        marks[1] = spent();
        store.answer(&lease, &span.id, number, &answer).await.unwrap();
        marks[2] = spent();
        store.settle_all(&lease, std::sync::Arc::new(settlement)).await.unwrap();
        marks[3] = spent();
        for (cost, pair) in costs.iter_mut().zip(marks.windows(2)) {
            *cost += pair[1] - pair[0];
        }
    }
    let records = (batches * RECORDS) as f64 * 1_000.0;
    let [intend, answer, settle] = costs.map(|cost| cost as f64 / records);
    println!(
        "{}: {:.3} µs a record (intend {intend:.3}, answer {answer:.3}, settle {settle:.3}), {:.1} s, peak {} MB",
        shape.name,
        intend + answer + settle,
        start.elapsed().as_secs_f64(),
        peak()
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let url = args.next().expect("the URL of an empty state");
    let batches = args.next().map_or(100, |count| count.parse().expect("a number of batches"));
    let shapes = args.next().unwrap_or_else(|| "planhat,batch".to_owned());
    let store = Store::open(&url, &OpenOptions::default()).await.unwrap();
    for shape in SHAPES.into_iter().filter(|shape| shapes.contains(shape.name)) {
        load(&store, shape, batches / shape.step).await;
    }
}
