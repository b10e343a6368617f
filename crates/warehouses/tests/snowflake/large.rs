//! Loads of more than one statement, results of more than one part.

use std::collections::VecDeque;

use tidegate_model::cells::{PageBuilder, value_at};
use tidegate_model::page::Held;
use tidegate_model::ports::{Load, LoadMode, ReadAsk, ReadMode};
use tidegate_model::schema::Source;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::DatasetLink;
use tidegate_model::value::{Type, Value};
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::Emulated;

/// Six million bytes: two statements, and two parts of what the emulator sends at once.
const ROWS: i64 = 6_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_loads_come_in_pieces_and_leave_nothing_behind() {
    let lab = Emulated::new().await;
    lab.exec("CREATE TABLE \"LAB\".\"PUBLIC\".\"t\" (k NUMBER(19,0), filler VARCHAR)").await;
    let columns = [("k".to_owned(), Type::Int64), ("filler".to_owned(), Type::Text)];
    let mut builder = PageBuilder::new(&columns);
    let mut pages = VecDeque::new();
    for k in 0..ROWS {
        builder.push(&Value::Int(k));
        builder.push(&Value::text(format!("{k} {}", "\"\\å".repeat(200))));
        builder.end_row();
        if builder.rows() == 2_500 || k == ROWS - 1 {
            pages.push_back(builder.take().unwrap());
        }
    }
    let load = Load {
        mode: LoadMode::Append,
        key: Some("k".into()),
        op: OpId("large/1".into()),
        fence: Fence { sync: "large".into(), store: "ours".into(), epoch: 1 },
        link: DatasetLink::default(),
    };
    let warehouse = lab.open(true);
    let loaded = warehouse.load(&lab.relation("t"), &load, Box::new(Held(pages))).await.expect("a load");
    assert_eq!((loaded.created, loaded.rejected.len()), (6_000, 0));
    let ask = ReadAsk {
        source: Source::Relation(lab.relation("t")),
        columns: vec!["k".into(), "filler".into()],
        mode: ReadMode::Full { key: "k".into(), after: None, at: None },
        page_rows: 1_000,
        timezone: "UTC".into(),
    };
    let mut read = warehouse.read(ask).await.expect("a read");
    let mut keys = Vec::new();
    while let Some(page) = read.next().await.expect("a page") {
        for row in 0..page.len() {
            let key = value_at(&page.rows, 0, row).to_string();
            assert!(value_at(&page.rows, 1, row).to_string().starts_with(&format!("{key} \"\\å")));
            keys.push(key);
        }
    }
    let mut sorted: Vec<String> = (0..ROWS).map(|k| k.to_string()).collect();
    sorted.sort_unstable();
    assert_eq!(keys, sorted);
    let ours = "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'TIDEGATE'";
    assert_eq!(lab.ask(ours).await.as_deref(), Some("2"), "a temporary table stays");
}
