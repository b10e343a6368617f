//! What is the hub's own: its commands, roll-ups, files and errors; on SQLite and on Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::TestHub;
use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_model::ports::{LoadMode, Platform};
use tidegate_model::sync::{Condition, Op};
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_platforms::hub::{Hub, open_hub};
use tidegate_platforms::{OpenContext, kinds, open};
use tidegate_testkit::platform_suite as suite;

macro_rules! on_both {
    ($($case:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case(crate::common::sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case(crate::common::postgres().await).await; })*
        }
    };
}

on_both! {
    a_person_lists_sets_unsets_and_deletes
    a_person_is_told_what_is_wrong
    rows_of_series_and_datasets_are_listed_as_their_fields
    who_is_forgotten_leaves_no_trace
    rollups_equal_what_the_rows_add_up_to
    large_pages_are_taken_once_wherever_they_overlap
    an_empty_place_can_be_opened_by_several_at_once
    writers_of_one_hub_do_not_get_in_each_others_way
}

fn args(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn only(field: &str, value: &str) -> Vec<Condition> {
    vec![Condition { field: field.to_owned(), op: Op::Eq, value: value.to_owned() }]
}

async fn a_person_lists_sets_unsets_and_deletes(hub: TestHub) {
    let set = args(&["name=Acme", "sourceId=S1", "custom.ARR=12.50", "tags=a, b", "domains=acme.com", "employees=7"]);
    let made = hub.set("company", "c1", &set).await.unwrap();
    assert_eq!(made["custom"], json!({"ARR": "12.50"}), "digits stay as they were typed");
    assert_eq!((&made["tags"], &made["employees"]), (&json!(["a", "b"]), &json!(7)));
    assert!(made["_id"].is_string() && made["createdAt"].is_string() && made["updatedAt"].is_string());
    let ann = hub.set("enduser", "u1", &args(&["email= Ann@Acme.com"])).await.unwrap();
    assert_eq!(
        (&ann["email"], &ann["companyExternalId"], &ann["sourceId"]),
        (&json!("ann@acme.com"), &json!("c1"), &json!(null))
    );
    assert_eq!(ann["companyId"], made["_id"]);
    let by_source = hub.set("company", "sourceId:S1", &args(&["phase=won"])).await.unwrap();
    assert_eq!((&by_source["_id"], &by_source["phase"]), (&made["_id"], &json!("won")));
    let id = made["_id"].as_str().unwrap();
    let by_id = hub.set("company", &format!("_id:{id}"), &args(&["name=Acme Ltd"])).await.unwrap();
    assert_eq!(by_id["name"], "Acme Ltd");
    let by_mail = hub.set("enduser", "email:ANN@acme.com", &args(&["name=Ann"])).await.unwrap();
    assert_eq!(by_mail["externalId"], "u1");
    hub.set("company", "c2", &args(&["name=Beta"])).await.unwrap();
    let keys = |list: Vec<serde_json::Value>| list.iter().map(|r| r["externalId"].clone()).collect::<Vec<_>>();
    assert_eq!(keys(hub.list("company", &[], 10).await.unwrap()), ["c1", "c2"]);
    assert_eq!(keys(hub.list("company", &[], 1).await.unwrap()), ["c1"]);
    assert_eq!(keys(hub.list("company", &only("custom.ARR", "12.5"), 10).await.unwrap()), ["c1"]);
    let cleared = hub.unset("company", "c1", &args(&["custom.ARR", "phase"])).await.unwrap();
    assert_eq!((&cleared["custom"], cleared.get("phase")), (&json!({}), None));
    assert_eq!(hub.delete("company", "c2").await.unwrap()["name"], "Beta");
    assert_eq!(hub.list("company", &[], 10).await.unwrap().len(), 1);
    assert_eq!(hub.again().list("company", &[], 10).await.unwrap().len(), 1, "another process sees it too");
}

async fn a_person_is_told_what_is_wrong(hub: TestHub) {
    let error = hub.set("company", "c", &args(&["nmae=x"])).await.unwrap_err();
    assert!(error.message.contains("did you mean \"name\"?"), "{error}");
    let error = hub.set("compani", "c", &args(&["name=x"])).await.unwrap_err();
    assert_eq!((error.kind, error.hint.as_deref()), (ErrorKind::NotFound, Some("did you mean \"company\"?")));
    let error = hub.set("company", "c", &args(&["phase=x"])).await.unwrap_err();
    assert!(error.message.contains("name is needed"), "{error}");
    let error = hub.set("company", "c", &args(&["name"])).await.unwrap_err();
    assert!(error.hint.unwrap().contains("field=value"));
    let error = hub.set("company", "c", &args(&["name=x", "employees=many"])).await.unwrap_err();
    assert!(error.message.contains("employees takes int64"), "{error}");
    let error = hub.delete("company", "nobody").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(hub.set("company", "_id:nobody", &args(&["name=x"])).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(hub.list("company", &only("nmae", "x"), 1).await.unwrap_err().kind, ErrorKind::NotFound);
    assert!(hub.list("company", &[], 10).await.unwrap().is_empty(), "nothing was made on the way");
}

const EVENTS: [(&str, Type); 6] = [
    ("id", Type::Int64),
    ("companyExternalId", Type::Text),
    ("email", Type::Text),
    ("action", Type::Text),
    ("weight", Type::Decimal { precision: 12, scale: 3 }),
    ("date", Type::TimestampTz),
];

async fn events(hub: &Hub, rows: &[Vec<Value>]) -> tidegate_model::ports::Loaded {
    let page = suite::page(&EVENTS, rows);
    let load = suite::load("usage", LoadMode::Append, Some("id"));
    hub.load(&suite::named("user_activity"), &load, suite::pages(vec![page])).await.unwrap()
}

fn event(id: i64, company: &str, email: &str, weight: &str, at: i64) -> Vec<Value> {
    let given = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
    let weight = Decimal::parse(weight).map_or(Value::Null, Value::Decimal);
    let action = Value::text(format!("action {}", id % 3));
    vec![Value::Int(id), given(company), given(email), action, weight, Value::TimestampTz(at)]
}

async fn rows_of_series_and_datasets_are_listed_as_their_fields(hub: TestHub) {
    suite::company(hub.port(), "c").await;
    events(&hub, &[event(1, "c", "", "2.500", 0)]).await;
    let listed = hub.list("user_activity", &[], 10).await.unwrap();
    assert_eq!(listed[0]["sourceKey"], "1");
    assert_eq!((&listed[0]["companyExternalId"], &listed[0]["weight"]), (&json!("c"), &json!("2.500")));
    assert_eq!((&listed[0]["action"], &listed[0]["date"]), (&json!("action 1"), &json!("1970-01-01T00:00:00Z")));
    let page = suite::page(&[("k", Type::Int64), ("Amount", Type::Text)], &[vec![Value::Int(1), Value::Null]]);
    let load = suite::load("s", LoadMode::Append, None);
    hub.load(&suite::named("dataset:d"), &load, suite::pages(vec![page])).await.unwrap();
    assert_eq!(hub.list("dataset:d", &[], 10).await.unwrap(), [json!({"k": 1, "Amount": null})]);
    assert!(hub.list("dataset:nobody", &[], 10).await.unwrap().is_empty());
}

/// What SQL says, all as text.
async fn sql(hub: &TestHub, sql: &str) -> Vec<Vec<Option<String>>> {
    if let Some(path) = hub.url.strip_prefix("sqlite:") {
        let conn = rusqlite::Connection::open(hub.path().join(path)).unwrap();
        let mut statement = conn.prepare(sql).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| (0..width).map(|at| row.get(at)).collect()).unwrap();
        return rows.map(Result::unwrap).collect();
    }
    let (client, connection) = tokio_postgres::connect(&hub.url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
}

fn texts(columns: &[&str]) -> String {
    columns.iter().map(|column| format!("CAST({column} AS TEXT)")).collect::<Vec<_>>().join(", ")
}

async fn rollups_equal_what_the_rows_add_up_to(hub: TestHub) {
    for company in ["a", "b"] {
        suite::company(hub.port(), company).await;
    }
    suite::enduser(hub.port(), "u", "u@x.com", "b").await;
    let at = |n: i64| (n * 7_777_777_777) % (4 * 86_400_000_000) - 86_400_000_000;
    let one = |n: i64| {
        let (company, email) = [("a", ""), ("b", "u@x.com"), ("", "u@x.com"), ("nobody", "")][n as usize % 4];
        let weight = ["1.5", "-0.001", "1000000.125", ""][n as usize % 4];
        event(n, company, email, weight, at(n))
    };
    let some = |ids: std::ops::Range<i64>| ids.map(one).collect::<Vec<_>>();
    events(&hub, &some(0..60)).await;
    let again = events(&hub, &some(30..90)).await;
    assert!(again.unchanged > 0 && !again.rejected.is_empty());
    let (rows, groups) = sums_of(&hub).await;
    assert!(rows > 60 && groups > 10);
}

/// Large pages go in by another way than small ones, and are looked at by sample first: what is there already may be
/// all of a page, a stretch of it, one row that no sample meets, or a row of the same page.
async fn large_pages_are_taken_once_wherever_they_overlap(hub: TestHub) {
    suite::company(hub.port(), "a").await;
    suite::enduser(hub.port(), "u", "u@x.com", "a").await;
    let day = |n: i64| n / 400;
    let one = |n: i64| {
        let weight = ["1.5", "-0.001", "100000000.125", "0", "", "120000"][n as usize % 6];
        let mut row = event(n, "a", "u@x.com", weight, day(n) * 86_400_000_000 + n);
        row[3] = Value::text(format!("action {}", n % 300));
        row
    };
    let mut with_old: Vec<Vec<Value>> = (4_000..5_000).map(one).collect();
    with_old[7] = one(3);
    let mut with_twin: Vec<Vec<Value>> = (5_000..6_000).map(one).collect();
    with_twin[9] = one(5_500);
    let plain = |ids: std::ops::Range<i64>| ids.map(one).collect::<Vec<_>>();
    let loads = [
        (plain(0..2_000), 2_000, 0),
        (plain(0..2_000), 0, 2_000),
        (plain(1_000..3_000), 1_000, 1_000),
        (plain(3_000..4_000), 1_000, 0),
        (with_old, 999, 1),
        (with_twin, 999, 1),
    ];
    for (number, (rows, created, unchanged)) in loads.into_iter().enumerate() {
        let load = suite::load("usage", LoadMode::Append, Some("id"));
        let pages = suite::pages(vec![suite::page(&EVENTS, &rows)]);
        let done = hub.load(&suite::named("user_activity"), &load, pages).await.unwrap();
        assert_eq!((done.created, done.unchanged, done.rejected.len()), (created, unchanged, 0), "load {number}");
    }
    let (rows, groups) = sums_of(&hub).await;
    assert_eq!(rows, 5_998);
    assert!(groups > 2 * 300 * 14, "{groups}");
}

/// Compares the roll-ups with the rows; how many there are of each.
async fn sums_of(hub: &TestHub) -> (usize, usize) {
    let mut sums: BTreeMap<Vec<String>, (i64, i64, Decimal, i64, Decimal)> = BTreeMap::new();
    let columns = texts(&["company", "enduser", "action", "weight", "times", "at"]);
    let rows = sql(hub, &format!("SELECT {columns} FROM hub_activity")).await;
    for row in &rows {
        let text = |at: usize| row[at].clone().unwrap_or_default();
        let (weight, times, at) =
            (Decimal::parse(&text(3)).unwrap(), text(4).parse::<i64>().unwrap(), text(5).parse::<i64>().unwrap());
        for (model, entity) in [("1", text(0)), ("2", text(1))].iter().filter(|(_, entity)| !entity.is_empty()) {
            let day = at.div_euclid(86_400_000_000).to_string();
            let group = vec!["1".to_owned(), (*model).to_owned(), entity.clone(), text(2), day];
            let zero = Decimal::from_i128(0, 0);
            let sum = sums.entry(group).or_insert((0, 0, zero, i64::MIN, zero));
            let added = sum.2.rescale(9).unwrap().unscaled().wrapping_add(weight.rescale(9).unwrap().unscaled());
            (sum.0, sum.1, sum.2) = (sum.0 + 1, sum.1 + times, Decimal::new(added, 9));
            if at > sum.3 {
                (sum.3, sum.4) = (at, weight);
            }
        }
    }
    let columns =
        texts(&["series", "model", "entity", "name", "day", "events", "times", "total", "last_at", "last_value"]);
    let kept = sql(hub, &format!("SELECT {columns} FROM hub_rollup")).await;
    assert_eq!(kept.len(), sums.len());
    for row in &kept {
        let row: Vec<String> = row.iter().map(|cell| cell.clone().unwrap()).collect();
        let (events, times, total, last_at, last) = &sums[&row[..5].to_vec()];
        assert_eq!((&row[5], &row[6], &row[8]), (&events.to_string(), &times.to_string(), &last_at.to_string()));
        assert_eq!((Decimal::parse(&row[7]).unwrap(), Decimal::parse(&row[9]).unwrap()), (*total, *last));
    }
    (rows.len(), kept.len())
}

async fn who_is_forgotten_leaves_no_trace(hub: TestHub) {
    suite::company(hub.port(), "c").await;
    suite::enduser(hub.port(), "u", "Secret@x.com", "c").await;
    suite::enduser(hub.port(), "v", "other@x.com", "c").await;
    events(&hub, &[event(1, "", "secret@x.com", "1", 0), event(2, "", "other@x.com", "1", 0)]).await;
    let rows = [vec![Value::Int(1), Value::text("secret@x.com")], vec![Value::Int(2), Value::text("other@x.com")]];
    let mut load = suite::load("s", LoadMode::Append, None);
    load.link.enduser = Some("mail".to_owned());
    let page = suite::page(&[("k", Type::Int64), ("mail", Type::Text)], &rows);
    hub.load(&suite::named("dataset:d"), &load, suite::pages(vec![page])).await.unwrap();
    assert_eq!(hub.forget("enduser", "u").await.unwrap(), 4, "record, activity, roll-up, dataset row");
    assert_eq!(hub.forget("enduser", "u").await.unwrap(), 0);
    for (model, left) in [("enduser", 1), ("user_activity", 1), ("dataset:d", 1)] {
        assert_eq!(hub.list(model, &[], 10).await.unwrap().len(), left, "{model}");
    }
    for table in ["hub_r_enduser", "hub_op"] {
        let rows = sql(&hub, &format!("SELECT CAST(count(*) AS TEXT) FROM {table}")).await;
        assert_eq!(rows[0][0].as_deref(), Some("1").filter(|_| table == "hub_r_enduser").or(Some("2")), "{table}");
    }
}

async fn an_empty_place_can_be_opened_by_several_at_once(hub: TestHub) {
    let in_files = hub.url.starts_with("sqlite");
    // Each on its own thread, as processes would; the locks of a first opening meet in one round of many.
    for round in 0..if in_files { 20 } else { 1 } {
        let url = if in_files { format!("sqlite:.tidegate/hub{round}.db") } else { hub.url.clone() };
        let opened = (0..6).map(|_| {
            let other = open_hub(&url, hub.path()).unwrap();
            tokio::spawn(async move { other.list("company", &[], 1).await })
        });
        for listed in futures_util::future::join_all(opened).await {
            assert!(listed.unwrap().unwrap().is_empty());
        }
    }
}

async fn writers_of_one_hub_do_not_get_in_each_others_way(hub: TestHub) {
    let set = |n: usize| {
        let hub = if n.is_multiple_of(2) { hub.again() } else { (*hub).clone() };
        async move { hub.set("company", &format!("c{n}"), &args(&["name=N"])).await }
    };
    let done = futures_util::future::join_all((0..24).map(set)).await;
    let ids: std::collections::BTreeSet<String> =
        done.into_iter().map(|made| made.unwrap()["_id"].to_string()).collect();
    assert_eq!(ids.len(), 24);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let hub = common::sqlite().await;
    hub.set("company", "c", &args(&["name=N"])).await.unwrap();
    for name in ["hub.db", "hub.db-wal"] {
        let mode = std::fs::metadata(hub.path().join(".tidegate").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_locked_file_and_a_strange_file_say_so() {
    let hub = common::sqlite().await;
    hub.set("company", "c", &args(&["name=N"])).await.unwrap();
    let other = rusqlite::Connection::open(hub.path().join(".tidegate/hub.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = hub.set("company", "c", &args(&["name=M"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Locked);
    assert!(error.message.contains("hub.db") && error.hint.is_some());
    other.execute_batch("ROLLBACK").unwrap();
    hub.set("company", "c", &args(&["name=M"])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.db"), "not a database, but long enough to be looked at as one").unwrap();
    let strange = open_hub("sqlite:x.db", folder.path()).unwrap();
    assert_eq!(strange.list("company", &[], 1).await.unwrap_err().kind, ErrorKind::Data);
    let findings = strange.check(&[]).await;
    assert_eq!(findings[0].finding, "connect");
}

#[tokio::test]
async fn errors_of_postgres_are_told_apart() {
    let url = common::new_database().await;
    let wrong = url.replacen("tidegate:tidegate@", "tidegate:wrong-password@", 1);
    assert_ne!(wrong, url, "the test server's user");
    let folder = tempfile::tempdir().unwrap();
    let error = open_hub(&wrong, folder.path()).unwrap().list("company", &[], 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(!format!("{error:?}").contains("wrong-password"));
    let missing = format!("{url}_nothing");
    let error = open_hub(&missing, folder.path()).unwrap().list("company", &[], 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let nobody = open_hub("postgres://u:hidden@127.0.0.1:1/d", folder.path()).unwrap();
    let error = nobody.list("company", &[], 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("hidden"));
}

#[tokio::test]
async fn connections_are_opened_by_type() {
    let folder = tempfile::tempdir().unwrap();
    let context =
        OpenContext { project_dir: folder.path().to_owned(), name: "crm".to_owned(), ..OpenContext::default() };
    assert!(kinds().contains(&"hub"));
    let hub = open("hub", &json!({"type": "hub", "url": "sqlite:x/hub.db"}), &context).unwrap();
    assert_eq!(hub.count(&suite::named("company"), &[]).await.unwrap(), 0);
    assert!(folder.path().join("x/hub.db").exists());
    let message = |kind: &str, config| open(kind, &config, &context).err().map(|e| format!("{e:?}")).unwrap();
    assert!(message("hubb", json!({})).contains("platforms are: hub"));
    let secret = message("hub", json!({"url": "mysql://u:hidden@h/d"}));
    assert!(secret.contains("crm") && !secret.contains("hidden"), "{secret}");
}
