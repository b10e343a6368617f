//! Records are decided about by several hands at once: what comes of it is what one hand makes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_engine::{Engine, RunOptions};
use tidegate_model::run::RunStatus;
use tidegate_model::sync::Direction::ToPlatform;
use tidegate_testkit::sim::{SimEnv, drive};

use crate::bench::{Bench, sync, text};

/// More than what is decided about at once, several times.
const RECORDS: usize = 9_000;

/// Surroundings with hands that are done in another order than they began.
struct Hands {
    env: SimEnv,
    hands: usize,
    /// Milliseconds that the quickest piece of work takes.
    times: u64,
    /// The piece of work that falls over.
    falls: Option<usize>,
    begun: AtomicUsize,
}

env_of_the_simulation! {
    impl Env for Hands {
        fn hands(&self) -> usize {
            self.hands
        }
        async fn aside(&self, work: Box<dyn FnOnce() + Send>) {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            // The first of three takes the longest.
            self.env.sleep(self.times * [9, 5, 1][number % 3]).await;
            if self.falls != Some(number) {
                work();
            }
        }
    }
}

fn bench() -> Bench {
    let bench = Bench::new(sync(&[("name", ToPlatform)]));
    for number in 0..RECORDS {
        // Every seventh cannot be delivered, and every other one has a value of its own.
        let name = if number % 7 == 0 { "far too long to be taken by anybody".repeat(9) } else { format!("n{number}") };
        bench.warehouse.insert(Some(&format!("c{number:05}")), &[("name", text(&name))]);
    }
    bench
}

fn engine(bench: &Bench, hands: usize, times: u64, falls: Option<usize>) -> (Engine, Arc<Hands>) {
    let env = Arc::new(Hands { env: SimEnv(bench.world.clone()), hands, times, falls, begun: AtomicUsize::new(0) });
    (Engine { env: env.clone(), ..bench.engine() }, env)
}

/// What a plan lists, in its order, and what a run makes of it; how many pieces of the plan's work went aside.
fn planned_and_run(hands: usize) -> (Vec<String>, String, usize) {
    let bench = bench();
    let (engine, env) = engine(&bench, hands, 10_000, None);
    let mut changes = Vec::new();
    let summary = drive(&bench.world, engine.plan(&bench.job(), &RunOptions::default(), &mut changes)).unwrap();
    let begun = env.begun.load(Ordering::Relaxed);
    let run = drive(&bench.world, engine.run(&bench.job(), &RunOptions::default())).unwrap();
    assert!(run.books.balanced(), "{:?}", run.books);
    let listed = changes.iter().map(|change| format!("{} {}", change.key, change.action)).collect();
    (listed, format!("{:?} {:?}", summary.books, run.books), begun)
}

#[test]
fn several_hands_come_to_what_one_comes_to_in_the_same_order() {
    let (one, some, enough) = (planned_and_run(1), planned_and_run(3), planned_and_run(RECORDS / 1_024 + 1));
    assert!(one.0.is_sorted() && one.0.len() > RECORDS / 2, "{} changes", one.0.len());
    assert!(one.0 == some.0 && one.0 == enough.0);
    assert!(one.1 == some.1 && one.1 == enough.1, "{}\n{}\n{}", one.1, some.1, enough.1);
    assert!(enough.2 >= RECORDS / 1_024, "nothing was done aside");
    // Where all hands are busy, whoever reads lends one.
    assert!((1..enough.2).contains(&one.2) && (1..enough.2).contains(&some.2), "{} {} {}", one.2, some.2, enough.2);
}

#[test]
fn a_hand_that_falls_over_ends_the_run_before_anything_is_written() {
    let bench = bench();
    let before = bench.world.writes();
    for falls in [0, 3, 8] {
        let (engine, _env) = engine(&bench, 3, 1, Some(falls));
        let run = drive(&bench.world, engine.run(&bench.job(), &RunOptions::default())).unwrap();
        assert_eq!((run.status, run.books.total().sent), (RunStatus::Failed, 0));
        assert!(run.books.balanced(), "{:?}", run.books);
        let error = run.error.unwrap();
        assert!(error.code == "internal" && error.message.contains("a fault of tidegate's own"), "{error:?}");
        assert!(error.hint.is_some_and(|hint| hint.contains("the next run goes on")), "nothing to be done");
    }
    assert_eq!(bench.world.writes(), before);
    let (engine, _env) = engine(&bench, 3, 1, None);
    let run = drive(&bench.world, engine.run(&bench.job(), &RunOptions::default())).unwrap();
    assert!(run.books.to_platform.created > 0, "{:?}", run.books);
}
