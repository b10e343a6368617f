//! The server: not there, gone in the middle, busy.

use async_trait::async_trait;
use tidegate_model::cells::PageBuilder;
use tidegate_model::page::{Held, Page, PageStream};
use tidegate_model::ports::{Load, LoadMode};
use tidegate_model::schema::Relation;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::DatasetLink;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_testkit::warehouse_suite::Lab;
use tokio_postgres::Client;

use crate::lab::Database;

fn load(mode: LoadMode, sync: &str, op: &str) -> Load {
    Load {
        mode,
        key: Some("id".into()),
        op: OpId(op.into()),
        fence: Fence { sync: sync.into(), store: "ours".into(), epoch: 1 },
        link: DatasetLink::default(),
    }
}

fn page(rows: std::ops::Range<i64>) -> Page {
    let mut builder = PageBuilder::new(&[("id".to_owned(), Type::Int64)]);
    for n in rows {
        builder.push(&Value::Int(n));
        builder.end_row();
    }
    builder.take().unwrap()
}

fn t() -> Relation {
    Relation(vec!["t".into()])
}

/// Each way not to get in has its kind, and no message holds the password.
#[tokio::test]
async fn a_server_that_does_not_let_us_in_is_classified() {
    let lab = Database::new().await;
    let url = lab.url();
    let (_, host) = url.split_once('@').unwrap();
    let host = host.rsplit_once('/').unwrap().0;
    let cases = [
        (format!("postgres://tidegate:hunter2@{host}/postgres"), ErrorKind::Unauthorized),
        (format!("postgres://nobody:hunter2@{host}/postgres"), ErrorKind::Unauthorized),
        (format!("postgres://tidegate:tidegate@{host}/no_such_database"), ErrorKind::NotFound),
        ("postgres://tidegate:hunter2@127.0.0.1:1/postgres".into(), ErrorKind::Unavailable),
        ("postgres://tidegate:hunter2@no-such-host.invalid/postgres".into(), ErrorKind::Unavailable),
        (format!("{url}?sslmode=require"), ErrorKind::Unavailable), // the test server has no TLS
        (format!("{url}?sslmode=verify-full"), ErrorKind::Unavailable),
    ];
    for (url, kind) in cases {
        let error = lab.open_as(&url, false).now().await.expect_err("refused");
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert!(error.hint.is_some(), "{error:?}");
    }
    lab.open_as(&format!("{url}?sslmode=prefer"), false).now().await.expect("plain, for want of TLS");
}

/// A page, and the end of the connection behind it.
struct Kills(Option<Page>, Client);

#[async_trait]
impl PageStream for Kills {
    async fn next(&mut self) -> Result<Option<Page>> {
        if let Some(page) = self.0.take() {
            return Ok(Some(page));
        }
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidegate' AND datname = current_database()";
        self.1.batch_execute(kill).await.map_err(|error| Error::internal("kill").cause(error))?;
        Ok(None)
    }
}

/// A connection lost before the commit: nothing is kept, and the next call has a new one.
#[tokio::test]
async fn a_connection_that_is_lost_before_the_commit_keeps_nothing() {
    let lab = Database::new().await;
    lab.exec("CREATE TABLE t (id int8 PRIMARY KEY)").await;
    let warehouse = lab.open(true);
    let kills = Box::new(Kills(Some(page(0..10)), lab.other().await));
    let error = warehouse.load(&t(), &load(LoadMode::Append, "s", "1"), kills).await.expect_err("killed");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error:?}");
    assert_eq!(lab.ask("SELECT count(*) FROM t").await.as_deref(), Some("0"));
    let again = warehouse.load(&t(), &load(LoadMode::Append, "s", "1"), Box::new(Held::one(page(0..10)))).await;
    assert_eq!(again.expect("a new connection").created, 10);
}

/// The first loads of several syncs at once: our tables are made once.
#[tokio::test]
async fn first_loads_at_once_make_the_work_tables_once() {
    let lab = Database::new().await;
    lab.exec("CREATE TABLE t (id int8 PRIMARY KEY)").await;
    let warehouses: Vec<_> = (0..6).map(|_| lab.open(true)).collect();
    let loads = warehouses.iter().enumerate().map(|(at, warehouse)| async move {
        let from = at as i64 * 100;
        let given = Box::new(Held::one(page(from..from + 100)));
        warehouse.load(&t(), &load(LoadMode::Append, &format!("s{at}"), &format!("{at}")), given).await
    });
    for loaded in futures_util::future::join_all(loads).await {
        assert_eq!(loaded.expect("a load").created, 100);
    }
    assert_eq!(lab.ask("SELECT count(*) FROM tidegate.fence").await.as_deref(), Some("6"));
}

/// Rows that only a foreign key refuses are found, in all modes, and no row is lost beside them.
#[tokio::test]
async fn rows_that_a_foreign_key_refuses_are_found() {
    let lab = Database::new().await;
    lab.exec("CREATE TABLE parent (id int8 PRIMARY KEY); INSERT INTO parent SELECT generate_series(0, 999) EXCEPT VALUES (13), (14), (700)").await;
    lab.exec("CREATE TABLE t (id int8 REFERENCES parent)").await;
    for (op, mode) in
        [("1", LoadMode::Append), ("2", LoadMode::Merge), ("3", LoadMode::Replace { max_shrink_pct: None })]
    {
        let given = Box::new(Held(vec![page(0..600), page(600..1000)].into()));
        let loaded = lab.open(true).load(&t(), &load(mode, "s", op), given).await.expect("a load");
        let rejected: Vec<(u64, &str)> = loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str())).collect();
        assert_eq!(rejected, [(13, "foreign_key"), (14, "foreign_key"), (700, "foreign_key")], "{op}");
        assert_eq!(loaded.created + loaded.updated + loaded.unchanged, 997);
        assert_eq!(lab.ask("SELECT count(*) FROM t").await.as_deref(), Some("997"));
    }
}
