//! How changes are found by a stream: moved into an outbox, delivered from there, deleted after the settlement.

use tidegate_engine::{PlannedChange, RunOptions};
use tidegate_model::run::RunStatus;
use tidegate_model::span::Position;
use tidegate_model::sync::Direction::ToPlatform;
use tidegate_model::sync::{Changes, Sync, WriteMode};
use tidegate_testkit::sim::{Keeps, drive};

use crate::bench::{Bench, sync, text};

fn mirror(changes: Changes) -> Sync {
    let mut sync = sync(&[("name", ToPlatform)]);
    (sync.changes, sync.write) = (changes, WriteMode::Mirror);
    sync
}

fn streamed(sync: Sync, ids: &[&str]) -> Bench {
    let bench = Bench::new(sync);
    bench.warehouse.keep(Keeps { stream: true, ..Keeps::default() });
    fill(&bench, ids);
    bench
}

fn fill(bench: &Bench, ids: &[&str]) {
    ids.iter().for_each(|id| bench.warehouse.insert(Some(id), &[("name", text(id))]));
}

fn mode(bench: &Bench) -> &str {
    bench.runs.last().map_or("", |run| run.mode.as_str())
}

fn stands(bench: &Bench) -> Option<u64> {
    match bench.ask(bench.state.state("companies")).warehouse {
        Some(Position::Outbox { seq, .. }) => Some(seq),
        _ => None,
    }
}

/// Both sides hold the same names under the same keys.
fn assert_same(bench: &Bench, what: &str) {
    let of = |rows: std::collections::BTreeMap<String, tidegate_testkit::sim::Cells>| -> Vec<String> {
        rows.into_iter().map(|(key, row)| format!("{key} {:?}", row.get("name"))).collect()
    };
    assert_eq!(of(bench.warehouse.rows()), of(bench.platform.rows()), "{what}");
}

#[test]
fn stream_is_read_through_its_outbox_and_emptied_behind() {
    let mut bench = streamed(mirror(Changes::Stream), &["a", "b", "c"]);
    // The first run reads what the stream is on; what the stream held is covered by that.
    assert_eq!((bench.ok().to_platform.created, mode(&bench)), (3, "full"));
    assert_eq!((bench.warehouse.pending(), stands(&bench)), ((0, 0), Some(3)));
    let handed = bench.warehouse.handed_out();
    bench.warehouse.set("b", "name", text("new"));
    bench.warehouse.delete("c");
    fill(&bench, &["d"]);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.updated, counts.deleted, counts.created), (3, 1, 1, 1));
    assert_eq!((mode(&bench), bench.warehouse.handed_out() - handed), ("stream", 3));
    assert_eq!((bench.warehouse.pending(), stands(&bench)), ((0, 0), Some(7)));
    assert_same(&bench, "after a run");
    assert_eq!(bench.ok().to_platform.read, 0);
    assert_eq!(bench.warehouse.handed_out() - handed, 3);
    assert!(bench.log().contains("nothing new"), "{}", bench.log());
}

#[test]
fn auto_is_stream_where_the_relation_is_one() {
    let mut bench = streamed(mirror(Changes::Auto), &["a"]);
    bench.ok();
    bench.warehouse.set("a", "name", text("new"));
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (1, "stream"));
}

#[test]
fn stream_on_what_is_none_is_refused() {
    let mut bench = Bench::new(mirror(Changes::Stream));
    let run = bench.run();
    assert_eq!((run.status, run.error.unwrap().code.as_str()), (RunStatus::Failed, "config"));
}

/// Killed before and after each call of a port or of the memory, the run after it comes to the same end: no change is
/// lost, and nothing is left in the outbox.
#[test]
fn stream_loses_nothing_wherever_it_dies() {
    let mut points = 0;
    for call in 0.. {
        let mut bench = streamed(mirror(Changes::Stream), &["a", "b", "c"]);
        bench.ok();
        bench.warehouse.set("a", "name", text("new a"));
        bench.warehouse.delete("b");
        fill(&bench, &["d", "e"]);
        bench.sync.batch_size = Some(2);
        bench.world.crash_at(Some(call));
        let ended = bench.try_run(&RunOptions::default()).is_ok_and(|run| run.error.is_none());
        if !bench.world.crashed() {
            assert!(ended);
            break;
        }
        points += 1;
        bench.restart();
        // What is edited between crash and restart comes along.
        bench.warehouse.set("c", "name", text("edited meanwhile"));
        bench.ok();
        assert_same(&bench, &format!("killed at call {call}"));
        assert_eq!(bench.warehouse.pending(), (0, 0), "killed at call {call}");
        bench.quiet();
        assert!(bench.runs.iter().all(|run| run.books.balanced()), "killed at call {call}");
    }
    assert!(points > 20, "only {points} calls");
}

#[test]
fn stream_that_went_stale_is_answered_with_full_reads_until_it_is_made_anew() {
    let mut bench = streamed(mirror(Changes::Stream), &["a", "b"]);
    bench.ok();
    bench.warehouse.go_stale();
    bench.warehouse.set("a", "name", text("new"));
    bench.warehouse.delete("b");
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.updated, counts.deleted, mode(&bench)), (2, 1, 1, "full"));
    assert!(bench.log().contains("went stale (make it anew); everything is read instead"), "{}", bench.log());
    // Nobody drained it, so what happens before it is made anew is in no stream.
    bench.warehouse.set("a", "name", text("in no stream"));
    bench.warehouse.make_stream();
    assert_eq!((bench.ok().to_platform.updated, mode(&bench)), (1, "full"));
    assert!(bench.log().contains("made anew"), "{}", bench.log());
    fill(&bench, &["c"]);
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (1, "stream"));
    assert_same(&bench, "in the end");
}

#[test]
fn stream_is_moved_before_a_full_read_and_what_it_held_is_covered_by_it() {
    let mut bench = streamed(mirror(Changes::Stream), &["a", "b"]);
    bench.ok();
    bench.warehouse.set("a", "name", text("new"));
    let full = RunOptions { full: true, ..RunOptions::default() };
    let counts = bench.try_run(&full).unwrap().books.to_platform;
    assert_eq!((counts.read, counts.updated, mode(&bench)), (2, 1, "full"));
    assert_eq!((bench.warehouse.pending(), stands(&bench)), ((0, 0), Some(4)));
}

#[test]
fn stream_with_a_limit_stays_in_its_outbox() {
    let mut bench = streamed(mirror(Changes::Stream), &["a", "b"]);
    bench.ok();
    fill(&bench, &["c", "d"]);
    let limited = RunOptions { limit: Some(1), ..RunOptions::default() };
    bench.try_run(&limited).unwrap();
    assert_eq!((bench.warehouse.pending(), stands(&bench)), ((2, 0), Some(2)));
    bench.ok();
    assert_eq!((bench.warehouse.pending(), stands(&bench)), ((0, 0), Some(4)));
    assert_same(&bench, "in the end");
}

#[test]
fn plan_and_check_do_not_move_a_stream() {
    let mut bench = streamed(mirror(Changes::Stream), &["a", "b"]);
    bench.ok();
    bench.warehouse.set("a", "name", text("refuse-me"));
    bench.warehouse.delete("b");
    let (engine, job) = (bench.engine(), bench.job());
    let mut changes: Vec<PlannedChange> = Vec::new();
    let summary = drive(&bench.world, engine.plan(&job, &RunOptions::default(), &mut changes)).unwrap();
    let shown: Vec<String> = changes.iter().map(|change| format!("{} {}", change.action, change.key)).collect();
    assert_eq!(shown, ["update a", "delete b"]);
    assert!(summary.based_on.contains("does not move the stream"), "{}", summary.based_on);
    drive(&bench.world, engine.check(&job, true)).unwrap();
    drive(&bench.world, engine.why(&job, &tidegate_model::record::Key::new("a"))).unwrap();
    drive(&bench.world, engine.verify(&job)).unwrap();
    assert_eq!(bench.warehouse.pending(), (0, 3));
}

#[test]
fn changed_from_a_stream_to_a_history_everything_is_read_once() {
    let mut bench = streamed(mirror(Changes::Stream), &["a", "b"]);
    bench.ok();
    bench.warehouse.keep(Keeps { tracking: true, ..Keeps::default() });
    bench.sync.changes = Changes::Tracking;
    bench.warehouse.set("a", "name", text("new"));
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (2, "full"));
    bench.warehouse.set("b", "name", text("new"));
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (1, "tracking"));
    bench.warehouse.keep(Keeps { stream: true, ..Keeps::default() });
    bench.sync.changes = Changes::Stream;
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (2, "full"));
    assert_same(&bench, "in the end");
}

/// A reset forgets the position, not the outbox: what waited there is covered by the full read that follows.
#[test]
fn stream_starts_over_after_a_reset() {
    let mut bench = streamed(mirror(Changes::Stream), &["a", "b"]);
    bench.ok();
    let (engine, job) = (bench.engine(), bench.job());
    drive(&bench.world, engine.reset(&job, None)).unwrap();
    bench.warehouse.set("a", "name", text("new"));
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (2, "full"));
    assert_eq!(bench.warehouse.pending(), (0, 0));
    assert_same(&bench, "in the end");
}
