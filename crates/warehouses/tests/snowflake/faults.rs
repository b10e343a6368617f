//! What goes wrong on the way, one fault at a time. `shaky` runs the whole suite under all of them in turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::json;
use tidegate_model::cells::PageBuilder;
use tidegate_model::page::{Held, Page, PageStream};
use tidegate_model::ports::{Load, LoadMode, Loaded, ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::Source;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Type, Value};
use tidegate_model::{ErrorKind, Result};
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::Emulated;

const ROWS: i64 = 20_000;

async fn filled() -> (Arc<Emulated>, Arc<dyn Warehouse>) {
    let lab = Arc::new(Emulated::new().await);
    lab.exec("CREATE TABLE \"LAB\".\"PUBLIC\".\"t\" (\"k\" NUMBER(19,0), \"v\" VARCHAR)").await;
    lab.exec(&format!("INSERT INTO \"t\" SELECT SEQ4(), 'v' || SEQ4() FROM TABLE(GENERATOR(ROWCOUNT => {ROWS}))"))
        .await;
    let warehouse = lab.open_with(true, json!({}));
    (lab, warehouse)
}

/// All rows come, in order, each once; how long it took.
async fn all(lab: &Emulated, warehouse: &dyn Warehouse) -> Result<Duration> {
    let begun = Instant::now();
    let ask = ReadAsk {
        source: Source::Relation(lab.relation("t")),
        columns: vec!["k".into(), "v".into()],
        mode: ReadMode::Full { key: "v".into(), after: None, at: None },
        page_rows: 1_000,
        timezone: "UTC".into(),
    };
    let mut pages = warehouse.read(ask).await?;
    let (mut rows, mut last) = (0, String::new());
    while let Some(page) = pages.next().await? {
        for row in 0..page.len() {
            let key = tidegate_model::cells::value_at(&page.rows, 1, row).to_string();
            assert!(key > last, "{key} after {last}");
            last = key;
            rows += 1;
        }
    }
    assert_eq!(rows, ROWS);
    Ok(begun.elapsed())
}

/// Four parts of a result: each fault in the middle of a read is got over, and the rows are whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_refused_cut_or_late_come_in_the_end() {
    let (lab, warehouse) = filled().await;
    for fault in ["part_403", "part_503", "part_cut", "part_slow"] {
        lab.fault(fault, 2).await;
        let took = all(&lab, warehouse.as_ref()).await.unwrap_or_else(|error| panic!("{fault}: {error:?}"));
        assert!(fault != "part_slow" || took > Duration::from_millis(600), "nothing was late");
    }
    // Storage that refuses for good ends the read, and it is said that trying again can help.
    lab.fault("part_403", 1_000).await;
    let error = all(&lab, warehouse.as_ref()).await.expect_err("refused for good");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("403") && error.to_string().contains("query "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_come_through_whatever_happens_to_session_gateway_and_answer() {
    let (lab, warehouse) = filled().await;
    for fault in ["expired", "gateway", "lost", "cut", "later", "slow"] {
        for times in [1, 3] {
            lab.fault(fault, times).await;
            all(&lab, warehouse.as_ref()).await.unwrap_or_else(|error| panic!("{times} times {fault}: {error:?}"));
        }
    }
    // Both tokens are gone: a new login, and the statement is sent again.
    lab.fault("master", 1).await;
    lab.fault("expired", 1).await;
    all(&lab, warehouse.as_ref()).await.expect("a new session");
}

/// Pages that arm a fault before one of them: so it meets what a load does next.
struct Armed {
    pages: Held,
    lab: Arc<Emulated>,
    faults: Vec<&'static str>,
}

#[async_trait]
impl PageStream for Armed {
    async fn next(&mut self) -> Result<Option<Page>> {
        let page = self.pages.next().await?;
        if page.is_none() {
            for fault in self.faults.drain(..) {
                self.lab.fault(fault, 1).await;
            }
        }
        Ok(page)
    }
}

async fn append(lab: &Arc<Emulated>, warehouse: &dyn Warehouse, op: &str, faults: &[&'static str]) -> Result<Loaded> {
    let mut builder = PageBuilder::new(&[("k".to_owned(), Type::Int64), ("v".to_owned(), Type::Text)]);
    for k in 0..100 {
        builder.push(&Value::Int(ROWS + k));
        builder.push(&Value::text(format!("new {k}")));
        builder.end_row();
    }
    let load = Load {
        mode: LoadMode::Append,
        key: Some("k".into()),
        op: OpId(op.into()),
        fence: Fence { sync: "s".into(), store: "ours".into(), epoch: 1 },
        link: Default::default(),
    };
    let pages = Armed { pages: Held::one(builder.take().unwrap()), lab: lab.clone(), faults: faults.to_vec() };
    warehouse.load(&lab.relation("t"), &load, Box::new(pages)).await
}

async fn new_rows(lab: &Emulated) -> String {
    lab.ask(&format!("SELECT COUNT(*) FROM \"t\" WHERE \"k\" >= {ROWS}")).await.expect("a count")
}

/// The session's token is renewed in the middle of a write, and the temporary table and the transaction live on; an
/// answer is lost, and the statement is asked for, not run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_goes_on_over_what_can_be_got_over() {
    let (lab, warehouse) = filled().await;
    for (at, fault) in ["expired", "gateway", "lost", "cut", "later", "slow"].into_iter().enumerate() {
        let op = format!("op/{at}");
        let loaded = append(&lab, warehouse.as_ref(), &op, &[fault]).await;
        assert_eq!(loaded.unwrap_or_else(|error| panic!("{fault}: {error:?}")).created, 100, "{fault}");
        assert_eq!(new_rows(&lab).await, (100 * (at + 1)).to_string(), "after {fault}");
    }
}

/// The session is gone in the middle of a write, with its temporary table: told as something to try again, and then
/// written once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_session_ends_is_rolled_back_and_written_once_when_it_is_repeated() {
    let (lab, warehouse) = filled().await;
    let error = append(&lab, warehouse.as_ref(), "op", &["master", "expired"]).await.expect_err("no session");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error:?}");
    assert_eq!(new_rows(&lab).await, "0", "rows of a session that has ended");
    assert!(!append(&lab, warehouse.as_ref(), "op", &[]).await.expect("a load").replayed);
    assert!(append(&lab, warehouse.as_ref(), "op", &[]).await.expect("told again").replayed);
    assert_eq!(new_rows(&lab).await, "100");
}
