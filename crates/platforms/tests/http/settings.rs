//! What is wrong with a connection or with a mapping is told before the first call, with its place.

use serde_json::{Value as Json, json};
use tidegate_model::ErrorKind;
use tidegate_model::ports::{Need, WriteColumn};
use tidegate_model::schema::{ModelName, Relation, Source};
use tidegate_model::sync::WriteMode;
use tidegate_model::value::Type;
use tidegate_platforms::{OpenContext, open};
use tidegate_testkit::platform_suite::named;

use crate::desk::SECRET;
use crate::lab::{Lab, bulk, by_id, by_key, connect, paging, quiet, refused};

fn with(base: Json, key: &str, value: Json) -> Json {
    let mut settings = base;
    settings[key] = value;
    settings
}

#[test]
fn what_cannot_work_is_refused_with_its_place() {
    let cases = [
        (with(by_key(), "body", json!({ "a": { "b": "{{nmae}}" } })), "body.a.b: the variable {{nmae}}"),
        (with(by_key(), "url", json!("URL/contacts/{{kye}}")), "url: the variable {{kye}}"),
        (with(by_key(), "url", json!({ "update": "https://{{key}}/" })), "url.update: "),
        (with(by_key(), "url", json!({})), "url names no address"),
        (with(by_key(), "method", json!("GET")), "method: \"GET\""),
        (with(by_key(), "method", json!({ "delete": "REMOVE" })), "method.delete"),
        (with(by_key(), "headers", json!({ "Host": "x" })), "headers.Host"),
        (with(by_key(), "headers", json!({ "Authorization": "x" })), "headers.Authorization: `auth` sets"),
        (with(by_key(), "headers", json!({ "X-A": "planted-secret\n" })), "headers.X-A"),
        (with(by_key(), "headers", json!({ "X-A": "{{records}}" })), "headers.X-A: the variable"),
        (with(by_key(), "success", json!({ "id": "data.id" })), "success.id"),
        (with(by_key(), "success", json!({ "status": [2000] })), "2000"),
        (with(by_key(), "success", json!({ "results": { "at": "/r" } })), "success.results is about batches"),
        (with(by_key(), "batch", json!({ "size": 0 })), "batch.size"),
        (with(by_key(), "batch", json!({ "body": "{{records}}" })), "batch.body"),
        (bulk(&json!({ "batch": { "size": 5, "body": { "x": 1 } } })), "batch.body sends no records"),
        (bulk(&json!({ "url": "URL/bulk/{{key}}" })), "url: the variable {{key}}"),
        (bulk(&json!({ "error": { "items": { "at": "/e" } } })), "error.items does not say which"),
        (with(by_id(), "paging", paging("", json!({ "by": "offset" }))), "carries {{offset}}"),
        (
            with(by_id(), "paging", with(paging("", json!({ "by": "link" })), "fields", json!({ "x": "varchar" }))),
            "paging.fields.x",
        ),
        (with(by_key(), "auth", json!({ "method": "bearer", "token": "" })), "auth.token is empty"),
        (with(by_key(), "auth", json!({ "method": "header", "name": "a b", "value": SECRET })), "auth.name"),
    ];
    for (settings, told) in cases {
        let error = refused(settings.clone());
        assert_eq!(error.kind, ErrorKind::Config, "{settings}");
        assert!(error.message.starts_with("connection hook: ") && error.message.contains(told), "{settings}: {error}");
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }
    for broken in [
        json!({}),
        json!({ "url": 5 }),
        json!({ "url": "URL/x", "success": { "statuses": SECRET } }),
        json!({ "url": "URL/x", "auth": { "method": SECRET } }),
    ] {
        let error = refused(broken.clone());
        assert!(error.hint.is_some() && !format!("{error:?}").contains("planted"), "{broken}: {error:?}");
    }
}

#[test]
fn addresses_inside_the_network_are_refused_unless_they_are_named() {
    let open = |url: &str, more: Json, private: &[&str]| {
        let mut settings = more;
        settings["url"] = json!(url);
        let private_targets = private.iter().map(|one| (*one).to_owned()).collect();
        open(
            "http",
            &settings,
            &OpenContext {
                project_dir: ".".into(),
                name: "hook".to_owned(),
                private_targets,
                ..OpenContext::default()
            },
        )
        .err()
    };
    for inside in [
        "http://127.0.0.1:1/",
        "https://169.254.169.254/latest/",
        "https://10.0.0.8/{{key}}",
        "https://[::1]/",
        "https://localhost/x",
    ] {
        let error = open(inside, json!({}), &[]).unwrap_or_else(|| panic!("{inside}"));
        assert!(
            error.message.contains("inside this network") && error.hint.unwrap().contains("private_targets"),
            "{inside}"
        );
    }
    assert!(open("https://10.0.0.8/x", json!({}), &["10.0.0.8"]).is_none());
    assert!(open("http://crm.internal/x", json!({}), &["crm.internal"]).is_none());
    let error = open("http://api.example.com/x", json!({}), &[]).expect("in the clear");
    assert!(error.message.contains("without TLS"), "{error}");
    let inner = json!({ "auth": { "method": "oauth", "token_url": "https://169.254.169.254/token", "client_id": "a", "client_secret": SECRET } });
    assert!(
        open("https://api.example.com/x", inner, &[]).expect("the token's address").message.contains("auth.token_url")
    );
    let list = json!({ "paging": { "url": "https://10.1.1.1/", "key": "/k" } });
    assert!(open("https://api.example.com/x", list, &[]).expect("the list's address").message.contains("paging.url"));
}

/// A name that leads inside is found out when it is called, and trying again does not help.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_inside_is_not_called() {
    let settings = json!({ "url": "https://ip6-localhost/x", "body": "{{key}}" });
    let context = OpenContext { name: "hook".to_owned(), ..OpenContext::default() };
    let hook = open("http", &settings, &context).unwrap();
    let one = [tidegate_testkit::platform_suite::change(tidegate_model::change::Action::Create, "a", &[])];
    let error = hook.write(&crate::lab::ask(), &one).await.unwrap_err();
    // Where the machine has no such name it cannot be resolved; never is it called.
    assert!(
        error.kind == ErrorKind::Config && error.message.contains("inside this network")
            || error.kind == ErrorKind::Unavailable,
        "{error:?}"
    );
}

#[tokio::test]
async fn models_are_those_that_the_templates_know() {
    let lab = Lab::new(quiet(), &by_key()).await;
    let names: Vec<ModelName> = lab.port.models().await.unwrap().into_iter().map(|model| model.name).collect();
    assert_eq!(names, [named("record")]);
    let error = lab.port.model(&named("contact")).await.unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && error.hint.unwrap().contains("model: record"));
    let several = connect("http://127.0.0.1:1", &with(by_key(), "url", json!("URL/{{model}}/{{key}}"))).unwrap();
    assert_eq!(several.model(&named("contacts")).await.unwrap().keys, ["key"]);
    assert!(several.model(&named("../x")).await.is_err() && several.model(&named("..")).await.is_err());
    let abilities = lab.port.abilities(&named("record"));
    assert!(abilities.whole && abilities.delete && !abilities.read && abilities.keyed);
    let other = connect("http://127.0.0.1:1", &bulk(&json!({}))).unwrap();
    assert_eq!((other.abilities(&named("record")).whole, other.abilities(&named("record")).max_batch), (false, 50));
    assert!(lab.port.limits(&named("record"), None).single && !other.limits(&named("record"), None).single);
}

#[tokio::test]
async fn check_names_what_mapping_and_templates_do_not_share() {
    let relation = || Relation(vec!["record".to_owned()]);
    let column = |name: &str| WriteColumn { name: name.to_owned(), logical: Type::Text, nulls: true, max_length: None };
    let write = |names: &[&str], mode| Need::Write {
        relation: relation(),
        key: Some("key".to_owned()),
        columns: names.iter().map(|name| column(name)).collect(),
        mode,
    };
    let found = async |settings: Json, needs: Vec<Need>| -> Vec<String> {
        let port = connect("http://127.0.0.1:1", &settings).unwrap();
        port.check(&needs).await.into_iter().map(|finding| finding.finding).collect()
    };
    let both = ["name", "arr"];
    assert_eq!(found(by_key(), vec![Need::Connect, write(&both, WriteMode::Upsert)]).await, Vec::<String>::new());
    assert_eq!(found(by_key(), vec![write(&["name", "arr", "more"], WriteMode::Upsert)]).await, ["unsent_field"]);
    assert_eq!(found(by_key(), vec![write(&["name"], WriteMode::Upsert)]).await, ["unmapped_variable"]);
    let all = with(by_key(), "body", json!("{{record}}"));
    assert_eq!(found(all.clone(), vec![write(&["a", "b"], WriteMode::Upsert)]).await, Vec::<String>::new());
    let read =
        Need::Read { source: Source::Relation(relation()), columns: vec!["name".to_owned(), "other".to_owned()] };
    assert_eq!(found(by_key(), vec![read.clone()]).await, ["unreadable_platform"]);
    let readable = with(by_id(), "paging", paging("", json!({ "by": "link" })));
    assert_eq!(found(readable, vec![read.clone()]).await, ["undeclared_field"]);
    let listed = with(all, "paging", paging("", json!({ "by": "link" })));
    let names = Need::Read { source: Source::Relation(relation()), columns: vec!["name".to_owned()] };
    assert_eq!(found(listed, vec![names, write(&["name"], WriteMode::Upsert)]).await, ["whole_record_two_way"]);
    let creates = with(by_id(), "url", json!({ "create": "URL/contacts" }));
    assert_eq!(found(creates, vec![write(&both, WriteMode::Upsert)]).await, ["no_address"]);
    let unsure = with(by_id(), "headers", json!({}));
    assert_eq!(found(unsure, vec![write(&both, WriteMode::Upsert)]).await, ["uncertain_writes"]);
}
