//! A sync is taken over from a process that has died: at once where nothing of it can still arrive.

use std::sync::Arc;

use tidegate_engine::{Engine, RunOptions};
use tidegate_model::error::{ErrorKind, Result};
use tidegate_model::ports::{Holder, ProcessId};
use tidegate_model::run::{RunRecord, RunStatus};
use tidegate_model::sync::Direction::ToPlatform;
use tidegate_model::time::Instant;
use tidegate_testkit::sim::{Knobs, SimEnv, all_abilities, drive};

use crate::bench::{Bench, sync, text};

/// A machine that knows of one process whether it is gone.
struct Machine {
    env: SimEnv,
    gone: bool,
}

fn dead() -> ProcessId {
    ProcessId { host: "here".to_owned(), boot: "today".to_owned(), pid: 7, started: 70 }
}

env_of_the_simulation! {
    impl Env for Machine {
        fn process(&self) -> Option<ProcessId> {
            Some(ProcessId { pid: 8, ..dead() })
        }
        fn is_gone(&self, process: &ProcessId) -> bool {
            self.gone && *process == dead()
        }
    }
}

/// A sync whose lease is held by `holder`.
fn held_by(process: Option<ProcessId>, exactly_once: bool) -> Bench {
    let mut abilities = all_abilities();
    abilities.exactly_once = exactly_once;
    let bench = Bench::with(sync(&[("name", ToPlatform)]), Knobs { abilities, ..Knobs::default() });
    bench.warehouse.insert(Some("a"), &[("name", text("a"))]);
    let holder = Holder { name: "dead".to_owned(), process };
    bench.ask(bench.state.claim_as("companies", &holder, Instant(bench.world.now())));
    bench
}

fn run(bench: &Bench, gone: bool) -> Result<RunRecord> {
    let env = Arc::new(Machine { env: SimEnv(bench.world.clone()), gone });
    let engine = Engine { env, ..bench.engine() };
    drive(&bench.world, engine.run(&bench.job(), &RunOptions::default()))
}

#[test]
fn a_lease_of_a_dead_process_is_taken_over_at_once() {
    let bench = held_by(Some(dead()), true);
    assert_eq!(run(&bench, true).unwrap().status, RunStatus::Succeeded);
    assert_eq!(bench.ask(bench.state.held("companies")), None, "and given back afterwards");
}

#[test]
fn a_lease_of_a_process_that_may_live_is_waited_for() {
    for process in [Some(dead()), None] {
        let error = run(&held_by(process, true), false).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Locked);
        assert!(error.hint.unwrap().contains("if its process is gone, the sync is free in"));
    }
    // Nobody can say of a holder without a process whether it lives.
    assert_eq!(run(&held_by(None, true), true).unwrap_err().kind, ErrorKind::Locked);
}

#[test]
fn where_a_late_request_would_count_the_longest_call_is_waited_for() {
    let bench = held_by(Some(dead()), false);
    let error = run(&bench, true).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Locked);
    let wait = error.retry_after.expect("a time to wait").as_millis();
    assert!((54_000..=55_000).contains(&wait), "{wait}");
    bench.world.pass(55_000);
    assert_eq!(run(&bench, true).unwrap().status, RunStatus::Succeeded);
}
