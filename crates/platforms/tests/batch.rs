//! Batch on its twin: what is sent, what becomes of every answer, which records would be ignored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidegate_model::ErrorKind;
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::ports::{Need, Platform, WriteAsk, WriteColumn};
use tidegate_model::record::Key;
use tidegate_model::schema::{ModelName, Relation};
use tidegate_model::sync::WriteMode;
use tidegate_model::value::{Type, Value};
use tidegate_platforms::{OpenContext, open};
use tidegate_testkit::platform_suite::{change, number, text};
use tidegate_twins::batch::{Batch, KEY, PROJECT};
use tidegate_twins::{Fault, Knobs, Limits, Running, Start, Step, start};

#[path = "common/failures.rs"]
mod failures;
#[path = "common/golden.rs"]
mod golden;

struct Lab {
    twin: Running,
    batch: Arc<dyn Platform>,
}

fn quiet() -> Knobs {
    Knobs { limits: Limits::Off, ..Knobs::default() }
}

fn connect(url: &str, settings: &Json) -> Result<Arc<dyn Platform>, tidegate_model::Error> {
    let mut config = json!({ "project_key": PROJECT, "rest_api_key": KEY, "url": url });
    for (key, value) in settings.as_object().unwrap() {
        config[key] = value.clone();
    }
    open(
        "batch",
        &config,
        &OpenContext { project_dir: PathBuf::from("."), name: "cep".to_owned(), ..OpenContext::default() },
    )
}

async fn lab(knobs: Knobs, settings: Json) -> Lab {
    let twin = start(Arc::new(Batch::default()), Start { knobs, ..Start::default() }).await.unwrap();
    let batch = connect(&twin.url(), &settings).unwrap();
    Lab { twin, batch }
}

impl Lab {
    fn held(&self) -> Vec<Json> {
        self.twin.holds(20_000).unwrap().remove(0).newest
    }
    fn attributes(&self, id: &str) -> Json {
        self.held().into_iter().find(|one| one["custom_id"] == id).map_or(Json::Null, |one| one["attributes"].clone())
    }
}

fn ask(records: u64) -> WriteAsk {
    let own = [
        ("name", Type::Text),
        ("visits", Type::Int64),
        ("arr", Type::Decimal { precision: 12, scale: 2 }),
        ("digits", Type::Decimal { precision: 38, scale: 0 }),
        ("ratio", Type::Float64),
        ("active", Type::Bool),
        ("since", Type::Date),
        ("seen", Type::TimestampTz),
        ("left", Type::TimestampTz),
        ("site", Type::Text),
        ("tags", Type::List),
        ("gone", Type::Text),
    ];
    WriteAsk {
        model: ModelName("profile".into()),
        key: "custom_id".into(),
        new_fields: own.iter().map(|(name, logical)| (format!("custom.{name}"), *logical)).collect(),
        addresses: vec!["custom.site".into()],
        records,
        ..tidegate_testkit::platform_suite::ask("profile")
    }
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| Value::text(*item)).collect())
}

fn everything() -> Change {
    change(
        Action::Create,
        "42",
        &[
            ("$email_address", text("ann@example.com")),
            ("$email_marketing", Value::Null),
            ("$topic_preferences", list(&["news", "sport"])),
            ("custom.name", text("Ann \"x\" Ö")),
            ("custom.visits", Value::Int(7)),
            ("custom.arr", number("1200.00")),
            ("custom.digits", number("12345678901234567890")),
            ("custom.ratio", Value::Float(1.0)),
            ("custom.active", Value::Bool(true)),
            ("custom.since", Value::Date(20_512)),
            // 10:30:05.75 UTC: cut to the second, which is the normal form that the connector names.
            ("custom.seen", Value::TimestampTz((20_512 * 86_400 + 37_805) * 1_000_000 + 750_000)),
            ("custom.left", Value::Null),
            ("custom.site", text("https://example.com/a")),
            ("custom.tags", list(&["a", "b"])),
            ("custom.groups.add", list(&["x"])),
            ("custom.groups.remove", list(&["y"])),
            ("custom.gone", Value::Null),
        ],
    )
}

fn named(id: &str) -> Change {
    change(Action::Create, id, &[("custom.name", text(&format!("name of {id}"))), ("custom.visits", Value::Int(1))])
}

fn created(outcome: &Outcome) -> Vec<FieldReject> {
    match outcome {
        Outcome::Applied { effect: Effect::Created, dropped, .. } => dropped.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_is_sent_as_the_golden_request_and_kept_under_its_type() {
    let lab = lab(quiet(), json!({})).await;
    let outcomes = lab.batch.write(&ask(1), &[everything()]).await.unwrap();
    assert_eq!(created(&outcomes[0]), []);
    let seen = &lab.twin.requests()[0];
    assert_eq!(seen.target, "/2.11/profiles/update");
    golden::hold("batch/attributes.json", &String::from_utf8_lossy(&seen.body));
    let kept = lab.attributes("42");
    assert_eq!(kept["float:arr"].to_string(), "1200.00", "a whole amount stays a float");
    assert_eq!(kept["integer:visits"].to_string(), "7");
    assert_eq!(kept["date:seen"], "2026-02-28T10:30:05Z");
    assert_eq!(kept["url:site"], "https://example.com/a");
    assert_eq!(kept["array:groups"], json!(["x"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_deletes_also_dates_and_addresses_whichever_name_batch_wants() {
    for (wants, setting) in [("any", "typed"), ("typed", "typed"), ("plain", "plain"), ("any", "plain")] {
        let knobs = Knobs { unsure: [("null_key".to_owned(), wants.to_owned())].into(), ..quiet() };
        let lab = lab(knobs, json!({ "null_key": setting })).await;
        lab.batch.write(&ask(1), &[everything()]).await.unwrap();
        let nulls = ["custom.since", "custom.site", "custom.name"].map(|name| (name, Value::Null));
        lab.batch.write(&ask(1), &[change(Action::Update, "42", &nulls)]).await.unwrap();
        let kept = lab.attributes("42");
        for gone in ["date:since", "url:site", "string:name"] {
            assert!(kept.get(gone).is_none(), "{gone} with {wants}/{setting}: {kept}");
        }
        assert!(kept.get("integer:visits").is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_is_chosen_by_the_size_of_the_work() {
    let lab = lab(quiet(), json!({})).await;
    let records = |count: usize| (0..count).map(|at| named(&format!("p{at}"))).collect::<Vec<_>>();
    for (all, batch, path) in [
        (1, 1, "/2.11/profiles/update"),
        (1_000, 200, "/2.11/profiles/update"),
        (1_001, 200, "/2.11/profiles/mass-update"),
        (50_000, 5_000, "/2.11/profiles/mass-update"),
        (500, 500, "/2.11/profiles/mass-update"),
    ] {
        lab.twin.forget_requests();
        let outcomes = lab.batch.write(&ask(all), &records(batch)).await.unwrap();
        assert_eq!(outcomes.len(), batch);
        assert_eq!(lab.twin.requests().iter().map(|one| one.target.as_str()).collect::<Vec<_>>(), [path], "{all}");
    }
    let profile = ModelName("profile".into());
    let (few, many) = (lab.batch.limits(&profile, Some(1_000)), lab.batch.limits(&profile, Some(1_001)));
    assert_eq!((few.records_per_second, few.burst_records, few.batch), (Some(300), Some(1_000), Some(200)));
    assert_eq!((many.records_per_second, many.batch), (Some(10_000), Some(10_000)));
    // The documented maximum holds at the twin, which refuses a call over it as a whole.
    let over = lab.batch.write(&ask(50_000), &records(10_001)).await.unwrap_err();
    assert_eq!(over.kind, ErrorKind::BadRequest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_batch_ignored_becomes_dropped_fields_and_rejects() {
    for names in ["attribute", "bare", "nothing"] {
        let knobs = Knobs { unsure: [("partial".to_owned(), names.to_owned())].into(), ..quiet() };
        let lab = lab(knobs, json!({})).await;
        let bad = change(
            Action::Create,
            "b",
            &[("custom.site", text("no-address-SECRET")), ("custom.name", text("kept")), ("$language", text("SECRET"))],
        );
        let outcomes = lab.batch.write(&ask(3), &[named("a"), bad, named("c")]).await.unwrap();
        assert_eq!((created(&outcomes[0]), created(&outcomes[2])), (vec![], vec![]));
        assert!(!format!("{outcomes:?}").contains("SECRET"), "{outcomes:?}");
        if names == "nothing" {
            assert!(matches!(&outcomes[1], Outcome::Rejected(why) if why.rule == "ignored"), "{:?}", outcomes[1]);
        } else {
            let dropped: Vec<_> = created(&outcomes[1]).into_iter().map(|one| (one.field.unwrap(), one.rule)).collect();
            let expected = ["$language", "custom.site"].map(|field| (field.to_owned(), "ignored".to_owned()));
            assert_eq!(dropped, expected);
        }
        assert_eq!(lab.attributes("b")["string:name"], "kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_names_no_record_delivers_none() {
    let told = r#"{"code":"SUCCESS_WITH_PARTIAL_ERRORS","errors":[{"category":"X","reason":"something"}]}"#;
    for body in [told.to_owned(), told.replace("\"category\"", "\"bulk_index\":9,\"category\"")] {
        let script = vec![Step::next("POST", "/2.11", Fault::Instead(202, body))];
        let lab = lab(Knobs { script, ..quiet() }, json!({})).await;
        let outcomes = lab.batch.write(&ask(2), &[named("a"), named("b")]).await.unwrap();
        let refused = |one: &Outcome| matches!(one, Outcome::Rejected(why) if why.rule == "partial_error");
        assert!(outcomes.iter().all(refused), "{outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_is_classified_and_no_secret_is_in_it() {
    let own = vec![
        (Fault::Instead(202, "{}".into()), ErrorKind::Lost),
        (Fault::Instead(202, r#"{"code":"MAYBE"}"#.into()), ErrorKind::Lost),
    ];
    failures::classified("/2.11", own, KEY, async |knobs| {
        lab(knobs, json!({})).await.batch.write(&ask(1), &[named("a")]).await.unwrap_err()
    })
    .await;
    let wrong = lab(quiet(), json!({ "rest_api_key": "planted-secret-1" })).await;
    let error = wrong.batch.write(&ask(1), &[named("a")]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(!format!("{error:?}").contains("planted-secret-1") && error.message.contains("AUTHENTICATION_INVALID"));
    let gone = connect("http://127.0.0.1:1", &json!({})).unwrap();
    assert_eq!(gone.write(&ask(1), &[named("a")]).await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_is_an_option_and_settings_are_checked() {
    let lab = lab(quiet(), json!({ "api_version": "2.4" })).await;
    lab.batch.write(&ask(1), &[named("a")]).await.unwrap();
    assert_eq!(lab.twin.requests()[0].target, "/2.4/profiles/update");
    for settings in [
        json!({ "api_version": "latest" }),
        json!({ "url": "http://api.batch.com" }),
        json!({ "rest_api_key": "planted-secret-2\n" }),
        json!({ "project_key": "" }),
    ] {
        let error = connect("https://api.batch.com", &settings).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.hint.is_some() && !format!("{error:?}").contains("planted-secret"), "{error:?}");
    }
}

#[tokio::test]
async fn check_names_what_batch_would_ignore_in_every_record() {
    let lab = lab(quiet(), json!({})).await;
    let needs = |columns: Vec<(String, Type)>| {
        let column = |(name, logical)| WriteColumn { name, logical, nulls: true, max_length: None };
        let columns = columns.into_iter().map(column).collect();
        let relation = Relation(vec!["profile".into()]);
        [Need::Connect, Need::Write { relation, key: Some("custom_id".into()), columns, mode: WriteMode::Upsert }]
    };
    let found = |columns: Vec<(String, Type)>| {
        let (batch, needs) = (lab.batch.clone(), needs(columns));
        async move { batch.check(&needs).await.into_iter().map(|one| one.finding).collect::<Vec<_>>() }
    };
    let own = |name: &str, logical| (format!("custom.{name}"), logical);
    assert_eq!(found(vec![own("plan", Type::Text), own("tags.add", Type::List)]).await, Vec::<String>::new());
    assert_eq!(found(vec![own("Plan Name", Type::Text)]).await, ["attribute_name"]);
    assert_eq!(found(vec![own("tags.add", Type::Text)]).await, ["type_conflict"]);
    assert_eq!(found(vec![own("tags.add", Type::List), own("tags", Type::List)]).await, ["list_twice"]);
    assert_eq!(found((0..51).map(|at| own(&format!("a{at}"), Type::Text)).collect()).await, ["too_many_attributes"]);
    assert_eq!(found((0..16).map(|at| own(&format!("a{at}"), Type::List)).collect()).await, ["too_many_lists"]);
    let events = lab.batch.model(&ModelName("event".into())).await.unwrap_err();
    assert!(events.message.contains("events of Batch are not written"));
    assert!(!lab.batch.abilities(&ModelName("profile".into())).read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_may_be_sent_again() {
    let script = vec![Step::next("POST", "/2.11", Fault::Lost)];
    let lab = lab(Knobs { script, ..quiet() }, json!({})).await;
    let once = Change { key: Key::new("a"), ..everything() };
    assert_eq!(lab.batch.write(&ask(1), std::slice::from_ref(&once)).await.unwrap_err().kind, ErrorKind::Lost);
    let first = lab.attributes("a");
    lab.batch.write(&ask(1), &[once]).await.unwrap();
    assert_eq!((lab.attributes("a"), lab.held().len()), (first, 1), "the same profile, nothing twice");
    assert!(lab.batch.abilities(&ModelName("profile".into())).keyed);
}
