//! The failpoints of the binary: hits are logged, and the process dies at the one that is named.

use std::os::unix::process::ExitStatusExt;

use super::bench::Bench;

#[test]
fn the_process_is_killed_at_the_point_and_the_next_run_goes_on() {
    let bench = Bench::with_companies();
    let log = bench.path("hits.log");
    let logged = bench.command(&["run", "companies"]).env("TIDEGATE_FAILPOINT_LOG", &log).output().expect("started");
    assert!(logged.status.success());
    let hits = std::fs::read_to_string(&log).expect("hits");
    let point = hits.lines().find(|name| name.starts_with("hub.write")).expect("a point in the hub's write").to_owned();
    bench.lake("UPDATE companies SET phase = 'after' WHERE company_id = 'C2'");
    let killed = bench.command(&["run", "companies"]).env("TIDEGATE_FAILPOINT", &point).output().expect("started");
    assert_eq!(killed.status.signal(), Some(9), "{point}: {killed:?}");
    // The dead process's lease runs out by itself; a test does not wait a minute for it.
    let url = format!("sqlite:{}", bench.path(".tidegate/state.db").display());
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let state = tidegate_store::open(&url, &tidegate_store::OpenOptions::default()).await.expect("opened");
        let later = tidegate_model::Instant(i64::MAX / 2);
        let lease = state.claim("companies", "the test", later).await.expect("claimed");
        state.release(&lease).await.expect("released");
    });
    let done = bench.run(&["run", "companies"]).expect(0);
    assert_eq!(bench.hub_rows("SELECT phase FROM hub_r_company WHERE externalId = 'C2'"), ["after"], "{}", done.stderr);
}
