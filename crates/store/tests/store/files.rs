//! The files of a SQLite state: where they lie, who may read them, what happens when they are not what they should be.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rusqlite::Connection;
use tidegate_model::ErrorKind;
use tidegate_model::ports::Memory;
use tidegate_store::{OpenOptions, Store};

use crate::base::*;

async fn refused(url: &str) -> tidegate_model::Error {
    let error = Store::open(url, &OpenOptions::default()).await.expect_err("it cannot be opened");
    assert!(error.hint.is_some(), "{error:?}");
    error
}

#[tokio::test]
async fn files_and_folder_are_made_and_private() {
    let place = Place::sqlite();
    let store = place.open().await;
    start(&store).await;
    let folder = place.file().parent().unwrap().to_owned();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 3, "the file, its log and its shared memory: {names:?}");
    for name in names {
        assert_eq!(mode(&name), 0o600, "{}", name.display());
    }
    drop(store);
    std::fs::set_permissions(place.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    place.open().await;
    assert_eq!(mode(&place.file()), 0o600, "one that was open to others is closed");
}

#[tokio::test]
async fn a_newer_form_is_refused() {
    let place = Place::sqlite();
    drop(place.open().await);
    let db = Connection::open(place.file()).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    let error = refused(&place.url).await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("form 99") && error.message.contains("state.db"), "{error}");
    db.pragma_update(None, "user_version", 6).unwrap();
    place.open().await;
}

#[tokio::test]
async fn an_empty_file_is_brought_forward_once() {
    let place = Place::sqlite();
    std::fs::create_dir_all(place.file().parent().unwrap()).unwrap();
    std::fs::write(place.file(), "").unwrap();
    let (first, second) = tokio::join!(place.open(), place.open());
    assert_eq!(first.store_id().await.unwrap(), second.store_id().await.unwrap());
    the_newest_form(&place);
}

fn the_newest_form(place: &Place) {
    let db = Connection::open(place.file()).unwrap();
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 6);
}

/// Locks of the switch to WAL and of the first migration meet in one round of many.
#[tokio::test]
async fn a_new_file_can_be_opened_by_several_at_once() {
    for _ in 0..20 {
        let place = Place::sqlite();
        let opened = futures_util::future::join_all((0..6).map(|_| place.open())).await;
        let first = opened[0].store_id().await.unwrap();
        for other in &opened {
            assert_eq!(other.store_id().await.unwrap(), first);
        }
        the_newest_form(&place);
    }
}

#[tokio::test]
async fn somebody_elses_database_is_refused() {
    let place = Place::sqlite();
    std::fs::create_dir_all(place.file().parent().unwrap()).unwrap();
    let db = Connection::open(place.file()).unwrap();
    db.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    let error = refused(&place.url).await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("not a state of tidegate"), "{error}");
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1, "nothing was added to it");
}

#[tokio::test]
async fn a_damaged_file_is_told() {
    let place = Place::sqlite();
    let store = place.open().await;
    let lease = start(&store).await;
    let mut it = settlement();
    it.entries = (0..5_000).map(|number| entry(&format!("k{number:05}"), None)).collect();
    store.settle(&lease, &it).await.unwrap();
    drop(store);
    // Into the file, and away with the log.
    Connection::open(place.file()).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut bytes = std::fs::read(place.file()).unwrap();
    for at in (8_192..bytes.len()).step_by(512) {
        bytes[at..at + 256].fill(0xa5);
    }
    std::fs::write(place.file(), &bytes).unwrap();
    let damaged = match Store::open(&place.url, &OpenOptions::default()).await {
        Err(error) => error,
        Ok(store) => store.scan(SYNC, None, 10_000).await.unwrap_err(),
    };
    assert_eq!(damaged.kind, ErrorKind::Data, "{damaged:?}");
    assert!(damaged.hint.unwrap().contains("backup"));

    std::fs::write(place.file(), "this is no database, but a text that is long enough to look like one").unwrap();
    let error = refused(&place.url).await;
    assert_eq!(error.kind, ErrorKind::Data);
    assert!(error.message.contains("state.db"), "{error}");
}

#[tokio::test]
async fn a_locked_file_says_so() {
    let mut place = Place::sqlite();
    place.options.lock_wait = Some(Duration::from_millis(50));
    let store = place.open().await;
    let lease = start(&store).await;
    let other = Connection::open(place.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.settle(&lease, &settlement()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Locked);
    assert!(error.message.contains("state.db"), "{error}");
    assert!(error.hint.unwrap().contains("try again"));
    store.state(SYNC).await.expect("who only reads is not disturbed");
    other.execute_batch("ROLLBACK").unwrap();
    store.settle(&lease, &settlement()).await.expect("the lock is gone");
}

#[tokio::test]
async fn paths_that_cannot_be_are_refused() {
    let place = Place::sqlite();
    let folder = place.file().parent().unwrap().to_owned();
    std::fs::create_dir_all(&folder).unwrap();
    let error = refused(&format!("sqlite:{}", folder.display())).await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("is a folder"), "{error}");
    std::fs::write(folder.join("file"), "").unwrap();
    let error = Store::open(&format!("sqlite:{}/file/state.db", folder.display()), &OpenOptions::default()).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Config);
    for url in ["sqlite:", "sqlite::memory:", "mysql://me:hunter2@db/x"] {
        let error = refused(url).await;
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
