//! Places to keep a state in, and short words for what the tests say often.

use tempfile::TempDir;
use tidegate_model::change::{FieldReject, Reject};
use tidegate_model::ports::{
    Conflict, ConflictState, Delivered, HistoryEntry, IntentBatch, Lease, LedgerEntry, LedgerRecord, Memory, Settlement,
};
use tidegate_model::record::{Fields, Key, RemoteId};
use tidegate_model::run::{Books, RunRecord, RunStatus};
use tidegate_model::span::{Position, Span};
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;
use tidegate_model::value::Value;
use tidegate_store::{OpenOptions, Store};

/// Runs each test of a module on both backends.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&$crate::base::Place::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let place = $crate::base::Place::postgres();
                super::$name(&place).await;
                place.drop_schema().await;
            })*
        }
    };
}
pub(crate) use on_both;

/// A place for a state of one test's own.
pub struct Place {
    pub url: String,
    pub options: OpenOptions,
    folder: Option<TempDir>,
}

impl Place {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/state/state.db", folder.path().display());
        Self { url, options: OpenOptions::default(), folder: Some(folder) }
    }
    /// A schema of its own in the Postgres of the tests.
    pub fn postgres() -> Self {
        let schema = format!("store_{}", ulid::Ulid::new().to_string().to_lowercase());
        Self {
            url: postgres_url(),
            options: OpenOptions { schema: Some(schema), ..OpenOptions::default() },
            folder: None,
        }
    }
    pub async fn open(&self) -> Store {
        Store::open(&self.url, &self.options).await.unwrap()
    }
    /// The state's file.
    pub fn file(&self) -> std::path::PathBuf {
        self.folder.as_ref().expect("a SQLite place").path().join("state/state.db")
    }
    pub fn is_sqlite(&self) -> bool {
        self.folder.is_some()
    }
    pub fn schema(&self) -> &str {
        self.options.schema.as_deref().expect("a Postgres place")
    }
    pub async fn drop_schema(&self) {
        let client = postgres_client().await;
        client.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema())).await.unwrap();
    }

    /// Everything that the state holds, as one text: for SQLite the bytes of its files, for Postgres every row of
    /// every table, bytes as hex and as text.
    pub async fn everything(&self) -> Vec<u8> {
        if self.is_sqlite() {
            let file = self.file();
            let wal = file.with_extension("db-wal");
            return [std::fs::read(&file).unwrap(), std::fs::read(wal).unwrap_or_default()].concat();
        }
        let client = postgres_client().await;
        let sql = "SELECT tablename FROM pg_tables WHERE schemaname = $1";
        let mut out = Vec::new();
        for table in client.query(sql, &[&self.schema()]).await.unwrap() {
            let sql = format!("SELECT to_jsonb(t)::text FROM {}.{} t", self.schema(), table.get::<_, String>(0));
            for row in client.query(&sql, &[]).await.unwrap() {
                let text: String = row.get(0);
                out.extend(unhexed(&text));
                out.extend(text.into_bytes());
            }
        }
        out
    }
    pub async fn holds(&self, needle: &str) -> bool {
        self.everything().await.windows(needle.len()).any(|window| window == needle.as_bytes())
    }
}

/// The bytes of every `\x…` in a row's text.
fn unhexed(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in text.split("\\x").skip(1) {
        let hex: Vec<u8> = part.bytes().take_while(u8::is_ascii_hexdigit).collect();
        out.extend(hex.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()));
        out.push(b'\n');
    }
    out
}

pub fn postgres_url() -> String {
    std::env::var("TIDEGATE_TEST_PG").expect(
        "TIDEGATE_TEST_PG names no Postgres: run `scripts/services start DIR` and source DIR/env, or use `./test quick`",
    )
}

pub async fn postgres_client() -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&postgres_url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub const SYNC: &str = "companies";
pub const RUN: &str = "01RUN1";

pub fn key(text: &str) -> Key {
    Key::new(text)
}
/// An instant, in seconds.
pub fn at(seconds: i64) -> Instant {
    Instant(seconds * 1_000_000)
}
pub fn mark(text: &str) -> Position {
    Position::Mark(text.to_owned())
}

/// Claims the usual sync and puts a run.
pub async fn start(store: &Store) -> Lease {
    let lease = store.claim(SYNC, "worker-1", at(100)).await.unwrap();
    store.put_run(&lease, &run(RUN)).await.unwrap();
    lease
}

pub fn run(id: &str) -> RunRecord {
    RunRecord {
        run: id.to_owned(),
        sync: SYNC.to_owned(),
        status: RunStatus::Running,
        mode: "full".to_owned(),
        trigger: "manual".to_owned(),
        books: Books::default(),
        started_at: at(100),
        finished_at: None,
        warehouse_ms: None,
        bytes_billed: None,
        error: None,
        config_hash: "c0ffee".to_owned(),
    }
}

pub fn settlement() -> Settlement {
    Settlement { run: RUN.to_owned(), ..Settlement::default() }
}

pub fn entry(name: &str, remote: Option<&str>) -> LedgerRecord {
    let entry = LedgerEntry {
        key: key(name),
        remote: remote.map(RemoteId::new),
        flags: 0,
        warehouse: [1; 16],
        platform: [0; 16],
    };
    LedgerRecord { entry, detail: Vec::new() }
}

pub fn span(id: &str, from: Option<&str>, to: Option<&str>) -> Span {
    Span {
        id: id.to_owned(),
        sync: SYNC.to_owned(),
        run: RUN.to_owned(),
        from: from.map(mark),
        to: to.map(mark),
        batch_rows: 500,
    }
}

pub fn batch(span: &str, number: u32) -> IntentBatch {
    IntentBatch {
        span: span.to_owned(),
        number,
        to: Target::Platform,
        payload: format!("payload of {span}/{number}").into_bytes(),
        answer: None,
    }
}

pub fn reject(name: Option<&str>, field: Option<&str>) -> Reject {
    let why = FieldReject { field: field.map(str::to_owned), rule: "too_long".into(), reason: "at most 10".into() };
    Reject { key: name.map(key), to: Target::Platform, why, value: Some(Value::text("a value that is too long")) }
}

pub fn conflict(name: &str, field: Option<&str>, state: ConflictState) -> Conflict {
    Conflict {
        key: key(name),
        field: field.map(str::to_owned),
        warehouse: Some(Value::text("left")),
        platform: Some(Value::text("right")),
        winner: None,
        state,
        note: None,
    }
}

pub fn write(name: &str, before: &str, after: &str) -> HistoryEntry {
    let fields = |text: &str| -> Fields { [("name".into(), Value::text(text))].into_iter().collect() };
    HistoryEntry {
        key: key(name),
        remote: Some(RemoteId::new(format!("r-{name}"))),
        to: Target::Platform,
        effect: "updated".to_owned(),
        before: fields(before),
        after: fields(after),
        run: String::new(),
        at: Instant::default(),
    }
}

pub fn delivered(keys: &[(i64, u64)], forget_below: Option<i64>) -> Option<Delivered> {
    Some(Delivered { keys: keys.to_vec(), forget_below })
}

/// All that the port lists of the usual sync: two states are the same if this is.
pub async fn listing(store: &Store) -> String {
    let mut out = format!("{:#?}\n", store.state(SYNC).await.unwrap());
    let scanned = store.scan(SYNC, None, 1_000_000).await.unwrap();
    let keys: Vec<Key> = scanned.iter().map(|entry| entry.key.clone()).collect();
    out += &format!("{:#?}\n", store.entries(SYNC, &keys).await.unwrap());
    out += &format!("{:#?}\n", store.open_spans(SYNC).await.unwrap());
    out += &format!("{:#?}\n", store.rejects(None, 1000).await.unwrap());
    out += &format!("{:#?}\n", store.conflicts(None, false, 1000).await.unwrap());
    for run in store.runs(None, 100).await.unwrap() {
        out += &format!("{run:#?}\n{:#?}\n", store.history(&run.run, 0, 10_000).await.unwrap());
    }
    let prints: Vec<u64> = (0..64).collect();
    out + &format!("{:?}\n", store.delivered(SYNC, &prints).await.unwrap())
}
