//! Writing records.

use tidegate_model::change::{Action, Effect, Outcome};
use tidegate_model::ports::{Platform, WriteAsk};
use tidegate_model::record::RemoteId;
use tidegate_model::value::{Type, Value};

use super::{
    applied, ask, change, company, expecting, fields, new_op, number, records, refused, text, write, write_one,
};

/// What was written is read back, in the same form.
pub async fn what_was_written_is_read_back(platform: &dyn Platform) {
    let given =
        [("name", text("Acmé ☂")), ("phase", text("")), ("employees", Value::Int(12)), ("mrr", number("12.50"))];
    let outcome = write_one(platform, &ask("company"), change(Action::Create, "a", &given)).await;
    let Outcome::Applied { effect: Effect::Created, stored: None, .. } = &outcome else { panic!("{outcome:?}") };
    let rows = records(platform, "company", &["name", "phase", "employees", "mrr", "website"]).await;
    assert_eq!(rows.len(), 1);
    for (name, value) in &given {
        assert_eq!(rows[0].get(*name), Some(value), "{name}");
    }
    assert_eq!(rows[0]["_id"], text(applied(&outcome).as_str()));
    assert!(!rows[0].contains_key("website") && rows[0].contains_key("_updated_at"));
    let clear = change(Action::Update, "a", &[("phase", Value::Null), ("mrr", Value::Null)]);
    applied(&write_one(platform, &ask("company"), clear).await);
    let rows = records(platform, "company", &["phase", "mrr", "employees"]).await;
    assert!(!rows[0].contains_key("phase") && !rows[0].contains_key("mrr") && rows[0].contains_key("employees"));
}

/// Without a before-image a create of a taken key updates, with one it misses and tells what stands there.
pub async fn a_create_of_a_key_that_is_taken_updates_or_misses(platform: &dyn Platform) {
    let id = company(platform, "a").await;
    let create = change(Action::Create, "a", &[("name", text("B"))]);
    let missed = write_one(platform, &ask("company"), expecting(create.clone(), &[])).await;
    let Outcome::Missed { now: Some(now), remote } = missed else { panic!("{missed:?}") };
    assert_eq!((now.get("name"), remote), (Some(&text("a")), Some(id.clone())));
    let updated = write_one(platform, &ask("company"), create).await;
    assert!(matches!(updated, Outcome::Applied { effect: Effect::Updated, .. }), "{updated:?}");
    assert_eq!(applied(&updated), id);
}

/// Updates and deletes are carried out only where their before-image stands.
pub async fn a_write_misses_when_something_else_stands_there(platform: &dyn Platform) {
    let id = company(platform, "a").await;
    let update = change(Action::Update, "a", &[("phase", text("won"))]);
    let missed = write_one(platform, &ask("company"), expecting(update.clone(), &[("phase", text("lead"))])).await;
    let Outcome::Missed { now: Some(now), remote } = missed else { panic!("{missed:?}") };
    assert_eq!((now.get("phase"), remote), (Some(&Value::Null), Some(id.clone())));
    let hit = write_one(platform, &ask("company"), expecting(update, &[("phase", Value::Null)])).await;
    assert_eq!(applied(&hit), id);
    let delete = tidegate_model::change::Change { remote: Some(id.clone()), ..change(Action::Delete, "a", &[]) };
    let missed = write_one(platform, &ask("company"), expecting(delete.clone(), &[("phase", Value::Null)])).await;
    let Outcome::Missed { now: Some(now), .. } = missed else { panic!("{missed:?}") };
    assert_eq!(now.get("phase"), Some(&text("won")));
    let gone = write_one(platform, &ask("company"), expecting(delete, &[("phase", text("won"))])).await;
    assert!(matches!(gone, Outcome::Applied { effect: Effect::Deleted, .. }), "{gone:?}");
    assert!(records(platform, "company", &[]).await.is_empty());
}

/// Equal means equal under the normal forms: for what is written, and for the before-image.
pub async fn equal_under_the_normal_form_is_unchanged(platform: &dyn Platform) {
    company(platform, "c").await;
    let create = change(Action::Create, "u", &[("email", text("  Ann@ACME.com ")), ("companyId", text("c"))]);
    let outcome = write_one(platform, &ask("enduser"), create.clone()).await;
    let Outcome::Applied { stored: Some(stored), .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(stored.get("email"), Some(&text("ann@acme.com")), "the answer tells the normalised value");
    assert_eq!(stored.get("companyId"), Some(&text("c")));
    let again = write_one(platform, &ask("enduser"), create).await;
    assert!(matches!(again, Outcome::Unchanged { remote: Some(_) }), "{again:?}");
    let rename = expecting(change(Action::Update, "u", &[("name", text("Ann"))]), &[("email", text("ANN@acme.com"))]);
    applied(&write_one(platform, &ask("enduser"), rename).await);
    company(platform, "n").await;
    let exact = change(Action::Update, "n", &[("mrr", number("1.50"))]);
    applied(&write_one(platform, &ask("company"), exact).await);
    let same = write_one(platform, &ask("company"), change(Action::Update, "n", &[("mrr", number("1.5"))])).await;
    assert!(matches!(same, Outcome::Unchanged { .. }), "{same:?}");
}

/// A record that is not there: updates miss, deletes have nothing to do.
pub async fn gone_records_are_missed_and_deletes_of_them_are_quiet(platform: &dyn Platform) {
    let outcomes = write(
        platform,
        &ask("company"),
        &[
            change(Action::Update, "x", &[("name", text("X"))]),
            change(Action::Delete, "x", &[]),
            expecting(change(Action::Delete, "x", &[]), &[("name", text("X"))]),
        ],
    )
    .await;
    assert!(matches!(outcomes[0], Outcome::Missed { now: None, .. }), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Unchanged { .. }), "{outcomes:?}");
    assert!(matches!(outcomes[2], Outcome::Missed { now: None, .. }), "{outcomes:?}");
    let mut stray = change(Action::Update, "x", &[("name", text("X"))]);
    stray.remote = Some(RemoteId::new("nobody"));
    assert!(matches!(write_one(platform, &ask("company"), stray).await, Outcome::Missed { now: None, .. }));
}

/// Each refusal names field and rule, and the other records of the call are taken.
pub async fn a_bad_record_is_refused_alone(platform: &dyn Platform) {
    let bad: [(&str, Value, &str); 8] = [
        ("status", text("perhaps"), "enum"),
        ("nosuch", text("x"), "unknown_field"),
        ("custom.nosuch", text("x"), "unknown_field"),
        ("employees", Value::Int(-1), "range"),
        ("employees", text("many"), "wrong_type"),
        ("phase", text(&"x".repeat(300)), "too_long"),
        ("createdAt", Value::TimestampTz(0), "read_only"),
        ("name", Value::Null, "required"),
    ];
    let mut batch = vec![change(Action::Create, "good", &[("name", text("Good"))])];
    for (at, (field, value, _)) in bad.iter().enumerate() {
        let pairs = [("name", text("Bad")), (*field, value.clone())];
        let mut change = change(Action::Create, &format!("bad{at}"), &pairs);
        if *field == "name" {
            change.fields = fields(&[("name", Value::Null)]);
        }
        batch.push(change);
    }
    batch.push(change(Action::Create, "none", &[("phase", text("x"))]));
    let outcomes = write(platform, &ask("company"), &batch).await;
    applied(&outcomes[0]);
    for (outcome, (field, value, rule)) in outcomes[1..].iter().zip(&bad) {
        let why = refused(outcome);
        assert_eq!((why.field.as_deref(), why.rule.as_str()), (Some(*field), *rule), "{why:?}");
        assert!(value.is_null() || value.to_string().len() < 2 || !why.reason.contains(&value.to_string()), "{why:?}");
    }
    assert_eq!(refused(&outcomes[9]).rule, "required");
    assert_eq!(records(platform, "company", &[]).await.len(), 1);
}

/// No two records share an externalId or a sourceId; two of one call can swap theirs.
pub async fn keys_are_unique_and_can_be_swapped(platform: &dyn Platform) {
    let make =
        |key: &str, source: &str| change(Action::Create, key, &[("name", text(key)), ("sourceId", text(source))]);
    let outcomes = write(platform, &ask("company"), &[make("a", "1"), make("b", "2"), make("c", "2")]).await;
    let (a, b) = (applied(&outcomes[0]), applied(&outcomes[1]));
    let why = refused(&outcomes[2]);
    assert_eq!((why.rule.as_str(), why.field.as_deref()), ("duplicate_key", Some("sourceId")));
    let taken = write_one(platform, &ask("company"), change(Action::Update, "a", &[("sourceId", text("2"))])).await;
    assert_eq!(refused(&taken).rule, "duplicate_key");
    let by_id = |id: &RemoteId, source: Value| {
        let mut change = change(Action::Update, "", &[("sourceId", source)]);
        change.remote = Some(id.clone());
        change
    };
    let free = write(
        platform,
        &WriteAsk { op: new_op(), ..ask("company") },
        &[by_id(&a, Value::Null), by_id(&b, text("1")), by_id(&a, text("2"))],
    )
    .await;
    free.iter().for_each(|outcome| drop(applied(outcome)));
    let rows = records(platform, "company", &["sourceId"]).await;
    assert_eq!((&rows[0]["sourceId"], &rows[1]["sourceId"]), (&text("2"), &text("1")));
}

/// A custom field appears when it is first mapped, by any name, typed by that mapping.
pub async fn custom_fields_appear_when_first_mapped(platform: &dyn Platform) {
    let decimal = Type::Decimal { precision: 12, scale: 2 };
    let new = vec![("custom.Health score ☂\"'".to_owned(), decimal), ("custom.arr".to_owned(), Type::Int64)];
    let ask = WriteAsk { new_fields: new, ..ask("company") };
    let pairs = [("name", text("A")), ("custom.Health score ☂\"'", number("1.25")), ("custom.arr", Value::Int(7))];
    let create = change(Action::Create, "a", &pairs);
    applied(&write(platform, &ask, &[create]).await[0]);
    let schema = platform.model(&ask.model).await.unwrap();
    assert_eq!(schema.field("custom.Health score ☂\"'").expect("the new field").logical, decimal);
    let rows = records(platform, "company", &["custom.arr", "custom.nobody", "custom.Health score ☂\"'"]).await;
    assert_eq!(rows[0]["custom.Health score ☂\"'"], number("1.25"));
    assert!(!rows[0].contains_key("custom.nobody"), "a field that nobody has made reads as empty");
    let fine = write_one(platform, &ask, change(Action::Update, "a", &[("custom.arr", number("8"))])).await;
    applied(&fine);
    let bad =
        write_one(platform, &ask, change(Action::Update, "a", &[("custom.Health score ☂\"'", number("1.255"))])).await;
    assert_eq!(refused(&bad).rule, "scale");
}

/// A second mapping with another type is refused, record by record, and found by `check`.
pub async fn a_custom_field_keeps_its_first_type(platform: &dyn Platform) {
    let mapped = |logical| WriteAsk { new_fields: vec![("custom.x".to_owned(), logical)], ..ask("company") };
    let create = change(Action::Create, "a", &[("name", text("A")), ("custom.x", Value::Int(1))]);
    applied(&write_one(platform, &mapped(Type::Int64), create).await);
    let other = change(Action::Update, "a", &[("custom.x", text("one"))]);
    let why = refused(&write_one(platform, &mapped(Type::Text), other).await);
    assert_eq!((why.rule.as_str(), why.field.as_deref()), ("type_conflict", Some("custom.x")));
    let column = tidegate_model::ports::WriteColumn {
        name: "custom.x".to_owned(),
        logical: Type::Text,
        nulls: true,
        max_length: None,
    };
    let need = tidegate_model::ports::Need::Write {
        relation: tidegate_model::schema::Relation(vec!["company".to_owned()]),
        key: Some("externalId".to_owned()),
        columns: vec![column],
        mode: tidegate_model::sync::WriteMode::Upsert,
    };
    let findings = platform.check(&[need]).await;
    assert!(findings.iter().any(|finding| finding.finding == "type_conflict"), "{findings:?}");
}

/// Every logical type can be that of a custom field.
pub async fn every_type_of_a_custom_field_comes_back(platform: &dyn Platform) {
    let digits = "1234567890123456789012345678901234567890.123456";
    let all: [(Type, Value); 13] = [
        (Type::Bool, Value::Bool(true)),
        (Type::Int64, Value::Int(i64::MIN)),
        (Type::Decimal { precision: 38, scale: 10 }, number("-9999999999999999999999999999.0000000001")),
        (Type::Decimal { precision: 76, scale: 6 }, number(digits)),
        (Type::Float64, Value::Float(0.1)),
        (Type::Text, text("ü\n'\"☂")),
        (Type::Date, Value::Date(-1)),
        (Type::Time, Value::Time(86_399_999_999)),
        (Type::Timestamp, Value::Timestamp(-62_135_596_800_000_000)),
        (Type::TimestampTz, Value::TimestampTz(253_402_300_799_999_999)),
        (Type::Binary, Value::Binary(vec![0, 255, 1])),
        (Type::Json, Value::Json("{\"a\":1.50}".into())),
        (Type::List, Value::List(vec![text("a"), text("b")])),
    ];
    let name = |at: usize| format!("custom.f{at}");
    let new = all.iter().enumerate().map(|(at, (logical, _))| (name(at), *logical)).collect();
    let mut create = change(Action::Create, "a", &[("name", text("A"))]);
    all.iter().enumerate().for_each(|(at, (_, value))| create.fields.set(name(at), value.clone()));
    let ask = WriteAsk { new_fields: new, ..ask("company") };
    let outcome = write_one(platform, &ask, create.clone()).await;
    assert!(matches!(outcome, Outcome::Applied { stored: None, .. }), "{outcome:?}");
    let names: Vec<String> = (0..all.len()).map(name).collect();
    let rows = records(platform, "company", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (at, (logical, value)) in all.iter().enumerate() {
        assert_eq!(&rows[0][&name(at)], value, "{logical}");
    }
    let again = write_one(platform, &ask, expecting(create.clone(), &[])).await;
    let Outcome::Missed { now: Some(now), .. } = again else { panic!("{again:?}") };
    create.fields.iter().for_each(|(name, value)| assert_eq!(now.get(name), Some(value)));
}
