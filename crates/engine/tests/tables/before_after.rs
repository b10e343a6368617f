//! Before a run, after it, and when the configuration changes.

use tidegate_engine::{Job, PlanFile, RunOptions};
use tidegate_model::record::Key;
use tidegate_model::run::RunStatus;
use tidegate_model::sync::Direction::{Both, ToPlatform};
use tidegate_model::value::Value;
use tidegate_testkit::sim::drive;

use crate::bench::{Bench, sync, text};

fn filled() -> Bench {
    let mut bench = Bench::new(sync(&[("name", Both), ("note", Both)]));
    for id in ["a", "b", "c"] {
        bench.warehouse.insert(Some(id), &[("name", text(id)), ("note", text("n"))]);
    }
    bench.ok();
    bench.quiet();
    bench
}

fn plan(bench: &Bench) -> PlanFile {
    let mut changes = Vec::new();
    let asked = bench.engine();
    let summary = drive(&bench.world, asked.plan(&bench.job(), &RunOptions::default(), &mut changes)).unwrap();
    let planned_at = tidegate_model::Instant(bench.world.now());
    PlanFile {
        version: 1,
        sync: "companies".to_owned(),
        config_hash: "config".to_owned(),
        planned_at,
        changes,
        summary,
    }
}

fn code(error: &tidegate_model::Error) -> (&'static str, bool) {
    (error.code(), error.hint.is_some())
}

#[test]
fn plan_tells_what_a_run_would_do_and_writes_nothing() {
    let mut bench = filled();
    bench.warehouse.set("a", "name", text("new"));
    bench.platform.set("b", "note", text("edited"));
    let before = bench.world.writes();
    let plan = plan(&bench);
    assert_eq!(bench.world.writes(), before);
    let mut told: Vec<String> = plan
        .changes
        .iter()
        .map(|change| format!("{} {:?} {} {:?}", change.key, change.side, change.action, change.fields[0]))
        .collect();
    told.sort();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("a Platform update") && told[0].contains("new"), "{told:?}");
    assert!(told[1].starts_with("b Warehouse update") && told[1].contains("edited"), "{told:?}");
    let books = bench.ok();
    assert_eq!((books.to_platform.updated, books.to_warehouse.updated), (1, 1));
    assert_eq!(plan.summary.books.to_platform.read, books.to_platform.read);
}

#[test]
fn apply_carries_out_what_still_holds_and_lists_the_rest_as_stale() {
    let bench = filled();
    bench.warehouse.set("a", "name", text("new a"));
    bench.warehouse.set("b", "name", text("new b"));
    let plan = plan(&bench);
    bench.platform.set("b", "name", text("somebody was here"));
    let applied = drive(&bench.world, bench.engine().apply(&bench.job(), &plan)).unwrap();
    assert_eq!(applied.run.books.to_platform.updated, 1, "{:?}", applied.run);
    assert_eq!(applied.stale.iter().map(|change| change.key.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(bench.platform.get("a", "name"), Some(text("new a")));
    assert_eq!(bench.platform.get("b", "name"), Some(text("somebody was here")));
}

#[test]
fn apply_refuses_a_changed_configuration_an_old_plan_and_a_broken_guard() {
    let bench = filled();
    bench.warehouse.set("a", "name", text("new"));
    let plan = plan(&bench);
    let apply = |plan: &PlanFile, job: &Job| drive(&bench.world, bench.engine().apply(job, plan)).unwrap_err();
    let other = Job { config_hash: "other".to_owned(), ..bench.job() };
    assert_eq!(code(&apply(&plan, &other)), ("config", true));
    let mut broken = plan.clone();
    broken.summary.guards = vec!["max_delete_pct".to_owned()];
    assert_eq!(code(&apply(&broken, &bench.job())), ("guard", true));
    bench.world.pass(25 * 3_600 * 1_000);
    let error = apply(&plan, &bench.job());
    assert!(error.message.contains("expire after 24"), "{error}");
    assert_eq!(bench.platform.get("a", "name"), Some(text("a")));
}

#[test]
fn undo_puts_before_images_back_where_nobody_changed_the_value_since() {
    let mut bench = filled();
    bench.warehouse.set("a", "name", text("new a"));
    bench.warehouse.set("b", "name", text("new b"));
    bench.ok();
    let run = bench.runs.last().unwrap().run.clone();
    bench.platform.set("b", "name", text("edited since"));
    let undone = drive(&bench.world, bench.engine().undo(&bench.job(), &run)).unwrap();
    assert_eq!(bench.platform.get("a", "name"), Some(text("a")), "{undone:?}");
    assert_eq!(bench.platform.get("b", "name"), Some(text("edited since")));
    let paused = bench.ask(bench.state.settings("paused:"));
    assert!(paused.contains_key("paused:companies"), "{paused:?}");
}

#[test]
fn why_tells_ids_images_and_what_the_next_run_would_do() {
    let bench = filled();
    bench.warehouse.set("a", "name", text("new"));
    let why = drive(&bench.world, bench.engine().why(&bench.job(), &Key::new("a"))).unwrap();
    assert_eq!((why.link.as_str(), why.remote.is_some(), why.next.len()), ("linked", true, 1));
    let name = why.fields.iter().find(|field| field.field == "name").unwrap();
    let json = |value: &Value| Some(value.to_json());
    assert_eq!((name.warehouse.clone(), name.warehouse_image.clone()), (json(&text("new")), json(&text("a"))));
    assert!(why.verdict.contains("the next run writes name on the platform"), "{}", why.verdict);
}

#[test]
fn why_shows_what_stands_at_the_target_of_a_one_way_sync() {
    let mut bench = Bench::new(sync(&[("name", ToPlatform)]));
    bench.warehouse.insert(Some("a"), &[("name", text("a"))]);
    bench.ok();
    bench.platform.set("a", "name", text("by hand"));
    let why = drive(&bench.world, bench.engine().why(&bench.job(), &Key::new("a"))).unwrap();
    assert_eq!(why.fields[0].platform, Some(text("by hand").to_json()));
    assert!(why.next.is_empty(), "a one-way sync does not look at its target: {:?}", why.next);
    let unknown = drive(&bench.world, bench.engine().why(&bench.job(), &Key::new("z"))).unwrap();
    assert_eq!((unknown.link.as_str(), unknown.fields[0].platform.clone()), ("unknown", None));
}

#[test]
fn verify_reports_drift_and_repair_puts_the_ledgers_values_back() {
    let bench = filled();
    bench.platform.set("c", "note", text("by hand"));
    let drift = drive(&bench.world, bench.engine().verify(&bench.job())).unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert_eq!((drift[0].key.as_str(), drift[0].field.as_deref()), ("c", Some("note")));
    let repaired = drive(&bench.world, bench.engine().repair(&bench.job(), &drift)).unwrap();
    assert!(repaired.run.books.balanced());
    assert_eq!(bench.platform.get("c", "note"), Some(text("n")));
}

#[test]
fn changed_key_relation_model_or_connection_is_refused_until_reset() {
    let bench = filled();
    let moved = Job { shape_hash: "another".to_owned(), ..bench.job() };
    let run = |job: &Job| drive(&bench.world, bench.engine().run(job, &RunOptions::default())).unwrap();
    let refused = run(&moved);
    let error = refused.error.expect("refused");
    assert_eq!((refused.status, error.code.as_str()), (RunStatus::Failed, "config"));
    assert!(error.message.contains("3 records") && error.hint.unwrap().contains("reset"), "{}", error.message);
    let (_, dropped) = drive(&bench.world, bench.engine().reset(&moved, None)).unwrap();
    assert_eq!(dropped, 3);
    assert_eq!(run(&moved).status, RunStatus::Succeeded);
}
