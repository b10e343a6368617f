//! How much of the ledger Postgres touches for a batch. Plans go wrong where the planner knows nothing of a table that
//! was just filled, so this ledger has no statistics and gets none.

use tidegate_model::ports::{LedgerRecord, Memory};
use tidegate_model::record::{Key, RemoteId};

use crate::base::*;

/// Entries of the ledger.
const ENTRIES: usize = 20_000;
/// Keys of a batch, as the engine asks for them.
const BATCH: usize = 1_000;
/// Batches of each kind: after five executions Postgres may change from plans with values to plans without.
const BATCHES: usize = 8;

/// Rows that were read from a table so far. A session reports what it read when it ends, so all others have.
async fn touched(place: &Place, table: &str) -> i64 {
    let client = postgres_client().await;
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()";
    for _ in 0..500 {
        if client.query_one(ours, &[&place.schema()]).await.unwrap().get::<_, i64>(0) == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let sql = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables \
               WHERE schemaname = $1 AND relname = $2";
    client.query_one(sql, &[&place.schema(), &table]).await.unwrap().get(0)
}

fn full(number: usize, remote: usize) -> LedgerRecord {
    let mut it = entry(&format!("k{number:06}"), Some(&format!("r{remote:06}")));
    it.detail = vec![7; 40];
    it
}

/// A fresh state on the place, filled, its sessions ended.
async fn filled() -> Place {
    let place = Place::postgres();
    drop(place.open().await);
    let client = postgres_client().await;
    for table in ["ledger", "details"] {
        let sql = format!("ALTER TABLE {}.{table} SET (autovacuum_enabled = false)", place.schema());
        client.batch_execute(&sql).await.unwrap();
    }
    let store = place.open().await;
    let lease = start(&store).await;
    for from in (0..ENTRIES).step_by(BATCH) {
        let mut it = settlement();
        it.entries = (from..from + BATCH).map(|number| full(number, number)).collect();
        store.settle(&lease, &it).await.unwrap();
    }
    place
}

/// The keys of a batch lie all over the ledger.
fn batch(number: usize) -> Vec<usize> {
    (0..BATCH).map(|at| at * (ENTRIES / BATCH) + number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_touches_its_own_entries_and_no_others_without_statistics() {
    let place = filled().await;
    for what in ["entries", "by_remote", "put", "move", "remove"] {
        let before = (touched(&place, "ledger").await, touched(&place, "details").await);
        let store = place.open().await;
        let lease = store.claim(SYNC, "worker-1", at(100)).await.unwrap();
        for number in 0..BATCHES {
            let numbers = batch(number);
            let keys: Vec<Key> = numbers.iter().map(|number| full(*number, 0).entry.key).collect();
            let mut it = settlement();
            match what {
                "entries" => {
                    let found = store.entries(SYNC, &keys).await.unwrap();
                    assert!(found.iter().all(|found| found.as_ref().is_some_and(|it| it.detail.len() == 40)));
                }
                "by_remote" => {
                    let ids: Vec<RemoteId> = numbers.iter().map(|n| RemoteId::new(format!("r{n:06}"))).collect();
                    let found = store.by_remote(SYNC, &ids).await.unwrap();
                    assert!(found.into_iter().eq(keys.into_iter().map(Some)));
                }
                "put" => it.entries = numbers.iter().map(|number| full(*number, *number)).collect(),
                // Each takes over the remote id of its neighbour in the batch.
                "move" => {
                    let neighbour = |at: usize| numbers[(at + 1) % BATCH];
                    it.entries = numbers.iter().enumerate().map(|(at, n)| full(*n, neighbour(at))).collect();
                }
                _ => it.removed = keys,
            }
            store.settle(&lease, &it).await.unwrap();
        }
        drop(store);
        let now = (touched(&place, "ledger").await, touched(&place, "details").await);
        // Looking, letting go, writing, and old versions of rows on the way: a few per entry. A plan that reads the
        // sync's ledger for a batch touches twenty thousand, one that does so for each key millions.
        let most = i64::try_from(BATCHES * BATCH * 8).unwrap();
        let (ledger, details) = (now.0 - before.0, now.1 - before.1);
        assert!(ledger < most && details < most, "{what} touched {ledger} entries and {details} details of {most}");
    }
    place.drop_schema().await;
}
