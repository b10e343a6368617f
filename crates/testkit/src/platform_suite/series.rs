//! Time series.

use async_trait::async_trait;
use tidegate_model::change::Action;
use tidegate_model::page::{Page, PageStream};
use tidegate_model::ports::{LoadMode, Loaded, Platform};
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, ErrorKind};

use super::{applied, ask, asking, change, company, enduser, load, named, number, page, pages, read, text, write_one};

const COLUMNS: [(&str, Type); 8] = [
    ("event_id", Type::Int64),
    ("companyExternalId", Type::Text),
    ("email", Type::Text),
    ("externalId", Type::Text),
    ("action", Type::Text),
    ("weight", Type::Decimal { precision: 10, scale: 2 }),
    ("count", Type::Int64),
    ("date", Type::TimestampTz),
];

const DAY: i64 = 86_400_000_000;

fn event(id: i64, company: Value, email: Value, external: Value, at: i64) -> Vec<Value> {
    vec![Value::Int(id), company, email, external, text("login"), number("2.50"), Value::Int(3), Value::TimestampTz(at)]
}

async fn take(platform: &dyn Platform, sync: &str, rows: Vec<Page>) -> Loaded {
    let loading = load(sync, LoadMode::Append, Some("event_id"));
    platform.load(&named("user_activity"), &loading, pages(rows)).await.expect("a load")
}

/// Rows that were there count as unchanged: within a page, over pages, loads and runs; other syncs have their own keys.
pub async fn activities_are_taken_once_by_their_key(platform: &dyn Platform) {
    company(platform, "c").await;
    let some = |ids: &[i64]| {
        page(
            &COLUMNS,
            &ids.iter().map(|id| event(*id, text("c"), Value::Null, Value::Null, *id * DAY)).collect::<Vec<_>>(),
        )
    };
    let loaded = take(platform, "s", vec![some(&[1, 2, 2, 3]), some(&[3, 4])]).await;
    assert_eq!((loaded.created, loaded.unchanged, loaded.rejected.len()), (4, 2, 0));
    let loaded = take(platform, "s", vec![some(&[4, 5, 1])]).await;
    assert_eq!((loaded.created, loaded.unchanged), (1, 2));
    let loaded = take(platform, "other", vec![some(&[1])]).await;
    assert_eq!((loaded.created, loaded.unchanged), (1, 0));
    assert_eq!(platform.count(&named("user_activity"), &[]).await.unwrap(), 6);
    let fields = ["companyExternalId", "action", "weight", "count", "date"];
    let rows = read(platform, asking("user_activity", "sourceKey", &fields)).await;
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[5]["sourceKey"], text("5"));
    assert_eq!((&rows[5]["companyExternalId"], &rows[5]["action"]), (&text("c"), &text("login")));
    assert_eq!((&rows[5]["weight"], &rows[5]["count"]), (&number("2.5"), &Value::Int(3)));
    assert_eq!(rows[5]["date"], Value::TimestampTz(5 * DAY));
}

/// By externalId, then by mail address; the company that is named, else the end user's own. What is unknown is refused.
pub async fn activities_resolve_whom_they_are_about(platform: &dyn Platform) {
    company(platform, "c").await;
    company(platform, "d").await;
    enduser(platform, "u", "u@c.com", "c").await;
    enduser(platform, "v", "twin@x.com", "c").await;
    enduser(platform, "w", "twin@x.com", "d").await;
    let (none, at) = (Value::Null, DAY);
    let rows = [
        event(1, none.clone(), text(" U@C.com"), none.clone(), at),
        event(2, text("d"), none.clone(), text("u"), at),
        event(3, none.clone(), text("u@c.com"), text("nobody"), at),
        event(4, text("d"), text("twin@x.com"), none.clone(), at),
        event(5, none.clone(), text("twin@x.com"), none.clone(), at),
        event(6, text("nobody"), none.clone(), none.clone(), at),
        event(7, text("c"), text("nobody@x.com"), none.clone(), at),
        event(8, none.clone(), none.clone(), none.clone(), at),
        vec![
            none.clone(),
            text("c"),
            none.clone(),
            none.clone(),
            none.clone(),
            none.clone(),
            none.clone(),
            none.clone(),
        ],
    ];
    let loaded = take(platform, "s", vec![page(&COLUMNS, &rows)]).await;
    let why: Vec<(u64, &str)> = loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str())).collect();
    let unresolved = "unresolved_reference";
    assert_eq!(why, [(4, "ambiguous_key"), (5, unresolved), (6, unresolved), (7, unresolved), (8, "null_key")]);
    let rows = read(platform, asking("user_activity", "sourceKey", &["companyExternalId", "externalId"])).await;
    let about: Vec<(String, String, String)> = rows
        .iter()
        .map(|row| [&row["sourceKey"], &row["companyExternalId"], &row["externalId"]].map(ToString::to_string).into())
        .collect();
    let expected = [("1", "c", "u"), ("2", "d", "u"), ("3", "c", "u"), ("4", "d", "w")];
    assert_eq!(about, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    // Late arrivals: the refused row is taken once its company is there.
    company(platform, "nobody").await;
    let again = page(&COLUMNS, &[event(6, text("nobody"), none.clone(), none, at)]);
    assert_eq!(take(platform, "s", vec![again]).await.created, 1);
}

/// Metrics of companies, end users, assets and projects; exact values; what does not fit is refused alone.
pub async fn metrics_are_kept_for_all_four_models(platform: &dyn Platform) {
    company(platform, "c").await;
    enduser(platform, "u", "u@c.com", "c").await;
    for model in ["asset", "project"] {
        let create = change(Action::Create, &model[..1], &[("name", text("N")), ("companyId", text("c"))]);
        applied(&write_one(platform, &ask(model), create).await);
    }
    let columns = [
        ("k", Type::Text),
        ("dimensionId", Type::Text),
        ("value", Type::Decimal { precision: 38, scale: 20 }),
        ("model", Type::Text),
        ("externalId", Type::Text),
        ("date", Type::Date),
    ];
    let row = |key: &str, value: &str, model: Value, id: &str| {
        vec![text(key), text("seats"), number(value), model, text(id), Value::Date(3)]
    };
    let rows = [
        row("1", "12.5", Value::Null, "c"),
        row("2", "1", text("EndUser"), "u@c.com"),
        row("3", "-3.000000000000000001", text("Asset"), "a"),
        row("4", "4", text("Project"), "p"),
        row("5", "5", text("Planet"), "c"),
        row("6", "6", text("Asset"), "nobody"),
        row("7", "0.00000000000000000001", text("Company"), "c"),
    ];
    let loading = load("m", LoadMode::Append, Some("k"));
    let loaded = platform.load(&named("custom_metric"), &loading, pages(vec![page(&columns, &rows)])).await.unwrap();
    let why: Vec<(u64, &str)> = loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str())).collect();
    assert_eq!(why, [(4, "enum"), (5, "unresolved_reference"), (6, "out_of_range")]);
    assert_eq!(loaded.created, 4);
    let rows =
        read(platform, asking("custom_metric", "sourceKey", &["model", "externalId", "dimensionId", "date"])).await;
    let about: Vec<String> = rows.iter().map(|row| format!("{} {}", row["model"], row["externalId"])).collect();
    assert_eq!(about, ["Company c", "EndUser u", "Asset a", "Project p"]);
    assert_eq!(rows[0]["date"], Value::TimestampTz(3 * DAY));
}

/// Hands out one page, then fails.
struct Broken(Option<Page>);

#[async_trait]
impl PageStream for Broken {
    async fn next(&mut self) -> tidegate_model::Result<Option<Page>> {
        match self.0.take() {
            Some(page) => Ok(Some(page)),
            None => Err(Error::new(ErrorKind::Unavailable, "the source went away")),
        }
    }
}

/// A load whose pages stop with an error leaves nothing, and its operation can be carried out later.
pub async fn a_load_that_fails_keeps_nothing(platform: &dyn Platform) {
    company(platform, "c").await;
    let rows = || page(&COLUMNS, &[event(1, text("c"), Value::Null, Value::Null, DAY)]);
    let loading = load("s", LoadMode::Append, Some("event_id"));
    let model = named("user_activity");
    let error = platform.load(&model, &loading, Box::new(Broken(Some(rows())))).await.expect_err("a broken source");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(platform.count(&model, &[]).await.unwrap(), 0);
    let dataset = named("dataset:d");
    let replace = load("s", LoadMode::Replace { max_shrink_pct: None }, None);
    platform.load(&dataset, &replace, pages(vec![rows()])).await.unwrap();
    let replace = load("s", LoadMode::Replace { max_shrink_pct: None }, None);
    platform.load(&dataset, &replace, Box::new(Broken(Some(rows())))).await.expect_err("a broken source");
    assert_eq!(platform.count(&dataset, &[]).await.unwrap(), 1, "readers keep the old rows");
    let loaded = platform.load(&model, &loading, pages(vec![rows()])).await.unwrap();
    assert_eq!((loaded.created, loaded.replayed), (1, false));
    let unkeyed = load("s", LoadMode::Append, None);
    let error = platform.load(&model, &unkeyed, pages(vec![rows()])).await.expect_err("no source key");
    assert_eq!(error.kind, ErrorKind::Config);
}
