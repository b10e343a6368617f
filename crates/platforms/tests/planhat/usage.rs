//! User activities and custom metrics: what arrives, what is refused, what is uncertain.

use serde_json::{Value as Json, json};
use tidegate_model::page::Page;
use tidegate_model::ports::{Load, LoadMode, Loaded};
use tidegate_model::value::{Type, Value};
use tidegate_model::{ErrorKind, Result};
use tidegate_testkit::platform_suite::{asking, company, enduser, load, named, number, page, pages, text};
use tidegate_twins::{Fault, Knobs, Step};

use crate::lab::{Tenant, quiet, tenant, unsure};

const ACTIVITY: [(&str, Type); 6] = [
    ("event_id", Type::Int64),
    ("companyExternalId", Type::Text),
    ("email", Type::Text),
    ("externalId", Type::Text),
    ("action", Type::Text),
    ("date", Type::TimestampTz),
];

fn event(id: i64, company: &str, email: &str, external: &str) -> Vec<Value> {
    let some = |value: &str| if value.is_empty() { Value::Null } else { text(value) };
    vec![
        Value::Int(id),
        some(company),
        some(email),
        some(external),
        text("login"),
        Value::TimestampTz(1_700_000_000_000_000),
    ]
}

fn append() -> Load {
    load("s", LoadMode::Append, Some("event_id"))
}

async fn send(tenant: &Tenant, model: &str, page: Page) -> Result<Loaded> {
    tenant.port().load(&named(model), &append(), pages(vec![page])).await
}

async fn people(tenant: &Tenant) {
    company(tenant.port(), "c").await;
    enduser(tenant.port(), "u", "u@x.com", "c").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activities_are_acknowledged_and_linked() {
    for (settings, names) in
        [(json!({}), "current"), (json!({ "usage_names": "old" }), "old"), (json!({ "usage": "single" }), "current")]
    {
        let tenant = Tenant::with(unsure("activity_names", names), settings.clone()).await;
        people(&tenant).await;
        let rows = [
            event(1, "c", " U@X.com", ""),
            event(2, "", "", "u"),
            event(3, "c", "new@x.com", ""),
            event(4, "c", "", ""),
        ];
        let loaded = send(&tenant, "user_activity", page(&ACTIVITY, &rows)).await.unwrap();
        assert_eq!((loaded.created, loaded.rejected.len()), (3, 1), "{settings}");
        assert_eq!((loaded.rejected[0].0, loaded.rejected[0].1.rule.as_str()), (3, "null_key"));
        assert_eq!(tenant.holds("activity, linked").len(), 3, "{settings}: {:?}", tenant.holds("activity, unassigned"));
        let posts = tenant.twin.requests().iter().filter(|seen| seen.method == "POST").count();
        assert_eq!(posts, if settings["usage"] == "single" { 3 } else { 1 });
        let tokens = tenant.twin.requests().iter().any(|seen| seen.target.starts_with("/analytics") && seen.authorized);
        assert!(!tokens, "the sink of activities is not sent the token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_checked_cheaply_and_refused_one_by_one() {
    let tenant = tenant().await;
    people(&tenant).await;
    let columns = [
        ("id", Type::Int64),
        ("dimensionId", Type::Text),
        ("value", Type::Decimal { precision: 12, scale: 2 }),
        ("model", Type::Text),
        ("externalId", Type::Text),
    ];
    let metric = |id: i64, dimension: Value, model: &str, external: &str| {
        vec![Value::Int(id), dimension, number("2.50"), text(model), text(external)]
    };
    let rows = [
        metric(1, text("seats"), "Company", "c"),
        metric(2, text("seats"), "EndUser", "u"),
        metric(3, Value::Null, "Company", "c"),
        metric(4, text("seats"), "Nothing", "c"),
    ];
    let loaded = send(&tenant, "custom_metric", page(&columns, &rows)).await.unwrap();
    let why: Vec<(u64, &str)> = loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str())).collect();
    assert_eq!((loaded.created, why), (2, vec![(2, "required"), (3, "enum")]));
    let kept: Vec<Json> = tenant.holds("metric, linked");
    assert_eq!((kept.len(), &kept[0]["value"].to_string()), (2, &"2.5".to_owned()));
    let refusal = r#"{"processed":0,"errors":[{"item":{"dimensionId":"seats","externalId":"c","model":"Company","value":2.5},"error":"no"}]}"#;
    tenant.twin.turn(Knobs {
        script: vec![Step::next("POST", "/dimensiondata", Fault::Instead(200, refusal.into()))],
        ..quiet()
    });
    let loaded = send(&tenant, "custom_metric", page(&columns, &rows[..1])).await.unwrap();
    assert_eq!((loaded.created, loaded.rejected[0].1.rule.as_str()), (0, "refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_lost_and_nothing_is_sent_twice() {
    for fault in [Fault::Lost, Fault::Cut, Fault::Status(500)] {
        let script = vec![Step::next("POST", "/analytics", fault)];
        let tenant = Tenant::with(Knobs { script, ..quiet() }, json!({})).await;
        let error =
            send(&tenant, "user_activity", page(&ACTIVITY, &[event(1, "", "u@x.com", "")])).await.expect_err("lost");
        assert_eq!(error.kind, ErrorKind::Lost);
        assert_eq!(tenant.twin.requests().iter().filter(|seen| seen.method == "POST").count(), 1);
    }
    let script = vec![Step::next("POST", "/analytics", Fault::Status(429))];
    let tenant = Tenant::with(Knobs { script, ..quiet() }, json!({})).await;
    let error =
        send(&tenant, "user_activity", page(&ACTIVITY, &[event(1, "", "u@x.com", "")])).await.expect_err("told");
    assert_eq!(error.kind, ErrorKind::RateLimited, "nothing was taken: it may be sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_loads_are_cut_below_the_limit_and_what_was_not_sent_is_told() {
    let columns = [("event_id", Type::Int64), ("email", Type::Text), ("action", Type::Text)];
    let long = "x".repeat(1 << 20);
    let rows: Vec<Vec<Value>> = (0..40).map(|id| vec![Value::Int(id), text("u@x.com"), text(&long)]).collect();
    let script = vec![Step { after: 1, ..Step::next("POST", "/analytics", Fault::Status(429)) }];
    let tenant = Tenant::with(Knobs { script, ..quiet() }, json!({})).await;
    people(&tenant).await;
    let loaded = send(&tenant, "user_activity", page(&columns, &rows)).await.unwrap();
    let posts: Vec<usize> = tenant
        .twin
        .requests()
        .iter()
        .filter(|seen| seen.target.starts_with("/analytics"))
        .map(|seen| seen.bytes)
        .collect();
    assert!(posts.len() == 2 && posts.iter().all(|bytes| *bytes < 32 << 20), "{posts:?}");
    assert_eq!(loaded.created + loaded.rejected.len() as u64, 40);
    assert!(loaded.created > 20 && loaded.rejected.iter().all(|(_, why)| why.rule == "not_sent"), "{}", loaded.created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_refused() {
    let tenant = Tenant::with(quiet(), json!({ "tenant": "" })).await;
    let error =
        send(&tenant, "user_activity", page(&ACTIVITY, &[event(1, "", "u@x.com", "")])).await.expect_err("no tenant");
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(tenant.port().read(asking("user_activity", "event_id", &[])).await.is_err(), "a sink is not read");
    let merge = load("s", LoadMode::Merge, Some("event_id"));
    assert!(tenant.port().load(&named("user_activity"), &merge, pages(Vec::new())).await.is_err());
}
