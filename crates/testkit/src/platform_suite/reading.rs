//! Reading records.

use tidegate_model::change::Action;
use tidegate_model::ports::{Platform, PlatformAsk};
use tidegate_model::record::{Key, RecordRef, RemoteId};
use tidegate_model::sync::{Condition, Op};
use tidegate_model::value::Value;

use super::{ask, asking, change, company, enduser, named, number, read, records, rows_of, text, write};

/// A full read is in byte order of the key; records without it come first; order does not follow a language.
pub async fn a_full_read_is_in_byte_order_of_the_key(platform: &dyn Platform) {
    let keys = ["b", "B", "é", "10", "9", "a b", "ab", "z", "Z", "_"];
    let batch: Vec<_> = keys.iter().map(|key| change(Action::Create, key, &[("name", text("N"))])).collect();
    write(platform, &ask("company"), &batch).await;
    let mut by_source = ask("company");
    by_source.key = "sourceId".to_owned();
    write(platform, &by_source, &[change(Action::Create, "s1", &[("name", text("N"))])]).await;
    let rows = records(platform, "company", &[]).await;
    let read: Vec<Option<&Value>> = rows.iter().map(|row| row.get("externalId")).collect();
    let mut sorted = keys;
    sorted.sort_unstable();
    let sorted: Vec<Value> = sorted.iter().map(|key| text(key)).collect();
    let expected: Vec<Option<&Value>> = std::iter::once(None).chain(sorted.iter().map(Some)).collect();
    assert_eq!(read, expected);
    let by_id = super::read(platform, asking("company", "_id", &[])).await;
    let ids: Vec<String> = by_id.iter().map(|row| row["_id"].to_string()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
}

/// Conditions compare by the field's type.
pub async fn a_filter_narrows_what_is_read(platform: &dyn Platform) {
    let make = |key: &str, status: Value, mrr: &str| {
        change(Action::Create, key, &[("name", text(key)), ("status", status), ("mrr", number(mrr))])
    };
    let batch = [make("a", text("customer"), "9"), make("b", text("lost"), "10.50"), make("c", Value::Null, "100")];
    write(platform, &ask("company"), &batch).await;
    enduser(platform, "u", "u@x.com", "b").await;
    let cases: [(&str, Op, &str, &[&str]); 7] = [
        ("status", Op::Eq, "customer", &["a"]),
        ("status", Op::Ne, "customer", &["b", "c"]),
        ("mrr", Op::Gt, "9.9", &["b", "c"]),
        ("mrr", Op::Eq, "10.5", &["b"]),
        ("mrr", Op::Le, "10.5", &["a", "b"]),
        ("externalId", Op::Ge, "b", &["b", "c"]),
        ("createdAt", Op::Lt, "2001-01-01T00:00:00Z", &[]),
    ];
    for (field, op, value, expected) in cases {
        let condition = Condition { field: field.to_owned(), op, value: value.to_owned() };
        let filter = vec![condition];
        let rows = read(platform, PlatformAsk { filter: filter.clone(), ..asking("company", "externalId", &[]) }).await;
        let keys: Vec<String> = rows.iter().map(|row| row["externalId"].to_string()).collect();
        assert_eq!(keys, expected, "{field} {op:?} {value}");
        assert_eq!(platform.count(&named("company"), &filter).await.unwrap(), expected.len() as u64);
    }
    let of = |company: &str| vec![Condition { field: "companyId".to_owned(), op: Op::Eq, value: company.to_owned() }];
    assert_eq!(platform.count(&named("enduser"), &of("b")).await.unwrap(), 1);
    assert_eq!(platform.count(&named("enduser"), &of("nobody")).await.unwrap(), 0);
    let wrong = vec![Condition { field: "mrr".to_owned(), op: Op::Eq, value: "much".to_owned() }];
    assert!(platform.count(&named("company"), &wrong).await.is_err());
}

/// Pages hold at most what was asked for; a reader may go away.
pub async fn pages_are_bounded_and_a_dropped_read_ends(platform: &dyn Platform) {
    let batch: Vec<_> = (0..250).map(|n| change(Action::Create, &format!("k{n:03}"), &[("name", text("N"))])).collect();
    write(platform, &ask("company"), &batch).await;
    let ask_for = |rows| PlatformAsk { page_rows: rows, ..asking("company", "externalId", &["name"]) };
    let mut pages = platform.read(ask_for(100)).await.unwrap();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        sizes.push(page.len());
    }
    assert_eq!(sizes, [100, 100, 50]);
    for _ in 0..20 {
        let mut pages = platform.read(ask_for(1)).await.unwrap();
        assert_eq!(pages.next().await.unwrap().map(|page| page.len()), Some(1));
    }
    company(platform, "later").await;
    assert_eq!(records(platform, "company", &[]).await.len(), 251);
}

/// Records are fetched by id and by key, each once; absent ones are left out.
pub async fn fetch_finds_records_by_id_and_by_key(platform: &dyn Platform) {
    let a = company(platform, "a").await;
    company(platform, "b").await;
    enduser(platform, "u", "ann@x.com", "a").await;
    let asked = [
        RecordRef::Remote(a.clone()),
        RecordRef::Key(Key::new("a")),
        RecordRef::Key(Key::new("b")),
        RecordRef::Key(Key::new("nobody")),
        RecordRef::Remote(RemoteId::new("nobody")),
    ];
    let fields = ["name".to_owned()];
    let page = platform.fetch(&named("company"), "externalId", &fields, &asked).await.unwrap();
    let mut names: Vec<String> = rows_of(&page).iter().map(|row| row["name"].to_string()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b"]);
    let columns: Vec<String> = page.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(columns, ["_id", "externalId", "name", "_updated_at"]);
    let by_mail = [RecordRef::Key(Key::new(" ANN@x.com"))];
    let page = platform.fetch(&named("enduser"), "email", &["companyId".to_owned()], &by_mail).await.unwrap();
    assert_eq!(rows_of(&page)[0]["companyId"], text("a"));
    let none = platform.fetch(&named("company"), "externalId", &[], &[]).await.unwrap();
    assert!(none.is_empty());
}
