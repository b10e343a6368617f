//! Postgres alone: its schema, its refusals, its lost connections.

use std::time::Duration;

use tidegate_model::ErrorKind;
use tidegate_model::ports::Memory;
use tidegate_store::{OpenOptions, Store};

use crate::base::*;

async fn refused(url: &str, options: &OpenOptions) -> tidegate_model::Error {
    let error = Store::open(url, options).await.expect_err("it cannot be opened");
    assert!(error.hint.is_some(), "{error:?}");
    error
}

#[tokio::test]
async fn postgres_refuses_a_newer_form() {
    let place = Place::postgres();
    drop(place.open().await);
    let client = postgres_client().await;
    client.batch_execute(&format!("UPDATE {}.store_schema SET version = 99", place.schema())).await.unwrap();
    let error = refused(&place.url, &place.options).await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("form 99"), "{error}");
    place.drop_schema().await;
}

#[tokio::test]
async fn postgres_is_made_once_by_many() {
    let place = Place::postgres();
    let (a, b, c) = tokio::join!(place.open(), place.open(), place.open());
    let id = a.store_id().await.unwrap();
    assert_eq!((b.store_id().await.unwrap(), c.store_id().await.unwrap()), (id.clone(), id));
    place.drop_schema().await;
}

#[tokio::test]
async fn postgres_says_what_is_wrong_with_its_address() {
    let url = postgres_url();
    let (login, place) = url.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let (host, _) = place.split_once('/').unwrap();
    let options = OpenOptions::default();
    for (url, kind) in [
        (format!("postgres://nobody:hunter2@{place}"), ErrorKind::Unauthorized),
        (format!("postgres://{login}@{host}/no_such_database"), ErrorKind::NotFound),
        ("postgres://me:hunter2@127.0.0.1:1/x".to_owned(), ErrorKind::Unavailable),
        (format!("{url}?sslmode=require"), ErrorKind::Config),
        (format!("{url}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"), ErrorKind::NotFound),
        (format!("{url}?sslcert=/nowhere/me.pem"), ErrorKind::Config),
        ("postgres://me:hunter2@db:port/x".to_owned(), ErrorKind::Config),
    ] {
        let error = refused(&url, &options).await;
        assert_eq!(error.kind, kind, "{url}: {error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn postgres_waits_for_a_lock_only_so_long() {
    let mut place = Place::postgres();
    place.options.lock_wait = Some(Duration::from_millis(500));
    let store = place.open().await;
    let lease = start(&store).await;
    let other = postgres_client().await;
    other.batch_execute(&format!("BEGIN; LOCK TABLE {}.syncs", place.schema())).await.unwrap();
    let error = store.settle(&lease, &settlement()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Locked, "{error:?}");
    other.batch_execute("ROLLBACK").await.unwrap();
    store.settle(&lease, &settlement()).await.expect("the session is still good");
    place.drop_schema().await;
}

#[tokio::test]
async fn postgres_may_hang_up_between_calls() {
    let mut place = Place::postgres();
    // The name under which the server lists our sessions.
    place.url = format!("{}?application_name={}", place.url, place.schema());
    let store = place.open().await;
    let lease = start(&store).await;
    let client = postgres_client().await;
    let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
    let ended: i64 = client.query_one(sessions, &[&place.schema()]).await.unwrap().get(0);
    assert!(ended > 0);
    while client.query_one(sessions, &[&place.schema()]).await.unwrap().get::<_, i64>(0) > 0 {}
    store.settle(&lease, &settlement()).await.expect("a new session is opened");
    place.drop_schema().await;
}

#[tokio::test]
async fn postgres_without_space_says_so() {
    let place = Place::postgres();
    let store = place.open().await;
    let lease = start(&store).await;
    let before = listing(&store).await;
    // The server's own words when a file cannot grow, raised in the middle of a settlement.
    let client = postgres_client().await;
    client
        .batch_execute(&format!(
            "SET search_path TO {}; CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'could not extend file \"base/5/16384\": wrote only 4096 of 8192 bytes' \
             USING ERRCODE = '53100'; END $$; \
             CREATE TRIGGER full_disk BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION full_disk()",
            place.schema()
        ))
        .await
        .unwrap();
    let mut it = settlement();
    it.entries = vec![entry("a", None)];
    it.history = vec![write("a", "1", "2")];
    let error = store.settle(&lease, &it).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::DiskFull);
    assert!(error.to_string().contains("base/5/16384") && error.to_string().contains("4096 of 8192 bytes"), "{error}");
    assert_eq!(listing(&store).await, before);
    client.batch_execute("DROP TRIGGER full_disk ON history").await.unwrap();
    store.settle(&lease, &it).await.expect("there is space again");
    place.drop_schema().await;
}
