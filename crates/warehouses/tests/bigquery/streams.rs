//! Results by the Storage Read API: several streams, each taken up again at its row when the line breaks.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_model::cells::value_at;
use tidegate_model::ports::{ReadAsk, ReadMode, Warehouse};
use tidegate_model::value::Value;

use super::super::{lab::Emulated, wire};

const ROWS: usize = 60_000;

async fn filled() -> Emulated {
    let lab = Emulated::new().await;
    lab.run(&format!(
        "CREATE TABLE t AS SELECT n AS k, CONCAT('a text that fills its row ', CAST(n AS STRING)) AS v FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS n"
    ))
    .await;
    lab
}

async fn keys(warehouse: &dyn Warehouse, ask: ReadAsk) -> tidegate_model::Result<Vec<i64>> {
    let mut pages = warehouse.read(ask).await?;
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await? {
        keys.extend((0..page.len()).map(|row| match value_at(&page.rows, 0, row) {
            Value::Int(key) => key,
            other => panic!("{other:?}"),
        }));
    }
    Ok(keys)
}

/// Whatever order the streams come in, each row comes once; lines that break are taken up where they broke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_break_are_taken_up_at_their_rows() {
    let lab = filled().await;
    let (storage, broken) = wire::breaking(&lab.storage, 3, 700_000).await;
    let mut settings = lab.settings();
    settings["storage_endpoint"] = json!(storage);
    let warehouse = lab.with(&settings, false);
    let got = keys(warehouse.as_ref(), lab.reading("t", &["k", "v"])).await.expect("a read");
    assert_eq!(broken.load(Ordering::SeqCst), 3, "nothing broke");
    assert_eq!((got.len(), got.iter().collect::<BTreeSet<_>>().len()), (ROWS, ROWS), "rows lost or doubled");
    assert!(got.windows(2).any(|pair| pair[1] < pair[0]), "one stream only");
    // A sorted read is one stream, in its order.
    let ask =
        ReadAsk { mode: ReadMode::Full { key: "k".into(), after: None, at: None }, ..lab.reading("t", &["k", "v"]) };
    let texts: Vec<String> = keys(warehouse.as_ref(), ask).await.expect("a read").iter().map(i64::to_string).collect();
    assert!(texts.len() == ROWS && texts.is_sorted(), "the order of the key's text is lost");
}

/// A line that never holds is an error that may pass, and no short read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_never_holds_is_told() {
    let lab = filled().await;
    let (storage, _) = wire::breaking(&lab.storage, usize::MAX, 60_000).await;
    let mut settings = lab.settings();
    settings["storage_endpoint"] = json!(storage);
    let warehouse = lab.with(&settings, false);
    let error = keys(warehouse.as_ref(), lab.reading("t", &["k", "v"])).await.expect_err("half of the rows");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error:?}");
}
