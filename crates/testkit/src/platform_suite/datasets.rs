//! Datasets.

use tidegate_model::ErrorKind;
use tidegate_model::ports::{LoadMode, Platform};
use tidegate_model::sync::DatasetLink;
use tidegate_model::value::{Type, Value};

use super::{asking, company, enduser, load, named, number, page, pages, read, text};

/// Columns appear with the pages that bring them, keep their type, and exact numbers widen.
pub async fn a_dataset_follows_the_columns_of_its_pages(platform: &dyn Platform) {
    let model = named("dataset:revenue by \"month\"");
    let schema = platform.model(&model).await.unwrap();
    assert!(schema.fields.is_empty(), "nobody has loaded it yet");
    assert_eq!(platform.count(&model, &[]).await.unwrap(), 0);
    let narrow = Type::Decimal { precision: 6, scale: 2 };
    let wide = Type::Decimal { precision: 20, scale: 4 };
    let first = page(&[("id", Type::Int64), ("Amount €", narrow)], &[vec![Value::Int(1), number("10.25")]]);
    let second = page(
        &[("id", Type::Int64), ("Amount €", wide), ("day", Type::Date), ("ok", Type::Bool)],
        &[vec![Value::Int(2), number("123456.7891"), Value::Date(7), Value::Bool(false)]],
    );
    let loaded = platform.load(&model, &load("s", LoadMode::Append, None), pages(vec![first, second])).await.unwrap();
    assert_eq!(loaded.created, 2);
    let rows = read(platform, asking(model.as_str(), "id", &["Amount €", "day", "ok"])).await;
    assert_eq!((&rows[0]["Amount €"], rows[0].get("day")), (&number("10.25"), None));
    assert_eq!(rows[1]["Amount €"], number("123456.7891"));
    assert_eq!((&rows[1]["day"], &rows[1]["ok"]), (&Value::Date(7), &Value::Bool(false)));
    let clash = page(&[("id", Type::Text)], &[vec![text("three")]]);
    let error = platform.load(&model, &load("s", LoadMode::Append, None), pages(vec![clash.clone()])).await;
    let error = error.expect_err("another type");
    assert_eq!(error.kind, ErrorKind::SchemaChanged);
    assert!(error.message.contains("id") && error.hint.is_some(), "{error:?}");
    let replace = load("s", LoadMode::Replace { max_shrink_pct: None }, None);
    let loaded = platform.load(&model, &replace, pages(vec![clash])).await.unwrap();
    assert_eq!((loaded.cleared, loaded.created), (2, 1), "an emptied dataset takes another type");
    assert_eq!(read(platform, asking(model.as_str(), "id", &[])).await[0]["id"], text("three"));
    let all = platform.models().await.unwrap();
    assert!(all.iter().any(|schema| schema.name == model));
}

/// Rows are created, updated or left alone by key.
pub async fn a_dataset_merges_by_key(platform: &dyn Platform) {
    let model = named("dataset:d");
    let columns = [("id", Type::Int64), ("v", Type::Text), ("n", Type::Int64)];
    let row = |id: i64, v: Value| vec![Value::Int(id), v, Value::Null];
    let merge = || load("s", LoadMode::Merge, Some("id"));
    let first = page(&columns, &[row(1, text("a")), row(2, text("b")), row(3, Value::Null)]);
    let loaded = platform.load(&model, &merge(), pages(vec![first])).await.unwrap();
    assert_eq!((loaded.created, loaded.updated, loaded.unchanged), (3, 0, 0));
    let nothing = vec![Value::Null, text("x"), Value::Null];
    let second =
        page(&columns, &[row(1, text("a")), row(2, Value::Null), row(3, text("c")), row(4, text("d")), nothing]);
    let third = page(&columns, &[row(4, text("e")), row(4, text("f"))]);
    let loaded = platform.load(&model, &merge(), pages(vec![second, third])).await.unwrap();
    assert_eq!((loaded.created, loaded.updated, loaded.unchanged), (1, 3, 1));
    let why: Vec<(u64, &str)> = loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str())).collect();
    assert_eq!(why, [(4, "null_key"), (6, "duplicate_key")]);
    let rows = read(platform, asking("dataset:d", "id", &["v"])).await;
    let values: Vec<Option<&Value>> = rows.iter().map(|row| row.get("v")).collect();
    assert_eq!(values, [Some(&text("a")), None, Some(&text("c")), Some(&text("e"))]);
    let page = platform
        .fetch(
            &model,
            "id",
            &["v".to_owned()],
            &[tidegate_model::record::RecordRef::Key(tidegate_model::record::Key::new("3"))],
        )
        .await
        .unwrap();
    assert_eq!(super::rows_of(&page)[0]["v"], text("c"));
}

/// NULLs of a marked column, and columns that a page lacks, leave alone what stands there.
pub async fn a_dataset_merge_keeps_what_nobody_spoke_of(platform: &dyn Platform) {
    let model = named("dataset:k");
    let columns = [("id", Type::Int64), ("v", Type::Text), ("n", Type::Int64)];
    let merge = || load("s", LoadMode::Merge, Some("id"));
    let first = page(&columns, &[vec![Value::Int(1), text("a"), Value::Int(7)]]);
    platform.load(&model, &merge(), pages(vec![first])).await.unwrap();
    let nulls = page(&columns, &[vec![Value::Int(1), Value::Null, Value::Int(8)]]);
    let mut fields: Vec<arrow_schema::Field> =
        nulls.rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[1].set_metadata([(tidegate_model::page::KEEP.to_owned(), "1".to_owned())]);
    let schema = std::sync::Arc::new(arrow_schema::Schema::new(fields));
    let marked = tidegate_model::page::Page::new(nulls.rows.with_schema(schema).unwrap());
    let loaded = platform.load(&model, &merge(), pages(vec![marked.clone()])).await.unwrap();
    assert_eq!((loaded.created, loaded.updated, loaded.unchanged), (0, 1, 0));
    let loaded = platform.load(&model, &merge(), pages(vec![marked])).await.unwrap();
    assert_eq!((loaded.created, loaded.updated, loaded.unchanged), (0, 0, 1));
    let lacking = page(&[("id", Type::Int64), ("n", Type::Int64)], &[vec![Value::Int(1), Value::Int(9)]]);
    platform.load(&model, &merge(), pages(vec![lacking])).await.unwrap();
    let rows = read(platform, asking("dataset:k", "id", &["v", "n"])).await;
    assert_eq!((rows[0].get("v"), rows[0].get("n")), (Some(&text("a")), Some(&Value::Int(9))));
}

/// A replace clears and rewrites in one step; one that loses too much is stopped and nothing changes.
pub async fn a_dataset_is_replaced_as_a_whole_or_not_at_all(platform: &dyn Platform) {
    let model = named("dataset:r");
    let rows =
        |count: i64| page(&[("id", Type::Int64)], &(0..count).map(|id| vec![Value::Int(id)]).collect::<Vec<_>>());
    let replace = |most| load("s", LoadMode::Replace { max_shrink_pct: most }, Some("id"));
    let loaded = platform.load(&model, &replace(Some(50.0)), pages(vec![rows(40)])).await.unwrap();
    assert_eq!((loaded.cleared, loaded.created), (0, 40));
    let error = platform.load(&model, &replace(Some(50.0)), pages(vec![rows(19)])).await.expect_err("a guard");
    assert_eq!(error.kind, ErrorKind::Guard);
    assert_eq!(platform.count(&model, &[]).await.unwrap(), 40);
    let loaded = platform.load(&model, &replace(Some(50.0)), pages(vec![rows(20)])).await.unwrap();
    assert_eq!((loaded.cleared, loaded.created), (40, 20));
    let loaded = platform.load(&model, &replace(None), pages(vec![])).await.unwrap();
    assert_eq!((loaded.cleared, loaded.created), (20, 0));
    assert_eq!(platform.count(&model, &[]).await.unwrap(), 0);
}

/// Rows are tied to their company and end user, also when these arrive later.
pub async fn a_dataset_finds_late_companies(platform: &dyn Platform) {
    company(platform, "1").await;
    let columns = [("id", Type::Int64), ("company", Type::Int64), ("mail", Type::Text)];
    let rows = [
        vec![Value::Int(1), Value::Int(1), text(" Ann@x.com")],
        vec![Value::Int(2), Value::Int(2), text("u2")],
        vec![Value::Int(3), Value::Null, Value::Null],
    ];
    let mut loading = load("s", LoadMode::Merge, Some("id"));
    loading.link = DatasetLink { company: Some("company".to_owned()), enduser: Some("mail".to_owned()) };
    let loaded = platform.load(&named("dataset:d"), &loading, pages(vec![page(&columns, &rows)])).await.unwrap();
    assert_eq!(loaded.created, 3);
    let linked = || async {
        let rows = read(platform, asking("dataset:d", "id", &["_company", "_enduser"])).await;
        rows.iter().map(|row| (row.contains_key("_company"), row.contains_key("_enduser"))).collect::<Vec<_>>()
    };
    assert_eq!(linked().await, [(true, false), (false, false), (false, false)]);
    company(platform, "2").await;
    enduser(platform, "u1", "ann@x.com", "1").await;
    enduser(platform, "u2", "bob@x.com", "2").await;
    assert_eq!(linked().await, [(true, true), (true, true), (false, false)]);
}
