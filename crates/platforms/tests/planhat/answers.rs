//! Every shape that an answer may have: each record has the outcome that the twin's file shows.

use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_model::change::{Action, Outcome};
use tidegate_model::ports::WriteAsk;
use tidegate_model::value::Value;
use tidegate_testkit::platform_suite::{ask, change, company, new_op, text, write};
use tidegate_twins::{Fault, Knobs, Step};

use crate::lab::{Tenant, quiet, tenant, unsure};

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied { .. } => "applied",
        Outcome::Unchanged { .. } => "unchanged",
        Outcome::Rejected(why) if why.rule == "not_told" => "not told",
        Outcome::Rejected(_) => "refused",
        _ => "other",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_answer_is_told_record_by_record_in_every_shape() {
    let shapes = [
        ("error_items", "keys"),
        ("error_items", "item"),
        ("error_items", "text"),
        ("answer_keys", "all"),
        ("nonupdates_listed", "no"),
    ];
    for (name, choice) in shapes {
        let tenant = Tenant::with(unsure(name, choice), json!({})).await;
        let platform = tenant.port();
        company(platform, "same").await;
        company(platform, "old").await;
        // The twin knows of a key that is taken, we do not.
        let taken = change(Action::Create, "t", &[("name", text("T")), ("sourceId", text("S"))]);
        write(platform, &ask("company"), &[taken]).await;
        let batch = [
            change(Action::Create, "new", &[("name", text("New"))]),
            change(Action::Create, "same", &[("name", text("same"))]),
            change(Action::Create, "old", &[("name", text("Changed"))]),
            change(Action::Create, "bad", &[("name", text("Bad")), ("custom", text("x"))]),
        ];
        let outcomes = write(platform, &WriteAsk { op: new_op(), ..ask("company") }, &batch).await;
        let told: Vec<&str> = outcomes.iter().map(kind).collect();
        assert_eq!(told, ["applied", "unchanged", "applied", "refused"], "{name}: {choice}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_planhat_are_matched_or_not_believed() {
    for (choice, expected) in
        [("keys", ["applied", "refused"]), ("item", ["applied", "refused"]), ("text", ["applied", "refused"])]
    {
        let tenant = Tenant::with(unsure("error_items", choice), json!({})).await;
        let platform = tenant.port();
        let with_source = |key: &str| change(Action::Create, key, &[("name", text(key)), ("sourceId", text("taken"))]);
        write(platform, &ask("company"), &[with_source("first")]).await;
        // By its sourceId the second names the first record, whose externalId it would take.
        company(platform, "other").await;
        let clash = change(Action::Create, "other", &[("name", text("secret name")), ("sourceId", text("taken"))]);
        let good = change(Action::Create, "good", &[("name", text("Good"))]);
        let outcomes = write(platform, &WriteAsk { op: new_op(), ..ask("company") }, &[good, clash]).await;
        assert_eq!(outcomes.iter().map(kind).collect::<Vec<_>>(), expected, "{choice}");
        let Outcome::Rejected(why) = &outcomes[1] else { panic!("{outcomes:?}") };
        assert!(why.reason.contains("duplicated") && !why.reason.contains("secret"), "{}", why.reason);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_whole_took_nothing_and_may_be_split() {
    let answers = [
        (400, r#""a required key is missing""#, ErrorKind::BadRequest),
        (400, r#"{"createdErrors":["bad"],"created":0}"#, ErrorKind::BadRequest),
        (403, r#"{"message":"no permission"}"#, ErrorKind::Unauthorized),
        (413, "{}", ErrorKind::BadRequest),
    ];
    for (status, body, kind) in answers {
        let script = vec![Step::next("PUT", "/companies", Fault::Instead(status, body.to_owned()))];
        let tenant = Tenant::with(Knobs { script, ..quiet() }, json!({})).await;
        let batch = [change(Action::Create, "a", &[("name", text("A"))])];
        let error = tenant.port().write(&ask("company"), &batch).await.expect_err("refused");
        assert_eq!(error.kind, kind, "{status} {body}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_are_told_record_by_record() {
    let body = r#"{"created":1,"insertsKeys":[{"_id":"1","externalId":"a"}],"permissionErrors":[{"externalId":"b","message":"not yours"}]}"#;
    let script = vec![Step::next("PUT", "/companies", Fault::Instead(403, body.to_owned()))];
    let tenant = Tenant::with(Knobs { script, ..quiet() }, json!({})).await;
    let make = |key: &str| change(Action::Create, key, &[("name", text("N"))]);
    let outcomes = write(tenant.port(), &ask("company"), &[make("a"), make("b")]).await;
    assert_eq!(kind(&outcomes[0]), "applied");
    let Outcome::Rejected(why) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!((why.rule.as_str(), why.reason.contains("not yours")), ("permission", true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_nobody_mentions_is_no_success() {
    let body = r#"{"created":1,"insertsKeys":[{"_id":"1","externalId":"a"}],"createdErrors":[]}"#;
    let script = vec![Step::next("PUT", "/companies", Fault::Instead(200, body.to_owned()))];
    let tenant = Tenant::with(Knobs { script, ..quiet() }, json!({})).await;
    let make = |key: &str| change(Action::Create, key, &[("name", text("N"))]);
    let outcomes = write(tenant.port(), &ask("company"), &[make("a"), make("b")]).await;
    assert_eq!(outcomes.iter().map(kind).collect::<Vec<_>>(), ["applied", "not told"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_found_by_another_key_are_settled_by_counting() {
    let tenant = tenant().await;
    let mut by_source = ask("company");
    by_source.key = "sourceId".to_owned();
    let make = |key: &str, name: &str| change(Action::Create, key, &[("name", text(name))]);
    let first = write(tenant.port(), &by_source, &[make("1", "A"), make("2", "B")]).await;
    assert_eq!(first.iter().map(kind).collect::<Vec<_>>(), ["applied", "applied"]);
    let by_source = WriteAsk { op: new_op(), ..by_source };
    let again = write(tenant.port(), &by_source, &[make("1", "A"), make("2", "B")]).await;
    assert_eq!(again.iter().map(kind).collect::<Vec<_>>(), ["unchanged", "unchanged"]);
    let clear = change(Action::Update, "1", &[("phase", Value::Null)]);
    let cleared = write(tenant.port(), &WriteAsk { op: new_op(), ..by_source }, &[clear]).await;
    assert_eq!(kind(&cleared[0]), "unchanged");
}
