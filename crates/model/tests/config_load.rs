//! Reading project files: what is valid loads with its defaults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{acme, kinds, load_one, project_of};
use tidegate_model::config::{Project, Retention, Side, SourceFile, load};
use tidegate_model::schedule::{Rule, Schedule};
use tidegate_model::schema::{ModelName, Relation, Source};
use tidegate_model::sync::{
    As, Changes, Condition, ConflictRule, CursorSpec, DeleteConflict, Deletes, Direction, EmptyText, FieldSet,
    FieldSource, Guards, LedgerKind, Lookback, Nulls, OnMisfit, OnUncertain, Op, WriteMode,
};
use tidegate_model::transform::Transform;
use tidegate_model::value::{Decimal, Value};

fn project() -> Project {
    let loaded = load(&acme(), &kinds());
    assert_eq!(loaded.problems, []);
    loaded.project.expect("a project")
}

#[test]
fn the_examples_of_the_frozen_page_load_and_pass_the_checks() {
    let project = project();
    assert_eq!(project.name, "acme");
    assert_eq!(project.timezone, "Europe/Stockholm");
    assert_eq!(project.state.as_deref(), Some("sqlite:.tidegate/state.db"));
    assert_eq!(project.retention, Retention::default());
    assert_eq!(project.alert_webhook.as_deref(), Some("${ALERT_URL}"));
    assert_eq!(project.serve.listen.as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(project.serve.env_allow, ["PG_URL"]);
    assert_eq!(project.serve.oidc.as_ref().map(|oidc| oidc.client_secret.as_str()), Some("secret:oidc"));
    let names: Vec<&str> = project.syncs.keys().map(String::as_str).collect();
    assert_eq!(names, ["companies", "licenses", "revenue", "scores", "seats", "usage"]);
    assert_eq!(tidegate_model::config::check(&project), []);
}

#[test]
fn connections_keep_their_settings_with_references() {
    let project = project();
    let lake = &project.connections["lake"];
    assert_eq!((lake.kind.as_str(), lake.side, lake.available), ("postgres", Side::Warehouse, true));
    assert_eq!(lake.settings, serde_json::json!({"url": "${PG_URL}"}));
    assert!(lake.access_write && lake.enabled && lake.automation);
    assert_eq!(lake.work_schema.as_deref(), Some("TIDEGATE"));
    let crm = &project.connections["crm"];
    assert_eq!(crm.side, Side::Platform);
    assert!(!crm.access_write);
    assert_eq!(crm.quota.requests_per_minute, Some(200.0));
    assert_eq!(crm.quota.share, Some(0.5));
    assert_eq!(crm.quota.records_per_minute, None);
}

#[test]
fn a_two_way_sync_with_all_its_lines() {
    let project = project();
    let sync = &project.syncs["companies"];
    assert_eq!(sync.direction, Direction::Both);
    assert_eq!(sync.source, Source::Relation(Relation(vec!["companies".to_owned()])));
    assert_eq!(sync.ledger, LedgerKind::Values);
    assert_eq!(sync.timezone, "Europe/Stockholm");
    assert_eq!(sync.guards, Guards { max_delete_pct: Some(5.0), ..Guards::default() });
    assert_eq!(sync.after, ["licenses"]);
    assert_eq!(sync.updated_at.platform.as_deref(), Some("updatedAt"));
    let every = Rule::Every { minutes: 60 };
    assert_eq!(sync.schedule, Some(Schedule { rule: every, timezone: "Europe/Stockholm".to_owned() }));
    let [name, arr, health, phase, site, source] = sync.field_list() else { panic!("six fields") };
    assert_eq!(name.direction, Direction::Both);
    assert_eq!((arr.direction, arr.platform.as_str()), (Direction::ToPlatform, "custom.ARR"));
    assert_eq!((health.direction, health.platform.as_str()), (Direction::ToWarehouse, "custom.Health score"));
    assert_eq!(phase.transform, [Transform::Trim]);
    assert_eq!(phase.map.get("trial").map(String::as_str), Some("Onboarding"));
    assert_eq!((phase.nulls, phase.on_misfit), (Nulls::Skip, OnMisfit::DropField));
    assert_eq!((site.hint, site.empty, site.nulls), (Some(As::Url), EmptyText::Keep, Nulls::Clear));
    assert_eq!(source.source, FieldSource::Constant(Value::text("tidegate")));
    assert_eq!(source.direction, Direction::ToPlatform, "a constant flows to the platform");
}

#[test]
fn the_other_kinds_of_syncs() {
    let project = project();
    let usage = &project.syncs["usage"];
    assert_eq!(
        usage.cursor,
        Some(CursorSpec { column: "event_id".to_owned(), lookback: Some(Lookback::Count(10_000)) })
    );
    assert_eq!((usage.changes, usage.write, usage.batch_size), (Changes::Cursor, WriteMode::Append, Some(5_000)));
    assert_eq!((usage.ledger, usage.key.platform.as_deref()), (LedgerKind::Fingerprints, None));
    let revenue = &project.syncs["revenue"];
    assert_eq!(revenue.fields, FieldSet::All);
    assert_eq!(revenue.model, ModelName("dataset:revenue".to_owned()));
    assert_eq!(revenue.source, Source::Relation(Relation(vec!["finance".to_owned(), "revenue".to_owned()])));
    assert_eq!(revenue.cursor.as_ref().and_then(|c| c.lookback), Some(Lookback::Micros(600_000_000)));
    assert_eq!(revenue.schedule.as_ref().map(|s| s.rule.clone()), Some(Rule::Cron("0 6 * * *".to_owned())));
    let scores = &project.syncs["scores"];
    assert_eq!(scores.direction, Direction::ToWarehouse);
    let condition = Condition { field: "status".to_owned(), op: Op::Eq, value: "customer".to_owned() };
    assert_eq!(scores.filter, [condition]);
    assert_eq!(scores.schedule.as_ref().map(|s| s.rule.clone()), Some(Rule::DailyAt { hour: 3, minute: 15 }));
}

#[test]
fn what_is_left_out_has_the_default_of_the_contract() {
    let project = project_of("syncs/licenses.yaml", "direction: to_platform\n", "");
    let sync = &project.syncs["licenses"];
    assert_eq!(sync.direction, Direction::ToPlatform);
    assert_eq!((sync.changes, sync.write, sync.deletes), (Changes::Auto, WriteMode::Upsert, Deletes::Ignore));
    assert_eq!((sync.conflict, sync.delete_conflict), (ConflictRule::Warehouse, DeleteConflict::Edit));
    assert_eq!(sync.guards, Guards::default());
    assert_eq!((sync.settle_lag_ms, sync.undo_days, sync.batch_size), (900_000, 30, None));
    assert_eq!((sync.on_uncertain, sync.schedule.clone()), (OnUncertain::Hold, None));
    assert!(sync.automation && !sync.shared && !sync.append_versions);
    let bare = load_one("version: 1\nname: x\n").into_result().expect("a project");
    assert_eq!((bare.timezone.as_str(), bare.state.clone()), ("UTC", None));
    assert_eq!(bare.retention, Retention::default());
}

#[test]
fn what_is_written_wins_over_the_default() {
    let more = "timezone: America/New_York\nledger: values\nsettle_lag: 2m\non_uncertain: resend\nundo_days: 7\n\
                redact: [value]\nshared: true\nautomation: false\nwrite: append\nappend: versions\n\
                delete_conflict: delete\ndeletes: propagate\nconflict: hold\nchanges: full\n\
                guards: { max_change_pct: 50, max_reject_pct: off, max_clear_pct: 0.5 }\n\
                schedule: { daily_at: \"02:30\", timezone: Asia/Tokyo }\nfields:";
    let project = project_of("syncs/licenses.yaml", "fields:", more);
    let sync = &project.syncs["licenses"];
    assert_eq!((sync.timezone.as_str(), sync.ledger), ("America/New_York", LedgerKind::Values));
    assert_eq!((sync.settle_lag_ms, sync.undo_days, sync.on_uncertain), (120_000, 7, OnUncertain::Resend));
    assert_eq!(sync.redact, ["value"]);
    assert!(sync.shared && !sync.automation && sync.append_versions);
    assert_eq!((sync.deletes, sync.delete_conflict), (Deletes::Propagate, DeleteConflict::Delete));
    assert_eq!((sync.conflict, sync.changes), (ConflictRule::Hold, Changes::Full));
    let guards = &sync.guards;
    assert_eq!((guards.max_change_pct, guards.max_reject_pct), (Some(50.0), None));
    assert_eq!((guards.max_clear_pct, guards.max_delete_pct), (Some(0.5), Some(10.0)));
    assert_eq!(sync.schedule.as_ref().map(|s| s.timezone.as_str()), Some("Asia/Tokyo"));
    assert!(project.sync_has("licenses", "ledger") && !project.sync_has("usage", "ledger"));
}

#[test]
fn a_platform_that_cannot_be_read_back_has_a_ledger_of_values() {
    let project = project();
    let (usage, companies) = (&project.syncs["usage"], &project.syncs["companies"]);
    assert_eq!(project.ledger_of(usage, true), LedgerKind::Fingerprints);
    assert_eq!(project.ledger_of(usage, false), LedgerKind::Values);
    assert_eq!(project.ledger_of(companies, true), LedgerKind::Values);
    let said = project_of("syncs/usage.yaml", "write: append", "write: append\nledger: fingerprints");
    assert_eq!(said.ledger_of(&said.syncs["usage"], false), LedgerKind::Fingerprints);
}

#[test]
fn fields_take_every_key() {
    let line = "  - { warehouse: value, platform: value, transform: [to_number, \"round:2\"], as: number, format: \"%d\", \
                empty: \"null\", conflict: newest, map: { 1: One, \"two\": 2 } }\n  - { value: 1.10, platform: a }\n  \
                - { value: 7, platform: b }\n  - { value: true, platform: c }\n  - { value: \"7\", platform: d }\n";
    let project = project_of("syncs/licenses.yaml", "  - { warehouse: value, platform: value }\n", line);
    let [first, a, b, c, d] = project.syncs["licenses"].field_list() else { panic!("five fields") };
    assert_eq!(first.transform, [Transform::ToNumber, Transform::Round(2)]);
    assert_eq!((first.empty, first.conflict), (EmptyText::Null, Some(ConflictRule::Newest)));
    assert_eq!(first.format.as_deref(), Some("%d"));
    let map: Vec<_> = first.map.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(map, [("1", "One"), ("two", "2")]);
    let constant = |value: Value| FieldSource::Constant(value);
    assert_eq!(a.source, constant(Value::Decimal(Decimal::parse("1.10").unwrap())));
    let FieldSource::Constant(Value::Decimal(number)) = &a.source else { panic!("a decimal") };
    assert_eq!(number.to_string(), "1.10", "digits stay as written");
    assert_eq!(b.source, constant(Value::Int(7)));
    assert_eq!(c.source, constant(Value::Bool(true)));
    assert_eq!(d.source, constant(Value::text("7")));
}

#[test]
fn the_direction_is_what_the_fields_need() {
    let only = "fields:\n  - { warehouse: a, platform: a, direction: to_platform }\n";
    let text = "version: 1\nwarehouse: { connection: lake, relation: t }\nplatform: { connection: crm, model: company }\n\
                direction: both\nkey: { warehouse: id, platform: externalId }\n";
    let of = |fields: &str| {
        let mut files = acme();
        files.push(SourceFile { path: "syncs/x.yaml".to_owned(), text: format!("{text}{fields}") });
        let project = load(&files, &kinds()).into_result().expect("a project");
        (project.syncs["x"].direction, project.syncs["x"].ledger)
    };
    assert_eq!(of(only), (Direction::ToPlatform, LedgerKind::Fingerprints));
    assert_eq!(of(&only.replace("to_platform", "to_warehouse")).0, Direction::ToWarehouse);
    let two = format!("{only}  - {{ warehouse: b, platform: b, direction: to_warehouse }}\n");
    assert_eq!(of(&two), (Direction::Both, LedgerKind::Values));
}

#[test]
fn anchors_and_windows_line_ends_are_yaml_too() {
    let mut files = acme();
    let mut text = files[3].text.replace("{ every: 1h }", "&often { every: 1h }");
    assert!(text.contains("&often"));
    text = text.replace('\n', "\r\n");
    files[3].text = format!("\u{feff}{text}");
    assert_eq!(load(&files, &kinds()).problems, []);
}

#[test]
fn other_files_are_left_alone() {
    let mut files = acme();
    for path in ["README.md", "notes/syncs/x.yaml", "syncs/README.md"] {
        files.push(SourceFile { path: path.to_owned(), text: "{{{".to_owned() });
    }
    assert_eq!(load(&files, &kinds()).problems, []);
}
