//! The very bytes that are sent, for each type of a field: `TIDEGATE_BLESS=1` writes them anew.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use tidegate_model::change::{Action, Change};
use tidegate_model::ports::WriteAsk;
use tidegate_model::span::OpId;
use tidegate_model::value::Value;
use tidegate_testkit::platform_suite::{change, number, text};

use crate::blessed::hold;
use crate::desk::SECRET;
use crate::lab::{Lab, ask, quiet};

fn everything(action: Action) -> Change {
    let at = (20_512_i64 * 86_400 + 37_805) * 1_000_000 + 750_000;
    change(
        action,
        "k 1",
        &[
            ("text", text("Ann \"x\" Ö\n")),
            ("empty", text("")),
            ("int", Value::Int(i64::MIN)),
            ("decimal", number("1200.00")),
            ("large", number("12345678901234567890123456789.0000000001")),
            ("float", Value::Float(0.1)),
            ("bool", Value::Bool(true)),
            ("date", Value::Date(20_512)),
            ("time", Value::Time(37_805_000_000)),
            ("local", Value::Timestamp(at)),
            ("instant", Value::TimestampTz(at)),
            ("bytes", Value::Binary(vec![0, 255])),
            ("json", Value::Json("{\"a\":1.50}".into())),
            ("list", Value::List(vec![text("a"), Value::Int(1)])),
            ("null", Value::Null),
        ],
    )
}

async fn sent(settings: Json) -> String {
    let lab = Lab::new(quiet(), &settings).await;
    for action in [Action::Create, Action::Update] {
        let asked = WriteAsk { op: OpId("run/1/p".to_owned()), ..ask() };
        lab.port.write(&asked, &[everything(action), change(action, "k2", &[("text", text("b"))])]).await.unwrap();
    }
    let mut out = String::new();
    let mut seen = lab.twin.requests();
    // Two are in flight at once.
    seen.sort_by_key(|seen| (seen.bytes, seen.target.clone()));
    for seen in seen {
        writeln!(
            out,
            "{} {} {}\n{}",
            seen.method,
            seen.target,
            seen.kind.unwrap_or_default(),
            String::from_utf8_lossy(&seen.body)
        )
        .unwrap();
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_each_type() {
    let auth = json!({ "method": "bearer", "token": SECRET });
    let url = "URL/contacts/{{key}}?by={{action}}";
    hold("http_usual.txt", &sent(json!({ "url": url, "method": "PUT", "auth": auth })).await);
    let body = json!({ "id": "{{key}}", "t": "{{changed.text}}", "said": "{{changed.decimal}} of {{changed.large}} on {{changed.instant}}", "n": [{ "d": "{{changed.decimal}}" }, 1], "all": "{{changed}}", "once": "{{idempotency_key}}" });
    hold("http_template.txt", &sent(json!({ "url": url, "method": "PUT", "auth": auth, "body": body, "headers": { "Content-Type": "application/vnd.x+json" } })).await);
    let batch = json!({ "size": 10, "body": { "contacts": "{{records}}", "once": "{{idempotency_key}}", "model": "{{model}}" } });
    hold("http_batch.txt", &sent(json!({ "url": "URL/bulk?by={{action}}", "auth": auth, "body": { "key": "{{key}}", "fields": "{{record}}" }, "batch": batch })).await);
}
