//! Full reads, their order and their pages; reads by key.

use tidegate_model::cells::value_at;
use tidegate_model::ports::{ReadAsk, ReadMode};
use tidegate_model::record::Key;
use tidegate_model::value::{Type, Value};

use super::{Lab, ask, full, names, read, source, table_sql};

/// Byte order, whatever the database thinks of languages; NULL first; duplicates as they are.
pub async fn full_reads_are_in_byte_order(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {}, n {})", lab.native(Type::Text), lab.native(Type::Int64))).await;
    lab.exec(&format!(
        "INSERT INTO {table} VALUES ('é', 1), ('b', 2), ('Z', 3), (NULL, 4), ('a', 5), ('a', 6), ('A', 7), ('10', 8), ('9', 9), \
         ('😀', 10), ('ﬀ', 11), ('', 12), ('a b', 13), ('a-b', 14), ('_x', 15), (NULL, 16), ('ß', 17), ('z', 18)"
    ))
    .await;
    let got = read(lab.open(false).as_ref(), ask(source(lab, "t"), &["n", "k"], full("k"))).await;
    let keys = got.column(1);
    assert_eq!(keys[..2], ["NULL", "NULL"]);
    let mut sorted = keys[2..].to_vec();
    sorted.sort_unstable();
    assert_eq!(keys[2..], sorted, "not in byte order");
    assert_eq!(keys.len(), 18);
    assert_eq!(keys.iter().filter(|key| *key == "a").count(), 2);
}

/// Keys are text: 10 stands before 9.
pub async fn whole_number_keys_sort_as_text(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {} PRIMARY KEY)", lab.native(Type::Int64))).await;
    lab.exec(&format!("INSERT INTO {table} VALUES (1), (10), (9), (-5), (100), (0), (-10), (2)")).await;
    let warehouse = lab.open(false);
    let got = read(warehouse.as_ref(), ask(source(lab, "t"), &["k"], full("k"))).await;
    assert_eq!(got.column(0), ["-10", "-5", "0", "1", "10", "100", "2", "9"]);
    let after = ReadMode::Full { key: "k".into(), after: Some(Key::new("10")), at: None };
    assert_eq!(read(warehouse.as_ref(), ask(source(lab, "t"), &["k"], after)).await.column(0), ["100", "2", "9"]);
}

/// `after` is exclusive, leaves NULL keys out, and is compared by bytes.
pub async fn a_full_read_goes_on_after_a_key(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {})", lab.native(Type::Text))).await;
    lab.exec(&format!("INSERT INTO {table} VALUES ('a'), ('B'), ('é'), (NULL), ('it''s'), ('z')")).await;
    let warehouse = lab.open(false);
    for (after, want) in
        [("", vec!["B", "a", "it's", "z", "é"]), ("a", vec!["it's", "z", "é"]), ("it's", vec!["z", "é"]), ("é", vec![])]
    {
        let mode = ReadMode::Full { key: "k".into(), after: Some(Key::new(after)), at: None };
        assert_eq!(
            read(warehouse.as_ref(), ask(source(lab, "t"), &["k"], mode)).await.column(0),
            want,
            "after {after:?}"
        );
    }
}

/// Pages have at most the rows asked for; an empty relation has none at all.
pub async fn pages_are_bounded_and_never_empty(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!(
        "CREATE TABLE {table} (k {} PRIMARY KEY, t {})",
        lab.native(Type::Int64),
        lab.native(Type::Text)
    ))
    .await;
    let warehouse = lab.open(false);
    assert_eq!(read(warehouse.as_ref(), ask(source(lab, "t"), &["k"], full("k"))).await.rows.len(), 0);
    let values: Vec<String> = (0..9).map(|k| format!("({k}, 'x')")).collect();
    lab.exec(&format!("INSERT INTO {table} VALUES {}", values.join(", "))).await;
    for mode in [full("k"), ReadMode::Unordered] {
        let got = read(warehouse.as_ref(), ask(source(lab, "t"), &["t", "k"], mode)).await;
        assert_eq!((got.rows.len(), got.longest_page), (9, 3)); // 9 = 3 × 3: no empty page at the end
    }
    assert_eq!(warehouse.count(&source(lab, "t")).await.expect("a count"), 9);
}

/// Dropping a stream half way stops it: the table can be dropped at once.
pub async fn a_dropped_read_gives_everything_back(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {} PRIMARY KEY)", lab.native(Type::Int64))).await;
    let values: Vec<String> = (0..5_000).map(|k| format!("({k})")).collect();
    lab.exec(&format!("INSERT INTO {table} VALUES {}", values.join(", "))).await;
    let warehouse = lab.open(false);
    let mut pages = warehouse.read(ask(source(lab, "t"), &["k"], full("k"))).await.expect("a read");
    assert!(pages.next().await.expect("a page").is_some());
    drop(pages);
    let dropped =
        tokio::time::timeout(std::time::Duration::from_secs(20), lab.exec(&format!("DROP TABLE {table}"))).await;
    assert!(dropped.is_ok(), "the read still holds its table");
}

/// Keys are looked up as what they are: 7 finds the number 7, 007 does not; absent keys are left out.
pub async fn fetch_finds_keys_in_their_canonical_form(lab: &dyn Lab) {
    let (text, int) = (lab.native(Type::Text), lab.native(Type::Int64));
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (i {int}, t {text})")).await;
    lab.exec(&format!("INSERT INTO {table} VALUES (7, '007'), (8, 'it''s'), (9, 'it''s'), (10, 'Å'), (NULL, NULL)"))
        .await;
    let warehouse = lab.open(false);
    let fetch = async |key: &str, keys: &[&str]| -> Vec<String> {
        let keys: Vec<Key> = keys.iter().map(|key| Key::new(*key)).collect();
        let page = warehouse.fetch(&source(lab, "t"), &names(&["i", "t"]), key, &keys, "UTC").await.expect("a page");
        let mut found: Vec<String> = (0..page.len()).map(|row| value_at(&page.rows, 0, row).to_string()).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(fetch("i", &["7", "007", "x", "8", "99999999999999999999"]).await, ["7", "8"]);
    assert_eq!(fetch("t", &["7", "007", "it's", "å", "missing"]).await, ["7", "8", "9"]);
    assert_eq!(fetch("t", &[]).await, Vec::<String>::new());
    let many: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(fetch("i", &many).await.len(), 4);
    let page = warehouse.fetch(&source(lab, "t"), &names(&["t"]), "i", &[Key::new("10")], "UTC").await.expect("a page");
    assert_eq!(value_at(&page.rows, 0, 0), Value::text("Å"));
}

/// A slow reader of many rows does not make us hold them: no more is read than is taken, but a few pages.
pub async fn a_slow_reader_holds_few_pages(lab: &dyn Lab) {
    let long = std::env::var_os("TIDEGATE_TEST_LONG").is_some();
    let rows: usize = if long { 1_000_000 } else { 100_000 };
    let table = table_sql(lab, "t");
    let (int, text) = (lab.native(Type::Int64), lab.native(Type::Text));
    lab.exec(&format!("CREATE TABLE {table} (id {int}, a {text})")).await;
    let filler = "x".repeat(800);
    lab.exec(&format!("INSERT INTO {table} SELECT n, '{filler}' FROM ({}) AS numbers", lab.numbers(rows))).await;
    let warehouse = lab.open(false);
    let asked = ReadAsk { page_rows: 1_000, ..ask(source(lab, "t"), &["id", "a"], ReadMode::Unordered) };
    let before = resident_kb();
    let mut pages = warehouse.read(asked).await.expect("a read");
    let (mut seen, mut most) = (0, before);
    while let Some(page) = pages.next().await.expect("a page") {
        seen += page.len();
        most = most.max(resident_kb());
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(seen, rows);
    assert!(most < before + HELD_KB_MAX, "{} KB for a table of {} KB", most - before, rows * 800 / 1000);
}

/// Half of the smaller table: a few pages, the database's own cache and what the allocator keeps.
const HELD_KB_MAX: usize = 40_000;

fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}
