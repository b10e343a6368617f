//! What may not happen: writes through a reading connection, queries that write, names and values that become SQL.

use tidegate_model::ErrorKind;
use tidegate_model::change::Action;
use tidegate_model::ports::{LoadMode, Place, ReadMode};
use tidegate_model::schema::{RelationKind, Source};
use tidegate_model::span::OpId;
use tidegate_model::value::{Type, Value};

use super::{Lab, ask, change, fence, full, load, names, pages, quoted, read, rows, said, source, table_sql, text};

/// Every write call is refused with what to do, and not even our own tables appear.
pub async fn access_read_refuses_every_write_and_leaves_nothing_behind(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {} PRIMARY KEY)", lab.native(Type::Text))).await;
    let warehouse = lab.open(false);
    assert!(!warehouse.abilities().write);
    let before = everything(lab).await;
    let columns = [("k", Type::Text)];
    let loaded = warehouse
        .load(&lab.relation("t"), &load(LoadMode::Append, None, "1"), pages(&columns, &[vec![text("a")]]))
        .await;
    let written = warehouse
        .write(&lab.relation("t"), "k", &[change(Action::Create, "a", &[], None)], &OpId("2".into()), &fence(1))
        .await;
    let errors =
        [loaded.expect_err("load"), written.expect_err("write"), warehouse.adopt(&fence(1)).await.expect_err("adopt")];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::Forbidden);
        assert!(error.hint.as_deref().unwrap_or("").contains("access: write"), "{error:?}");
    }
    assert_eq!(warehouse.count(&source(lab, "t")).await.expect("a count"), 0);
    assert_eq!(everything(lab).await, before);
}

/// All places and what is in them.
async fn everything(lab: &dyn Lab) -> Vec<String> {
    let warehouse = lab.open(false);
    let mut found = Vec::new();
    let mut places = vec![Place::default()];
    while let Some(place) = places.pop() {
        for entry in warehouse.browse(&place).await.expect("entries") {
            let mut below = place.clone();
            below.0.push(entry.name.clone());
            if !lab.mine(&below) {
                continue;
            }
            found.push(below.0.join("/"));
            if entry.container {
                places.push(below);
            }
        }
    }
    found.sort();
    found
}

/// Only tables are written.
pub async fn views_and_queries_are_no_targets(lab: &dyn Lab) {
    let (table, view) = (table_sql(lab, "t"), table_sql(lab, "v"));
    lab.exec(&format!("CREATE TABLE {table} (k {} PRIMARY KEY)", lab.native(Type::Text))).await;
    lab.exec(&format!("CREATE VIEW {view} AS SELECT * FROM {table}")).await;
    let warehouse = lab.open(true);
    let asked = load(LoadMode::Append, None, "1");
    let loaded = warehouse.load(&lab.relation("v"), &asked, pages(&[("k", Type::Text)], &[vec![text("a")]])).await;
    assert_eq!(loaded.expect_err("a view").kind, ErrorKind::BadRequest);
    let batch = [change(Action::Create, "a", &[], None)];
    let written = warehouse.write(&lab.relation("v"), "k", &batch, &OpId("2".into()), &fence(1)).await;
    assert_eq!(written.expect_err("a view").kind, ErrorKind::BadRequest);
    assert_eq!(warehouse.count(&source(lab, "t")).await.expect("a count"), 0);
}

/// `query:` is one SELECT, also where the connection may write.
pub async fn queries_only_read(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {}, n {})", lab.native(Type::Text), lab.native(Type::Int64))).await;
    lab.exec(&format!("INSERT INTO {table} VALUES ('a', 1), ('b', 2)")).await;
    let warehouse = lab.open(true);
    let good = Source::Query(format!("SELECT k, n AS \"a number\" FROM {table} WHERE n > 0 -- no more;\n;"));
    let got = read(warehouse.as_ref(), ask(good.clone(), &["a number", "k"], full("k"))).await;
    assert_eq!(got.rows, [vec![Value::Int(1), text("a")], vec![Value::Int(2), text("b")]]);
    assert_eq!(warehouse.describe(&good).await.expect("a schema").kind, RelationKind::Query);
    assert_eq!(warehouse.count(&good).await.expect("a count"), 2);
    for bad in [
        format!("DELETE FROM {table}"),
        format!("DELETE FROM {table} RETURNING k"),
        format!("INSERT INTO {table} VALUES ('c', 3) RETURNING k"),
        format!("SELECT 1; DELETE FROM {table}"),
        format!("SELECT k FROM {table}) AS x; DELETE FROM {table}; SELECT * FROM (SELECT k FROM {table}"),
        format!("DROP TABLE {table}"),
        "CREATE TABLE made_by_query (x int)".into(),
        String::new(),
        "not sql at all".into(),
    ] {
        let source = Source::Query(bad.clone());
        assert!(warehouse.describe(&source).await.is_err(), "described {bad}");
        let mode = ReadMode::Unordered;
        let outcome = match warehouse.read(ask(source.clone(), &["k"], mode)).await {
            Ok(mut pages) => pages.next().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "ran {bad}");
        assert!(warehouse.count(&source).await.is_err(), "counted {bad}");
    }
    assert_eq!(lab.ask(&format!("SELECT count(*) FROM {table}")).await.as_deref(), Some("2"));
}

/// Identifiers are quoted everywhere.
pub async fn names_with_quotes_blanks_and_unicode_work(lab: &dyn Lab) {
    let name = &lab.odd_name("we\"ird; DROP TABLE t; -- ' tåble");
    let (key, value) = (lab.odd_name("the \"key\""), lab.odd_name("värde; '\""));
    let (key, value) = (key.as_str(), value.as_str());
    let (t, int) = (lab.native(Type::Text), lab.native(Type::Int64));
    let table = table_sql(lab, name);
    lab.exec(&format!("CREATE TABLE {table} ({} {t} PRIMARY KEY, {} {int})", quoted(key), quoted(value))).await;
    let warehouse = lab.open(true);
    let columns = [(key, Type::Text), (value, Type::Int64)];
    for (op, mode) in
        [("1", LoadMode::Append), ("2", LoadMode::Merge), ("3", LoadMode::Replace { max_shrink_pct: None })]
    {
        let given = pages(&columns, &[vec![text("a"), Value::Int(1)]]);
        warehouse.load(&lab.relation(name), &load(mode, Some(key), op), given).await.expect("a load");
    }
    let batch = [
        change(Action::Update, "a", &[(value, Value::Int(2))], Some(&[(value, Value::Int(1))])),
        change(Action::Create, "b", &[(value, Value::Int(3))], None),
        change(Action::Delete, "b", &[], None),
    ];
    let outcomes =
        warehouse.write(&lab.relation(name), key, &batch, &OpId("4".into()), &fence(1)).await.expect("a write");
    assert_eq!(outcomes.iter().map(said).collect::<Vec<_>>(), ["updated", "created", "deleted"]);
    assert_eq!(rows(lab, name, key, &[value, key]).await, [vec![Value::Int(2), text("a")]]);
    lab.settle().await;
    let bound = warehouse.bound(&source(lab, name), value, key).await.expect("a bound").expect("rows");
    let window = ReadMode::Cursor { column: value.into(), key: key.into(), from: None, to: bound };
    assert_eq!(read(warehouse.as_ref(), ask(source(lab, name), &[key], window)).await.rows.len(), 1);
    assert_eq!(warehouse.describe(&source(lab, name)).await.expect("a schema").primary_key, [key]);
}

/// Values that look like SQL stay values.
pub async fn values_are_never_run_as_sql(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {} PRIMARY KEY, v {})", lab.native(Type::Text), lab.native(Type::Text)))
        .await;
    let warehouse = lab.open(true);
    let nasty = [
        "'); DROP TABLE t; --",
        "\\'; DROP TABLE t; --",
        "$1",
        "?1",
        "\"",
        "%s",
        "a\u{0001}b",
        "\\x41",
        "E'\\n'",
        "NULL",
    ];
    let mut sorted: Vec<&str> = nasty.to_vec();
    sorted.sort_unstable();
    let batch: Vec<_> = nasty.iter().map(|value| change(Action::Create, value, &[("v", text(value))], None)).collect();
    let outcomes =
        warehouse.write(&lab.relation("t"), "k", &batch, &OpId("1".into()), &fence(1)).await.expect("a write");
    assert!(outcomes.iter().all(|outcome| said(outcome) == "created"), "{outcomes:?}");
    for (at, value) in sorted.iter().enumerate() {
        let after = ReadMode::Full { key: "k".into(), after: Some(tidegate_model::record::Key::new(*value)), at: None };
        let got = read(warehouse.as_ref(), ask(source(lab, "t"), &["v"], after)).await;
        assert_eq!(got.column(0), sorted[at + 1..].to_vec(), "after {value}");
        let keys = [tidegate_model::record::Key::new(*value)];
        let page = warehouse.fetch(&source(lab, "t"), &names(&["v"]), "k", &keys, "UTC").await.expect("a page");
        assert_eq!(page.len(), 1, "{value}");
        let to = tidegate_model::span::CursorPoint { value: text(value), key: Some(keys[0].clone()) };
        let window = ReadMode::Cursor { column: "v".into(), key: "k".into(), from: Some(to.clone()), to };
        assert_eq!(read(warehouse.as_ref(), ask(source(lab, "t"), &["v"], window)).await.rows.len(), 0);
    }
}

/// Missing relations and columns are said by name, with what was probably meant.
pub async fn what_is_not_there_is_said_with_near_matches(lab: &dyn Lab) {
    lab.exec(&format!("CREATE TABLE {} (company_id {})", table_sql(lab, "companies"), lab.native(Type::Text))).await;
    let warehouse = lab.open(false);
    let error = warehouse.describe(&source(lab, "compnaies")).await.expect_err("a typo");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.hint.as_deref().unwrap_or("").contains("companies"), "{error:?}");
    let asked = ask(source(lab, "companies"), &["company_di"], full("company_id"));
    let error = match warehouse.read(asked).await {
        Ok(_) => panic!("a column that is not there was read"),
        Err(error) => error,
    };
    assert_eq!(error.kind, ErrorKind::SchemaChanged);
    assert!(error.hint.as_deref().unwrap_or("").contains("company_id"), "{error:?}");
    let error = warehouse.browse(&Place(names(&["no such place"]))).await.expect_err("no place");
    assert_eq!(error.kind, ErrorKind::NotFound);
}

/// Tables, views, columns, keys, defaults, NULL, lengths.
pub async fn the_catalogue_lists_and_describes(lab: &dyn Lab) {
    let (table, view) = (table_sql(lab, "t"), table_sql(lab, "v"));
    let (t, int) = (lab.native(Type::Text), lab.native(Type::Int64));
    lab.exec(&format!("CREATE TABLE {table} (a {t} NOT NULL, b {int} DEFAULT 7, c VARCHAR(5), PRIMARY KEY (a, c))"))
        .await;
    lab.exec(&format!("CREATE VIEW {view} AS SELECT a FROM {table}")).await;
    let warehouse = lab.open(false);
    let mut place = lab.relation("t").0;
    place.pop();
    let entries = warehouse.browse(&Place(place)).await.expect("entries");
    let kind = |name: &str| entries.iter().find(|entry| entry.name == name).map(|entry| entry.kind.clone());
    assert_eq!((kind("t").as_deref(), kind("v").as_deref()), (Some("table"), Some("view")));
    let schema = warehouse.describe(&source(lab, "t")).await.expect("a schema");
    assert_eq!((schema.kind, &schema.primary_key), (RelationKind::Table, &names(&["a", "c"])));
    let a = schema.column("a").expect("a");
    let (b, c) = (schema.column("b").expect("b"), schema.column("c").expect("c"));
    assert_eq!((a.nullable, a.filled, a.logical, a.max_length), (false, false, Type::Text, None));
    assert_eq!((b.nullable, b.filled, b.logical), (true, true, Type::Int64));
    assert_eq!((c.logical, c.max_length), (Type::Text, Some(5)));
    assert_eq!(warehouse.describe(&source(lab, "v")).await.expect("a schema").kind, RelationKind::View);
}
