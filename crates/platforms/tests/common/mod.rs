//! Hubs for tests: each a place of its own.
#![allow(dead_code)] // each test file uses some of it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_model::ports::Platform;
use tidegate_platforms::hub::{Hub, open_hub};

/// A hub, and the folder that goes with it.
pub struct TestHub {
    hub: Hub,
    /// Where it is.
    pub url: String,
    /// The project's folder.
    pub folder: tempfile::TempDir,
}

impl Deref for TestHub {
    type Target = Hub;
    fn deref(&self) -> &Hub {
        &self.hub
    }
}

impl TestHub {
    fn open(url: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let hub = open_hub(&url, folder.path()).expect("a hub");
        Self { hub, url, folder }
    }
    /// The hub as the engine sees it.
    pub fn port(&self) -> &dyn Platform {
        &self.hub
    }
    /// The same place again, as another process would open it.
    pub fn again(&self) -> Hub {
        open_hub(&self.url, self.folder.path()).expect("the hub again")
    }
    /// The project's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A hub in a file.
pub async fn sqlite() -> TestHub {
    TestHub::open("sqlite:.tidegate/hub.db".to_owned())
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A hub in a new database of the test server.
pub async fn postgres() -> TestHub {
    TestHub::open(new_database().await)
}

/// A new database; its URL.
pub async fn new_database() -> String {
    let server = std::env::var("TIDEGATE_TEST_PG")
        .expect("TIDEGATE_TEST_PG is not set: run ./test, or scripts/services start DIR and source DIR/env");
    let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls).await.expect("the test server");
    tokio::spawn(connection);
    let name = format!("hub_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.expect("no old database");
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a new database");
    let (base, _) = server.rsplit_once('/').expect("a database in the URL");
    format!("{base}/{name}")
}
