//! A process killed in the middle of its settlements leaves a prefix of them, with everything that had returned.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use tidegate_model::ports::Memory;
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::value::Value;
use tidegate_store::{OpenOptions, Store};

use crate::base::*;
use crate::child;

on_both!(a_killed_process_leaves_a_prefix);

const ROWS: usize = 50;

fn position(step: i64) -> Option<Position> {
    (step > 0).then_some(Position::Cursor(CursorPoint { value: Value::Int(step), key: None }))
}

fn step_of(position: Option<Position>) -> i64 {
    match position {
        None => 0,
        Some(Position::Cursor(CursorPoint { value: Value::Int(step), .. })) => step,
        other => panic!("not a position of this test: {other:?}"),
    }
}

/// The child: settles for ever from where the state stands, and says each step once it has returned.
#[tokio::test]
async fn settles_for_ever_as_a_child() {
    let Ok(url) = std::env::var(child::URL) else { return };
    let (url, schema) = url.split_once(' ').unwrap();
    let options = OpenOptions { schema: Some(schema.to_owned()), ..OpenOptions::default() };
    let store = Store::open(url, &options).await.unwrap();
    let lease = store.claim(SYNC, "child", at(100)).await.unwrap();
    if store.run(RUN).await.unwrap().is_none() {
        store.put_run(&lease, &run(RUN)).await.unwrap();
    }
    for step in step_of(store.state(SYNC).await.unwrap().warehouse) + 1.. {
        let mut span = span(&format!("s{step}"), None, None);
        (span.from, span.to) = (position(step - 1), position(step));
        store.open_span(&lease, &span).await.unwrap();
        if store.open_spans(SYNC).await.unwrap()[0].batches.is_empty() {
            store.intend(&lease, &batch(&span.id, 0)).await.unwrap();
        }
        let mut it = settlement();
        it.batch = Some((span.id.clone(), 0));
        it.close = Some(span);
        it.entries =
            (0..ROWS).map(|row| entry(&format!("{step:08}-{row:03}"), Some(&format!("r{step}-{row}")))).collect();
        it.entries[0].detail = vec![1; 300];
        it.history = vec![write("a", "0", &step.to_string())];
        it.delivered = delivered(&[(step, step.unsigned_abs())], None);
        it.books.to_platform.read = ROWS as u64;
        store.settle(&lease, &it).await.unwrap();
        println!("settled {step}");
    }
}

async fn a_killed_process_leaves_a_prefix(place: &Place) {
    let schema = place.options.schema.clone().unwrap_or_default();
    let mut settled = 0;
    for round in 0..6_u64 {
        let mut child = child::command("crash::settles_for_ever_as_a_child", &format!("{} {schema}", place.url))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = 0;
        while told < settled + 3 + i64::try_from(round).unwrap() * 2 {
            let line = lines.next().expect("the child goes on").unwrap();
            if let Some((_, step)) = line.split_once("settled ") {
                told = step.trim().parse().unwrap();
            }
        }
        // Anywhere in the next steps, another place in each round.
        std::thread::sleep(std::time::Duration::from_micros(700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some((_, step)) = line.split_once("settled ") {
                told = step.trim().parse().unwrap();
            }
        }
        settled = prefix(place, told).await;
    }
    assert!(settled > 20);
}

/// Checks that the state is that of a whole number of steps, at least those that were told, and returns it.
async fn prefix(place: &Place, told: i64) -> i64 {
    let store = place.open().await;
    // Waits for a transaction of the killed child that its server still works at.
    store.claim(SYNC, "child", at(100)).await.unwrap();
    let state = store.state(SYNC).await.unwrap();
    let step = step_of(state.warehouse);
    assert!(step >= told, "step {told} had returned, the state stands at {step}");
    let steps = usize::try_from(step).unwrap();
    let scanned = store.scan(SYNC, None, usize::MAX >> 1).await.unwrap();
    assert_eq!(scanned.len(), steps * ROWS);
    assert_eq!(state.linked, (steps * ROWS) as u64);
    assert_eq!(store.run(RUN).await.unwrap().unwrap().books.to_platform.read, (steps * ROWS) as u64);
    assert_eq!(store.history(RUN, 0, 100_000).await.unwrap().len(), steps);
    let prints: Vec<u64> = (1..=step.unsigned_abs() + 1).collect();
    assert_eq!(store.delivered(SYNC, &prints).await.unwrap().iter().filter(|known| **known).count(), steps);
    for open in store.open_spans(SYNC).await.unwrap() {
        assert_eq!(open.span.from, position(step), "only the next span may be open");
        assert_eq!(open.next_batch, 0);
    }
    step
}
