//! Runs may be spawned on a runtime with several threads.

use tidegate_engine::{Drift, Engine, Job, PlanFile, RunOptions};

fn sendable<T: Send>(work: T) -> T {
    work
}

/// Compiles only while the futures are `Send`; nothing of it has to run.
#[allow(dead_code, reason = "the compiler is the test")]
fn operations(engine: &Engine, job: &Job, options: &RunOptions, plan: &PlanFile, drift: &[Drift]) {
    drop(sendable(engine.run(job, options)));
    drop(sendable(engine.apply(job, plan)));
    drop(sendable(engine.undo(job, "run")));
    drop(sendable(engine.retry(job, None, options)));
    drop(sendable(engine.repair(job, drift)));
}

#[test]
fn a_run_may_be_spawned() {
    let _ = operations as fn(&Engine, &Job, &RunOptions, &PlanFile, &[Drift]);
}
