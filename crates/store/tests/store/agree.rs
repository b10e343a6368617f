//! Random histories give the same answers and the same listing on both backends.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tidegate_model::ErrorKind;
use tidegate_model::ports::{Choice, ConflictState, Lease, LedgerRecord, Memory, Settlement};
use tidegate_model::record::RemoteId;
use tidegate_model::sync::Target;
use tidegate_store::Store;

use crate::base::*;

#[derive(Debug, Clone)]
enum Step {
    Settle(Box<Settlement>),
    Open(u8),
    Intend(u8, u32),
    Answer(u8, u32),
    Choose(&'static str),
    Relink(&'static str, &'static str),
    Forget(&'static str),
}

const KEYS: &[&str] = &["a", "b", "B", "ä", "10", "9"];

fn keys() -> impl Strategy<Value = &'static str> {
    select(KEYS)
}

fn records() -> impl Strategy<Value = Vec<LedgerRecord>> {
    let remotes = select(vec![None, Some("r1"), Some("r2"), Some("r3"), Some("r4")]);
    let record = (keys(), remotes, 0..8_u8, 0..3_u8, 0..3_u8, 0..3_usize);
    let record = record.prop_map(|(name, remote, flags, warehouse, platform, detail)| {
        let mut record = entry(name, None);
        record.entry.remote = remote.map(RemoteId::new);
        record.entry.flags = flags;
        record.entry.warehouse = [warehouse; 16];
        record.entry.platform = [platform; 16];
        record.detail = vec![warehouse; detail];
        record
    });
    vec(record, 0..4)
}

fn positions() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("1"), Some("2")])
}

fn findings() -> impl Strategy<Value = Settlement> {
    let fields = || select(vec![None, Some("name")]);
    let states = select(vec![ConflictState::Decided, ConflictState::Open]);
    (
        vec((keys(), fields()), 0..3),
        vec(keys(), 0..2),
        any::<(bool, bool)>(),
        vec((keys(), fields(), states), 0..3),
        vec((keys(), fields()), 0..2),
        (vec((0..40_i64, 0..64_u64), 0..4), select(vec![None, None, Some(10), Some(20)])),
        vec(keys(), 0..3),
    )
        .prop_map(|(rejects, closed, sweeps, conflicts, over, kept, history)| {
            let mut it = settlement();
            it.rejects = rejects.into_iter().map(|(name, field)| reject(Some(name), field)).collect();
            it.delivered_to = closed.into_iter().map(|name| (key(name), Target::Platform)).collect();
            it.sweep_rejects = if sweeps.0 { vec![Target::Platform] } else { vec![] };
            it.conflicts = conflicts.into_iter().map(|(name, field, state)| conflict(name, field, state)).collect();
            it.settled_conflicts =
                over.into_iter().map(|(name, field)| (key(name), field.map(str::to_owned))).collect();
            it.sweep_conflicts = sweeps.1;
            it.delivered = delivered(&kept.0, kept.1);
            it.history = history.into_iter().map(|name| write(name, "0", "1")).collect();
            it
        })
}

fn settlements() -> impl Strategy<Value = Settlement> {
    let batches = proptest::option::weighted(0.3, (0..3_u8, 0..3_u32));
    let close = proptest::option::weighted(0.2, (0..3_u8, positions(), positions()));
    let platform = proptest::option::weighted(0.2, (positions(), select(vec!["1", "2"])));
    (findings(), records(), vec(keys(), 0..2), batches, close, platform, prop::bool::weighted(0.05), 1..3_u8).prop_map(
        |(mut it, entries, removed, batch, close, platform, reset, run)| {
            it.run = format!("01RUN{run}");
            it.entries = entries;
            it.removed = removed.into_iter().map(key).collect();
            it.batch = batch.map(|(name, number)| (format!("s{name}"), number));
            it.close = close.map(|(name, from, to)| span(&format!("s{name}"), from, to));
            it.patch.platform = platform.map(|(from, to)| (from.map(mark), mark(to)));
            it.patch.reset = reset;
            it.books.to_platform.read = 1;
            it
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => settlements().prop_map(|it| Step::Settle(Box::new(it))),
        2 => (0..3_u8).prop_map(Step::Open),
        2 => (0..3_u8, 0..3_u32).prop_map(|(name, number)| Step::Intend(name, number)),
        1 => (0..3_u8, 0..3_u32).prop_map(|(name, number)| Step::Answer(name, number)),
        1 => keys().prop_map(Step::Choose),
        1 => (keys(), keys()).prop_map(|(old, new)| Step::Relink(old, new)),
        1 => keys().prop_map(Step::Forget),
    ];
    vec(step, 1..25)
}

/// What a step says: refusals by their kind.
async fn take(store: &Store, lease: &Lease, step: &Step) -> Result<u64, ErrorKind> {
    let said = match step {
        Step::Settle(it) => store.settle(lease, it).await.map(|()| 0),
        Step::Open(name) => store.open_span(lease, &span(&format!("s{name}"), None, Some("1"))).await.map(|()| 0),
        Step::Intend(name, number) => store.intend(lease, &batch(&format!("s{name}"), *number)).await.map(|()| 0),
        Step::Answer(name, number) => store.answer(lease, &format!("s{name}"), *number, b"yes").await.map(|()| 0),
        Step::Choose(name) => store.choose(SYNC, &key(name), Some("name"), &Choice::Platform).await.map(u64::from),
        Step::Relink(old, new) => store.relink(lease, &key(old), &key(new)).await.map(u64::from),
        Step::Forget(name) => store.forget(SYNC, &key(name)).await,
    };
    said.map_err(|error| error.kind)
}

async fn both(steps: &[Step]) -> Result<(), TestCaseError> {
    let places = [Place::sqlite(), Place::postgres()];
    let stores = [places[0].open().await, places[1].open().await];
    let leases = [start(&stores[0]).await, start(&stores[1]).await];
    for (store, lease) in stores.iter().zip(&leases) {
        store.put_run(lease, &run("01RUN2")).await.unwrap();
    }
    for step in steps {
        let said = [take(&stores[0], &leases[0], step).await, take(&stores[1], &leases[1], step).await];
        prop_assert_eq!(&said[0], &said[1], "{:?}", step);
    }
    let told = [listing(&stores[0]).await, listing(&stores[1]).await];
    prop_assert_eq!(&told[0], &told[1]);
    for store in &stores {
        let linked = store.scan(SYNC, None, 100).await.unwrap().iter().filter(|entry| is_linked(entry)).count();
        prop_assert_eq!(store.state(SYNC).await.unwrap().linked, linked as u64);
    }
    places[1].drop_schema().await;
    Ok(())
}

fn is_linked(entry: &tidegate_model::ports::LedgerEntry) -> bool {
    let both = entry.warehouse != [0; 16] && entry.platform != [0; 16];
    (entry.remote.is_some() || both) && entry.flags & 3 == 0
}

/// A failing history is printed in its shortest form.
#[test]
fn sqlite_and_postgres_agree() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = if std::env::var("TIDEGATE_TEST_LONG").is_ok() { 1_000 } else { 48 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&steps(), |steps| runtime.block_on(both(&steps)));
    outcome.unwrap();
}
