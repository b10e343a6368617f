//! The budget of a connection, over all processes that share a state.

use std::time::{Duration, Instant};

use super::lab::{Lab, quiet};

#[test]
fn reads_and_look_ups_of_planhat_draw_from_the_budget_of_the_connection() {
    let lab = Lab::new(quiet());
    lab.run(&["run"]).expect(0);
    let file = std::fs::read_to_string(lab.bench.path("connections/crm.yaml")).expect("read");
    lab.bench.write("connections/crm.yaml", &format!("{file}quota: {{ requests_per_minute: 60 }}\n"));
    let (before, began) = (lab.twin.requests().len(), Instant::now());
    for _ in 0..2 {
        lab.run(&["run", "--full"]).expect(0);
    }
    let seen = lab.twin.requests().split_off(before);
    let writes = seen.iter().filter(|seen| seen.method != "GET").count();
    assert!(seen.len() >= 6 && writes == 0, "{} calls, {writes} writes", seen.len());
    // One a second, of which two may come early.
    let least = Duration::from_secs(seen.len() as u64 - 2);
    assert!(began.elapsed() >= least, "{} calls in {:?}", seen.len(), began.elapsed());
}
