//! Lists page by page, single records by key.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tidegate_model::ErrorKind;
use tidegate_model::change::Action;
use tidegate_model::ports::{PlatformAsk, PlatformRead};
use tidegate_model::record::{Key, RecordRef, RemoteId};
use tidegate_model::sync::{Condition, Op};
use tidegate_model::value::Value;
use tidegate_testkit::platform_suite::{Row, asking, change, named, number, read, rows_of, text};
use tidegate_twins::{Fault, Knobs, Step};

use crate::lab::{Lab, by_id, paging, quiet};

fn settings(paging: Json) -> Json {
    let mut settings = by_id();
    settings["paging"] = paging;
    settings
}

async fn filled(paging: Json, count: usize) -> Lab {
    let lab = Lab::new(quiet(), &settings(paging)).await;
    for at in 0..count {
        let pairs = [("name", text(&format!("Name {at}"))), ("arr", number(&format!("{at}.50")))];
        lab.write(&[change(Action::Create, &format!("k{at:02}"), &pairs)]).await.unwrap();
    }
    lab.twin.forget_requests();
    lab
}

fn all(fields: &[&str]) -> PlatformAsk {
    PlatformAsk { page_rows: 4, ..asking("record", "key", fields) }
}

fn keys(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(|row| row["key"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_to_their_end_however_they_are_paged() {
    for (query, next) in [
        ("&after={{cursor}}", json!({ "by": "cursor", "at": "/next" })),
        ("&offset={{offset}}", json!({ "by": "offset" })),
        ("&page={{page}}", json!({ "by": "page" })),
        ("", json!({ "by": "link", "at": "/links/next" })),
        ("", json!({ "by": "link" })),
    ] {
        let lab = filled(paging(query, next.clone()), 10).await;
        let rows = read(&*lab.port, all(&["name", "arr", "city"])).await;
        assert_eq!((rows.len(), keys(&rows).len()), (10, 10), "{next}");
        assert_eq!((&rows[7]["name"], &rows[7]["arr"], rows[7].get("city")), (&text("Name 7"), &number("7.50"), None));
        assert_eq!(rows[7]["_id"], text("id-00007"));
        assert!(lab.twin.requests().len() >= 4, "{next}");
        assert!(!lab.twin.requests()[0].target.contains("after"), "the first page has no cursor: {next}");
        assert_eq!(lab.port.count(&named("record"), &[]).await.unwrap(), 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_and_keys_narrow_what_is_read() {
    let lab = filled(paging("&offset={{offset}}", json!({ "by": "offset" })), 10).await;
    let filter = vec![Condition { field: "arr".to_owned(), op: Op::Ge, value: "7.5".to_owned() }];
    let rows = read(&*lab.port, PlatformAsk { filter: filter.clone(), ..all(&["name"]) }).await;
    assert_eq!(rows.len(), 3);
    assert_eq!(lab.port.count(&named("record"), &filter).await.unwrap(), 3);
    let refs = ["id-00002", "id-00099", "id-00002"].map(|id| RecordRef::Remote(RemoteId::new(id)));
    let page = lab.port.fetch(&named("record"), "key", &["name".to_owned()], &refs).await.unwrap();
    let rows = rows_of(&page);
    assert_eq!((rows.len(), &rows[0]["key"], &rows[0]["name"]), (1, &text("k02"), &text("Name 2")));
    // Their address needs the id, which is not known of a key: they are found in the list.
    let refs = ["k01", "nobody", "k08"].map(|key| RecordRef::Key(Key::new(key)));
    let rows = rows_of(&lab.port.fetch(&named("record"), "key", &["name".to_owned()], &refs).await.unwrap());
    assert_eq!(rows.iter().map(|row| row["name"].to_string()).collect::<Vec<_>>(), ["Name 1", "Name 8"]);
    let bad = Condition { field: "arr".to_owned(), op: Op::Eq, value: "many".to_owned() };
    assert!(lab.port.count(&named("record"), &[bad]).await.is_err());
    assert!(lab.port.read(all(&["nobody"])).await.err().unwrap().hint.unwrap().contains("paging.fields"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_breaks_is_not_complete_and_one_that_does_not_move_is_told() {
    let cursor = || paging("&after={{cursor}}", json!({ "by": "cursor", "at": "/next" }));
    for (fault, kind) in [
        (Fault::Status(503), ErrorKind::Unavailable),
        (Fault::Lost, ErrorKind::Unavailable),
        (Fault::Status(429), ErrorKind::RateLimited),
        (Fault::Status(401), ErrorKind::Unauthorized),
        (Fault::Status(404), ErrorKind::NotFound),
        (Fault::Instead(200, "<html>".to_owned()), ErrorKind::Data),
        (Fault::Instead(200, "{}".to_owned()), ErrorKind::Data),
        (Fault::Instead(200, r#"{"data":[{"key":"x"}]}"#.to_owned()), ErrorKind::Data),
        (Fault::Instead(200, r#"{"data":[],"next":"c3"}"#.to_owned()), ErrorKind::Data),
    ] {
        let lab = filled(cursor(), 10).await;
        lab.twin.turn(Knobs {
            script: vec![Step { after: 1, ..Step::next("GET", "/contacts", fault.clone()) }],
            ..quiet()
        });
        let mut pages = lab.port.read(all(&["name"])).await.unwrap();
        let error = loop {
            match pages.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{fault:?}: told as complete"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, kind, "{fault:?}: {error}");
    }
    let changes = PlatformAsk { mode: PlatformRead::Since("x".to_owned()), ..all(&[]) };
    let lab = filled(cursor(), 0).await;
    assert!(lab.port.read(changes).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_another_host_is_not_followed() {
    let mut settings = settings(paging("", json!({ "by": "link" })));
    settings["headers"] = json!({ "X-Elsewhere": "10.0.0.1" });
    let lab = Lab::new(quiet(), &settings).await;
    for at in 0..4 {
        lab.write(&[change(Action::Create, &format!("k{at}"), &[("name", text("n")), ("arr", Value::Null)])])
            .await
            .unwrap();
    }
    let error = loop {
        let mut pages = lab.port.read(all(&[])).await.unwrap();
        if let Err(error) = pages.next().await {
            break error;
        }
    };
    assert!(error.message.contains("another host"), "{error}");
}
