//! The very bytes that are sent for each model: `TIDEGATE_BLESS=1` writes them anew.

use std::fmt::Write as _;

use serde_json::json;
use tidegate_model::change::{Action, Change};
use tidegate_model::ports::{LoadMode, WriteAsk};
use tidegate_model::record::RemoteId;
use tidegate_model::schema::FieldSchema;
use tidegate_model::value::{Type, Value};
use tidegate_testkit::platform_suite::{
    ask, change, company, enduser, load, named, new_op, number, page, pages, text, write,
};
use tidegate_twins::Running;

use super::records::{models, sample};
use crate::blessed::hold;
use crate::lab::{Tenant, quiet, tenant};

/// Writes of the twin's log, one by one, with ids that are the same in every run.
fn requests(twin: &Running, ids: &[String]) -> String {
    let mut out = String::new();
    for seen in twin.requests().iter().filter(|seen| seen.method != "GET") {
        let mut body = String::from_utf8_lossy(&seen.body).into_owned();
        let mut target = seen.target.clone();
        for (at, id) in ids.iter().enumerate() {
            body = body.replace(id.as_str(), &format!("<id {at}>"));
            target = target.replace(id.as_str(), &format!("<id {at}>"));
        }
        writeln!(out, "{} {target}\n{body}", seen.method).unwrap();
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_each_model() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let mut ids: Vec<String> = Vec::new();
    for schema in models(platform.models().await.unwrap()) {
        let model = schema.name.as_str();
        let writable: Vec<&FieldSchema> =
            schema.fields.iter().filter(|f| !f.read_only && f.name != "externalId").collect();
        let key = format!("{model}-0");
        let mut create = change(Action::Create, &key, &[]);
        writable.iter().for_each(|field| create.fields.set(field.name.as_str(), sample(field, &key)));
        tenant.twin.forget_requests();
        let outcomes = write(platform, &WriteAsk { op: new_op(), ..ask(model) }, &[create]).await;
        let id = tidegate_testkit::platform_suite::applied(&outcomes[0]);
        ids.push(id.as_str().to_owned());
        let mut update = Change { remote: Some(id.clone()), ..change(Action::Update, &key, &[]) };
        let plain = |field: &&&FieldSchema| !field.required && field.references.is_none() && field.name != "sourceId";
        writable.iter().filter(plain).take(2).for_each(|field| update.fields.set(field.name.as_str(), Value::Null));
        write(platform, &WriteAsk { op: new_op(), ..ask(model) }, &[update]).await;
        let delete = Change { remote: Some(id), ..change(Action::Delete, &key, &[]) };
        if !["user", "company"].contains(&model) {
            write(platform, &WriteAsk { op: new_op(), ..ask(model) }, &[delete]).await;
        }
        hold(&format!("planhat_{model}.txt"), &requests(&tenant.twin, &ids));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_custom_fields_and_of_clears() {
    for clear_as in ["null", "empty", "omit"] {
        let tenant = Tenant::with(quiet(), json!({ "clear_as": clear_as })).await;
        let new = vec![("custom.Seats used".to_owned(), Type::Int64), ("custom.Labels".to_owned(), Type::List)];
        let asked = |op| WriteAsk { new_fields: new.clone(), op, ..ask("company") };
        let pairs = [
            ("name", text("A")),
            ("custom.Seats used", Value::Int(7)),
            ("custom.Labels", Value::List(vec![text("x")])),
        ];
        let outcomes = write(tenant.port(), &asked(new_op()), &[change(Action::Create, "a", &pairs)]).await;
        let id = tidegate_testkit::platform_suite::applied(&outcomes[0]);
        let nulls = [("custom.Seats used", Value::Null), ("custom.Labels", Value::Null), ("phase", Value::Null)];
        let remote = Some(RemoteId::new(id.as_str()));
        let clear = Change { remote, ..change(Action::Update, "a", &nulls) };
        write(tenant.port(), &asked(new_op()), &[clear]).await;
        hold(&format!("planhat_clear_{clear_as}.txt"), &requests(&tenant.twin, &[id.as_str().to_owned()]));
    }
}

/// Activities in both shapes and under both sets of names, and metrics of all four models.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_usage() {
    let append = || load("s", LoadMode::Append, Some("event_id"));
    let activity = [
        ("event_id", Type::Int64),
        ("companyExternalId", Type::Text),
        ("email", Type::Text),
        ("externalId", Type::Text),
        ("name", Type::Text),
        ("action", Type::Text),
        ("weight", Type::Int64),
        ("date", Type::TimestampTz),
        ("info", Type::Json),
    ];
    let event = |id: i64, email: Value, external: Value| {
        let info = Value::Json("{\"plan\":\"pro\"}".into());
        let at = Value::TimestampTz(1_700_000_000_123_000);
        vec![Value::Int(id), text("c"), email, external, text("Ann"), text("login"), Value::Int(3), at, info]
    };
    let events = [event(1, text("u@x.com"), Value::Null), event(2, Value::Null, text("u"))];
    let shapes =
        [("bulk", json!({})), ("old", json!({ "usage_names": "old" })), ("single", json!({ "usage": "single" }))];
    for (name, settings) in shapes {
        let tenant = Tenant::with(quiet(), settings).await;
        let loaded =
            tenant.port().load(&named("user_activity"), &append(), pages(vec![page(&activity, &events)])).await;
        assert_eq!(loaded.unwrap().rejected, [], "{name}");
        hold(&format!("planhat_user_activity_{name}.txt"), &requests(&tenant.twin, &[]));
    }
    let metric = [
        ("id", Type::Int64),
        ("dimensionId", Type::Text),
        ("value", Type::Decimal { precision: 12, scale: 2 }),
        ("model", Type::Text),
        ("externalId", Type::Text),
        ("date", Type::Date),
    ];
    let rows = ["Company", "EndUser", "Asset", "Project"]
        .map(|model| vec![Value::Int(1), text("seats"), number("2.50"), text(model), text("x"), Value::Date(20_000)]);
    let tenant = tenant().await;
    let loaded = tenant.port().load(&named("custom_metric"), &append(), pages(vec![page(&metric, &rows)])).await;
    assert_eq!(loaded.unwrap().rejected, []);
    hold("planhat_custom_metric.txt", &requests(&tenant.twin, &[]));
}

/// A company may be named in four ways; it is looked up once for all of them, by the lean list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_references() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let id = company(platform, "c").await.as_str().to_owned();
    let source = change(Action::Update, "c", &[("sourceId", text("s"))]);
    write(platform, &WriteAsk { op: new_op(), ..ask("company") }, &[source]).await;
    enduser(platform, "before", "b@x.com", "c").await;
    tenant.twin.forget_requests();
    let ways = ["c".to_owned(), "extid-c".to_owned(), "srcid-s".to_owned(), id.clone()];
    let people: Vec<Change> = ways
        .iter()
        .enumerate()
        .map(|(at, way)| {
            let email = text(&format!("p{at}@x.com"));
            change(Action::Create, &format!("p{at}"), &[("email", email), ("companyId", text(way))])
        })
        .collect();
    let again = tenant.again(json!({}));
    write(&*again, &WriteAsk { op: new_op(), ..ask("enduser") }, &people).await;
    hold("planhat_references.txt", &requests(&tenant.twin, &[id]));
    let lean = tenant.twin.requests().iter().filter(|seen| seen.target.starts_with("/leancompanies")).count();
    assert_eq!(lean, 1, "{:?}", tenant.twin.requests().iter().map(|seen| seen.target.clone()).collect::<Vec<_>>());
}
