//! States of an older form are brought forward with what stands in them.

use tidegate_model::ports::{IntentBatch, Memory};
use tidegate_store::Store;

use crate::base::*;

on_both!(answers_of_open_batches_come_along);

const SQLITE: [&str; 5] = [
    include_str!("../../migrations/sqlite/0001_state.sql"),
    include_str!("../../migrations/sqlite/0002_access.sql"),
    include_str!("../../migrations/sqlite/0003_crew.sql"),
    include_str!("../../migrations/sqlite/0004_shards.sql"),
    include_str!("../../migrations/sqlite/0005_judged_shards.sql"),
];
const POSTGRES: [&str; 5] = [
    include_str!("../../migrations/postgres/0001_state.sql"),
    include_str!("../../migrations/postgres/0002_access.sql"),
    include_str!("../../migrations/postgres/0003_crew.sql"),
    include_str!("../../migrations/postgres/0004_shards.sql"),
    include_str!("../../migrations/postgres/0005_judged_shards.sql"),
];

/// Makes a state of the fifth form with these rows in it.
async fn fifth_form(place: &Place, rows: &str) {
    if place.is_sqlite() {
        std::fs::create_dir_all(place.file().parent().unwrap()).unwrap();
        let db = rusqlite::Connection::open(place.file()).unwrap();
        db.execute_batch(&SQLITE.concat()).unwrap();
        db.execute_batch("PRAGMA user_version = 5; PRAGMA application_id = 1414087763").unwrap();
        db.execute_batch(rows).unwrap();
        return;
    }
    let client = postgres_client().await;
    let schema = place.schema();
    client.batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path TO {schema}")).await.unwrap();
    client
        .batch_execute("CREATE TABLE store_schema (version BIGINT); INSERT INTO store_schema VALUES (5)")
        .await
        .unwrap();
    client.batch_execute(&POSTGRES.concat()).await.unwrap();
    client.batch_execute(rows).await.unwrap();
}

async fn answers_of_open_batches_come_along(place: &Place) {
    let open = span("s1", None, Some("10"));
    let blob = |text: &str| {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        if place.is_sqlite() { format!("x'{hex}'") } else { format!("'\\x{hex}'") }
    };
    let payload = |number: u32| blob(&String::from_utf8(batch("s1", number).payload).unwrap());
    let json = serde_json::to_string(&open).unwrap();
    let rows = format!(
        "INSERT INTO syncs (name, epoch, seen_at, expires_at) VALUES ('{SYNC}', 7, 0, 0); \
         INSERT INTO open_spans (id, sync, span, next_batch) VALUES ('s1', 1, '{json}', 0); \
         INSERT INTO intents (span, number, side, payload, answer, settled) VALUES \
         ('s1', 0, 'platform', {}, {}, 0), ('s1', 1, 'platform', {}, NULL, 0), ('s1', 2, 'platform', {}, NULL, 1)",
        payload(0),
        blob("all of them landed"),
        payload(1),
        blob("")
    );
    fifth_form(place, &rows).await;

    let store = place.open().await;
    let answered = IntentBatch { answer: Some(b"all of them landed".to_vec()), ..batch("s1", 0) };
    let found = store.open_spans(SYNC).await.unwrap().remove(0);
    assert_eq!((found.span, found.next_batch), (open.clone(), 0));
    assert_eq!(found.batches, [answered, batch("s1", 1)]);
    drop(store);
    goes_on(&place.open().await, open).await;
}

/// The span is answered, settled and closed as if it had never had another form.
async fn goes_on(store: &Store, open: tidegate_model::span::Span) {
    let lease = start(store).await;
    store.answer(&lease, "s1", 1, b"these too").await.unwrap();
    assert_eq!(store.open_spans(SYNC).await.unwrap()[0].batches[1].answer.as_deref(), Some(b"these too".as_slice()));
    for (number, next) in [(0, 1), (1, 3)] {
        let mut one = settlement();
        one.batch = Some(("s1".to_owned(), number));
        store.settle(&lease, &one).await.unwrap();
        assert_eq!(store.open_spans(SYNC).await.unwrap()[0].next_batch, next, "behind the one that was settled before");
    }
    let mut close = settlement();
    close.close = Some(open);
    store.settle(&lease, &close).await.unwrap();
    assert!(store.open_spans(SYNC).await.unwrap().is_empty());
}
