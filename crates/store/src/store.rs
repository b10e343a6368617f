//! The store: which backend, and what it keeps in memory of it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::Memory;
use tidegate_model::secret::{Secret, redact_url};
use tidegate_model::time::Instant;

use crate::ops;
use crate::ops::delivered::Remembered;
use crate::postgres::Postgres;
use crate::seal::random;
use crate::secrets::Keyring;
use crate::sqlite::Sqlite;

/// How to open a state.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// The key of the secrets (`TIDEGATE_KEY`): 32 bytes in base64. Without it a SQLite state makes its own in a file
    /// beside it; a Postgres state needs it as soon as a secret is stored or read.
    pub key: Option<Secret>,
    /// Postgres: the schema of the state's tables, by default `tidegate`. It is made if it is missing.
    pub schema: Option<String>,
    /// How long to wait for a lock of another process before the state counts as locked; by default 10 s, longer than
    /// any transaction of ours.
    pub lock_wait: Option<Duration>,
}

/// See [`OpenOptions::lock_wait`].
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Opens a state, makes it if it is missing, and brings it to this version's form.
pub async fn open(url: &str, options: &OpenOptions) -> Result<Arc<dyn Memory>> {
    Ok(Arc::new(Store::open(url, options).await?))
}

pub(crate) enum Backend {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

/// The state of a project.
pub struct Store {
    pub(crate) backend: Backend,
    pub(crate) id: String,
    pub(crate) print_key: [u8; 16],
    pub(crate) keyring: tokio::sync::Mutex<Keyring>,
    /// Numbers of syncs; they are given once and never change.
    sync_ids: RwLock<HashMap<String, i64>>,
    remembered: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Remembered>>>>,
}

/// One transaction that writes. The body is compiled once per backend.
macro_rules! write_tx {
    ($store:expr, |$tx:ident| $body:expr) => {
        $crate::store::transaction!($store, write, $crate::postgres::Mode::Write, |$tx| $body)
    };
}

/// One query, or several that need not see the same instant.
macro_rules! read_tx {
    ($store:expr, |$tx:ident| $body:expr) => {
        $crate::store::transaction!($store, read, $crate::postgres::Mode::Query, |$tx| $body)
    };
}

/// Several queries that see the same instant.
macro_rules! snapshot_tx {
    ($store:expr, |$tx:ident| $body:expr) => {
        $crate::store::transaction!($store, read, $crate::postgres::Mode::Snapshot, |$tx| $body)
    };
}

macro_rules! transaction {
    ($store:expr, $sqlite:ident, $mode:expr, |$tx:ident| $body:expr) => {
        match &$store.backend {
            $crate::store::Backend::Sqlite(db) => {
                db.$sqlite(move |$tx| $crate::store::at_once(async move { $body })).await
            }
            $crate::store::Backend::Postgres(db) => {
                let mut session = db.begin($mode).await?;
                let $tx = &mut session;
                let out = $crate::store::typed(async { $body }).await;
                db.end(session, $mode, out).await
            }
        }
    };
}

pub(crate) use {read_tx, snapshot_tx, transaction, write_tx};

/// Runs shared SQL on SQLite, whose answers are there at once: the future never waits.
pub(crate) fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    use futures_util::FutureExt;
    work.now_or_never().unwrap_or_else(|| Err(Error::internal("a transaction on SQLite waited for something else")))
}

/// Names the type of a transaction's result.
pub(crate) fn typed<T, F: Future<Output = Result<T>>>(work: F) -> F {
    work
}

/// The clock, for what has no runner's clock: secrets and `forget`.
pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

impl Store {
    /// Opens a state by URL: `sqlite:PATH` or `postgres://…`.
    pub async fn open(url: &str, options: &OpenOptions) -> Result<Self> {
        let lock_wait = options.lock_wait.unwrap_or(LOCK_WAIT);
        let (backend, keyring) = if let Some(path) = url.strip_prefix("sqlite:") {
            let db = Sqlite::open(path, lock_wait).await?;
            let keyring = Keyring::beside(options.key.as_ref(), db.path())?;
            (Backend::Sqlite(db), keyring)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let db = Postgres::open(url, options.schema.as_deref(), lock_wait).await?;
            (Backend::Postgres(Box::new(db)), Keyring::given(options.key.as_ref())?)
        } else {
            let shown = redact_url(url);
            return Err(Error::config(format!("the state's address {shown} is neither sqlite:PATH nor postgres://…"))
                .hint("set `state:` in tidegate.yaml (or TIDEGATE_STATE), for example to sqlite:.tidegate/state.db"));
        };
        let (id, print_key) = identity(&backend).await?;
        Ok(Self {
            backend,
            id,
            print_key,
            keyring: tokio::sync::Mutex::new(keyring),
            sync_ids: RwLock::default(),
            remembered: Mutex::default(),
        })
    }

    /// The number of a sync, if it was ever claimed.
    pub(crate) async fn sync_id(&self, sync: &str) -> Result<Option<i64>> {
        if let Some(id) = self.sync_ids.read().unwrap_or_else(PoisonError::into_inner).get(sync) {
            return Ok(Some(*id));
        }
        let name = sync.to_owned();
        let id = read_tx!(self, |tx| ops::state::sync_id(tx, &name).await)?;
        if let Some(id) = id {
            self.sync_ids.write().unwrap_or_else(PoisonError::into_inner).insert(sync.to_owned(), id);
        }
        Ok(id)
    }

    /// What is in memory of a sync's delivered keys.
    pub(crate) fn remembered(&self, sync: &str) -> Arc<tokio::sync::Mutex<Remembered>> {
        let mut all = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(sync.to_owned()).or_default())
    }

    /// Frees what was deleted for good: nothing of it stays in free pages or dead rows.
    pub(crate) async fn scrub(&self) -> Result<()> {
        match &self.backend {
            Backend::Sqlite(db) => db.scrub().await,
            Backend::Postgres(db) => db.scrub().await,
        }
    }
}

/// The store's id and the key of its fingerprints; the first one to open the state makes them.
async fn identity(backend: &Backend) -> Result<(String, [u8; 16])> {
    struct Of<'a> {
        backend: &'a Backend,
    }
    let of = Of { backend };
    let stored = read_tx!(of, |tx| ops::meta::identity(tx).await)?;
    let (id, print_key) = match stored {
        Some(stored) => stored,
        None => {
            let (id, print_key) = (ulid::Ulid::new().to_string(), random::<16>()?);
            write_tx!(of, |tx| ops::meta::make_identity(tx, &id, &print_key).await)?
        }
    };
    let print_key =
        print_key.try_into().map_err(|_| crate::tx::damaged("the key of the fingerprints has a wrong length"))?;
    Ok((id, print_key))
}
