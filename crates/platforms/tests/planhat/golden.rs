//! The very bytes that are sent for each model: `TIDEGATE_BLESS=1` writes them anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;
use tidegate_model::change::{Action, Change};
use tidegate_model::ports::WriteAsk;
use tidegate_model::record::RemoteId;
use tidegate_model::schema::FieldSchema;
use tidegate_model::value::{Type, Value};
use tidegate_testkit::platform_suite::{ask, change, new_op, text, write};
use tidegate_twins::Running;

use super::records::{models, sample};
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

fn hold(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; TIDEGATE_BLESS=1 writes it anew, if it should", path.display());
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
