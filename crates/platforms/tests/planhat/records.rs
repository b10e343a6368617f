//! Records: models, custom fields, keys, clearing, deleting, filters.

use serde_json::{Value as Json, json};
use tidegate_model::change::{Action, Change, Effect, Outcome};
use tidegate_model::ports::{Need, PlatformAsk, WriteAsk, WriteColumn};
use tidegate_model::record::{Key, RecordRef, RemoteId};
use tidegate_model::schema::{FieldSchema, ModelKind, Relation, Source};
use tidegate_model::sync::{Condition, Op, WriteMode};
use tidegate_model::value::{Type, Value};
use tidegate_testkit::platform_suite::{
    applied, ask, asking, change, company, enduser, expecting, named, new_op, number, read, records, refused, rows_of,
    text, write, write_one,
};

use crate::lab::{Tenant, quiet, tenant, unsure};

/// A value that a field takes.
pub fn sample(field: &FieldSchema, key: &str) -> Value {
    if let Some(parent) = &field.references {
        return text(&format!("{parent}-0"));
    }
    if let Some(one) = field.one_of.first() {
        return text(one);
    }
    match field.logical {
        Type::Int64 => Value::Int(5),
        Type::Decimal { .. } => number("19.90"),
        Type::Bool => Value::Bool(true),
        Type::Date => Value::Date(20_000),
        Type::TimestampTz => Value::TimestampTz(1_700_000_000_001_000),
        Type::List => Value::List(vec![text("a"), text("b")]),
        _ if field.name == "email" => text(&format!("{key}@example.com")),
        _ if field.name == "type" => text("note"),
        _ => text(&format!("{} of {key}", field.name)),
    }
}

/// The models, those that others refer to first.
pub fn models(all: Vec<tidegate_model::schema::ModelSchema>) -> Vec<tidegate_model::schema::ModelSchema> {
    let mut records: Vec<_> = all.into_iter().filter(|model| model.kind == ModelKind::Records).collect();
    records.sort_by_key(|model| match model.name.as_str() {
        "user" => 0,
        "company" => 1,
        _ => 2,
    });
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_each_model_is_made_changed_and_refused() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let all = models(platform.models().await.unwrap());
    assert_eq!(all.len(), 23);
    for schema in all {
        let model = schema.name.as_str();
        let writable: Vec<&FieldSchema> =
            schema.fields.iter().filter(|f| !f.read_only && f.name != "externalId").collect();
        for key in [format!("{model}-0"), format!("{model}-1")] {
            let mut create = change(Action::Create, &key, &[]);
            writable.iter().for_each(|field| create.fields.set(field.name.as_str(), sample(field, &key)));
            let outcome = write_one(platform, &ask(model), create.clone()).await;
            assert!(matches!(outcome, Outcome::Applied { effect: Effect::Created, .. }), "{model}: {outcome:?}");
            let again = write_one(platform, &ask(model), create).await;
            assert!(matches!(again, Outcome::Unchanged { .. }), "{model}: {again:?}");
        }
        let names: Vec<&str> = writable.iter().map(|field| field.name.as_str()).collect();
        let mut rows = records(platform, model, &names).await;
        rows.sort_by_key(|row| row["externalId"].to_string());
        assert_eq!(rows.len(), 2, "{model}");
        for field in &writable {
            assert_eq!(rows[0].get(&field.name), Some(&sample(field, &format!("{model}-0"))), "{model}.{}", field.name);
        }
        for required in writable.iter().filter(|field| field.required) {
            let mut create = change(Action::Create, "new", &[]);
            let others = writable.iter().filter(|field| field.name != required.name && field.name != "sourceId");
            others.for_each(|field| create.fields.set(field.name.as_str(), sample(field, "new")));
            let why = refused(&write_one(platform, &ask(model), create).await);
            assert_eq!(why.rule, "required", "{model}.{}: {why:?}", required.name);
        }
        assert_eq!(records(platform, model, &[]).await.len(), 2, "{model}: what was refused left nothing");
    }
    let error = platform.model(&named("compani")).await.expect_err("no such model");
    assert!(error.hint.unwrap_or_default().contains("company"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_is_refused_alone() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let bad: [(&str, Value, &str); 6] = [
        ("status", text("perhaps"), "enum"),
        ("nosuch", text("x"), "unknown_field"),
        ("custom.nosuch", text("x"), "unknown_field"),
        ("phase", Value::Int(1), "wrong_type"),
        ("createdAt", Value::TimestampTz(0), "read_only"),
        ("owner", text("nobody"), "unresolved_reference"),
    ];
    let mut batch = vec![change(Action::Create, "good", &[("name", text("Good"))])];
    for (at, (field, value, _)) in bad.iter().enumerate() {
        batch.push(change(Action::Create, &format!("bad{at}"), &[("name", text("Bad")), (*field, value.clone())]));
    }
    let outcomes = write(platform, &ask("company"), &batch).await;
    applied(&outcomes[0]);
    for (outcome, (field, _, rule)) in outcomes[1..].iter().zip(&bad) {
        let why = refused(outcome);
        assert_eq!((why.field.as_deref(), why.rule.as_str()), (Some(*field), *rule), "{why:?}");
    }
    assert_eq!(records(platform, "company", &[]).await.len(), 1);
    company(platform, "c").await;
    let reserved = [("companyId", text("c")), ("type", text("Email"))];
    let why = refused(&write_one(platform, &ask("conversation"), change(Action::Create, "n", &reserved)).await);
    assert_eq!(why.rule, "reserved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_of_a_taken_key_updates_or_misses() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let id = company(platform, "a").await;
    let create = change(Action::Create, "a", &[("name", text("B"))]);
    let missed = write_one(platform, &ask("company"), expecting(create.clone(), &[])).await;
    let Outcome::Missed { now: Some(now), remote } = missed else { panic!("{missed:?}") };
    assert_eq!((now.get("name"), remote), (Some(&text("a")), Some(id.clone())));
    let updated = write_one(platform, &ask("company"), create).await;
    assert!(matches!(updated, Outcome::Applied { effect: Effect::Updated, .. }), "{updated:?}");
    assert_eq!(applied(&updated), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_a_deleted_record_misses() {
    for choice in ["insert", "error"] {
        let tenant = Tenant::with(unsure("unknown_id", choice), json!({})).await;
        let platform = tenant.port();
        let gone = |fields: &[(&str, Value)]| Change {
            remote: Some(RemoteId::new("0123456789abcdef01234567")),
            ..change(Action::Update, "a", fields)
        };
        let partial = write_one(platform, &ask("company"), gone(&[("phase", text("x"))])).await;
        assert!(matches!(partial, Outcome::Missed { now: None, .. }), "{choice}: {partial:?}");
        let whole = write_one(platform, &ask("company"), gone(&[("name", text("A"))])).await;
        assert!(matches!(whole, Outcome::Missed { now: None, .. }), "{choice}: {whole:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_fields_are_defined_when_first_mapped() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let new = [
        ("custom.Health score", Type::Decimal { precision: 12, scale: 2 }, number("1.25"), "number"),
        ("custom.Is VIP", Type::Bool, Value::Bool(true), "checkbox"),
        ("custom.Renews", Type::Date, Value::Date(20_000), "day"),
        ("custom.Seen at", Type::TimestampTz, Value::TimestampTz(1_700_000_000_123_000), "date"),
        ("custom.Labels", Type::List, Value::List(vec![text("x")]), "multipicklist"),
        ("custom.Note ☂", Type::Text, text("ü"), "text"),
    ];
    let new_fields = new.iter().map(|(name, logical, ..)| ((*name).to_owned(), *logical)).collect();
    let asked = WriteAsk { new_fields, ..ask("company") };
    let mut create = change(Action::Create, "a", &[("name", text("A"))]);
    new.iter().for_each(|(name, _, value, _)| create.fields.set(*name, value.clone()));
    applied(&write_one(platform, &asked, create).await);
    let names: Vec<&str> = new.iter().map(|(name, ..)| *name).chain(["custom.nobody"]).collect();
    let rows = records(platform, "company", &names).await;
    for (name, _, value, _) in &new {
        assert_eq!(rows[0].get(*name), Some(value), "{name}");
    }
    assert!(!rows[0].contains_key("custom.nobody"));
    let defined = tenant.holds("customfield");
    for (name, _, _, word) in &new {
        let own = name.trim_start_matches("custom.");
        assert!(defined.iter().any(|field| field["name"] == own && field["type"] == *word), "{name}: {defined:?}");
    }
    // One that is defined is not defined again, and keeps the values of its neighbours.
    let more = change(Action::Update, "a", &[("custom.Is VIP", Value::Bool(false))]);
    applied(&write_one(&*tenant.again(json!({})), &asked, more).await);
    assert_eq!(tenant.holds("customfield").len(), new.len());
    assert_eq!(tenant.holds("company")[0]["custom"]["Note ☂"], "ü");
    let wrong = change(Action::Update, "a", &[("custom.Is VIP", text("yes"))]);
    assert_eq!(refused(&write_one(platform, &asked, wrong).await).rule, "wrong_type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_was_emptied_is_empty_or_a_reject() {
    let cases = [
        (quiet(), "null", true),
        (unsure("nulls", "ignore"), "null", false),
        (unsure("nulls", "ignore"), "empty", true),
        (unsure("empty", "clear"), "empty", true),
        (quiet(), "omit", false),
    ];
    for (knobs, clear_as, works) in cases {
        let tenant = Tenant::with(knobs.clone(), json!({ "clear_as": clear_as })).await;
        let platform = tenant.port();
        let create = change(Action::Create, "a", &[("name", text("A")), ("phase", text("won"))]);
        let id = applied(&write_one(platform, &ask("company"), create).await);
        let clear = Change { remote: Some(id), ..change(Action::Update, "a", &[("phase", Value::Null)]) };
        let outcome = write_one(platform, &ask("company"), clear).await;
        let phase = tenant.holds("company")[0]["phase"].clone();
        if works {
            assert!(
                matches!(&outcome, Outcome::Applied { dropped, .. } if dropped.is_empty()),
                "{clear_as}: {outcome:?}"
            );
            assert!(phase == "" || phase.is_null(), "{clear_as}: {phase}");
        } else {
            let Outcome::Applied { dropped, .. } = &outcome else { panic!("{clear_as}: {outcome:?}") };
            assert_eq!((dropped[0].rule.as_str(), dropped[0].field.as_deref()), ("cannot_clear", Some("phase")));
            assert_eq!(phase, "won", "{clear_as} {knobs:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_clear_of_a_field_is_read_back() {
    let tenant = tenant().await;
    let platform = tenant.port();
    for key in ["a", "b"] {
        let create = change(Action::Create, key, &[("name", text("A")), ("phase", text("won"))]);
        applied(&write_one(platform, &ask("company"), create).await);
    }
    let reads = || {
        tenant
            .twin
            .requests()
            .iter()
            .filter(|seen| seen.method == "GET" && seen.target.starts_with("/companies/"))
            .count()
    };
    let ids: Vec<RemoteId> =
        records(platform, "company", &[]).await.iter().map(|row| RemoteId::new(row["_id"].to_string())).collect();
    for (at, id) in ids.into_iter().enumerate() {
        let clear = change(Action::Update, "", &[("phase", Value::Null)]);
        applied(&write_one(platform, &ask("company"), Change { remote: Some(id), ..clear }).await);
        assert_eq!(reads(), 1, "after clear {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_deleted_and_their_keys_come_free() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let id = company(platform, "c").await;
    enduser(platform, "u", "u@x.com", "c").await;
    let delete = Change { remote: Some(id), ..change(Action::Delete, "c", &[]) };
    let gone = write_one(platform, &ask("company"), delete.clone()).await;
    assert!(matches!(gone, Outcome::Applied { effect: Effect::Deleted, .. }), "{gone:?}");
    assert!(matches!(write_one(platform, &ask("company"), delete).await, Outcome::Unchanged { .. }));
    assert_eq!(
        records(platform, "enduser", &["companyId"]).await[0]["companyId"],
        text("c"),
        "children read as before"
    );
    let child = change(Action::Create, "v", &[("email", text("v@x.com")), ("companyId", text("c"))]);
    assert_eq!(refused(&write_one(platform, &ask("enduser"), child.clone()).await).rule, "unresolved_reference");
    company(platform, "c").await;
    applied(&write_one(platform, &ask("enduser"), child).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_narrows_what_is_read() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let make = |key: &str, pairs: &[(&str, Value)]| {
        let mut create = change(Action::Create, key, &[("name", text(key))]);
        pairs.iter().for_each(|(name, value)| create.fields.set(*name, value.clone()));
        create
    };
    let day = |days| Value::Date(days);
    let batch = [
        make("a", &[("status", text("customer")), ("customerFrom", day(9))]),
        make("b", &[("status", text("lost")), ("customerFrom", day(10))]),
        make("c", &[("customerFrom", day(100))]),
    ];
    write(platform, &ask("company"), &batch).await;
    enduser(platform, "u", "u@x.com", "b").await;
    let cases: [(&str, &str, Op, &str, u64); 8] = [
        ("company", "status", Op::Eq, "customer", 1),
        ("company", "status", Op::Ne, "customer", 2),
        ("company", "customerFrom", Op::Gt, "1970-01-10", 2),
        ("company", "customerFrom", Op::Le, "1970-01-11", 2),
        ("company", "externalId", Op::Ge, "b", 2),
        ("company", "createdAt", Op::Lt, "2001-01-01T00:00:00Z", 0),
        ("enduser", "companyId", Op::Eq, "b", 1),
        ("enduser", "companyId", Op::Eq, "nobody", 0),
    ];
    for (model, field, op, value, expected) in cases {
        let filter = vec![Condition { field: field.to_owned(), op, value: value.to_owned() }];
        let rows = read(platform, PlatformAsk { filter: filter.clone(), ..asking(model, "externalId", &[]) }).await;
        assert_eq!(rows.len() as u64, expected, "{field} {op:?} {value}");
        assert_eq!(platform.count(&named(model), &filter).await.unwrap(), expected);
    }
    let wrong = vec![Condition { field: "customerFrom".to_owned(), op: Op::Eq, value: "much".to_owned() }];
    assert!(platform.count(&named("company"), &wrong).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_records_are_fetched_by_one_list() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let batch: Vec<Change> =
        (0..60).map(|n| change(Action::Create, &format!("k{n}"), &[("name", text("N"))])).collect();
    write(platform, &WriteAsk { op: new_op(), ..ask("company") }, &batch).await;
    tenant.twin.forget_requests();
    let refs: Vec<RecordRef> = (0..50).map(|n| RecordRef::Key(Key::new(format!("k{n}")))).collect();
    let page = platform.fetch(&named("company"), "externalId", &["name".to_owned()], &refs).await.unwrap();
    assert_eq!(rows_of(&page).len(), 50);
    let lists = tenant.twin.requests().iter().filter(|seen| seen.target.starts_with("/companies")).count();
    assert_eq!(lists, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_without_a_company_find_it_by_domain_or_are_refused() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let user = |key: &str, email: &str| change(Action::Create, key, &[("email", text(email))]);
    let early = refused(&write_one(platform, &ask("enduser"), user("u1", "a@acme.com")).await);
    assert_eq!(early.rule, "refused");
    let domains = Value::List(vec![text("acme.com")]);
    let acme = change(Action::Create, "acme", &[("name", text("Acme")), ("domains", domains)]);
    applied(&write_one(platform, &ask("company"), acme).await);
    applied(&write_one(platform, &ask("enduser"), user("u1", " A@acme.com ")).await);
    let rows = records(platform, "enduser", &["companyId", "email"]).await;
    assert_eq!((&rows[0]["companyId"], &rows[0]["email"]), (&text("acme"), &text("a@acme.com")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_what_is_missing() {
    let tenant = tenant().await;
    let platform = tenant.port();
    let column = |name: &str, logical| WriteColumn { name: name.to_owned(), logical, nulls: true, max_length: None };
    let need = |key: &str, columns: Vec<WriteColumn>| Need::Write {
        relation: Relation(vec!["company".to_owned()]),
        key: Some(key.to_owned()),
        columns,
        mode: WriteMode::Upsert,
    };
    let good = need("externalId", vec![column("name", Type::Text)]);
    assert_eq!(platform.check(&[Need::Connect, good]).await, Vec::new());
    let bad = vec![
        column("nmae", Type::Text),
        column("customerFrom", Type::Text),
        column("h", Type::Int64),
        column("custom.X", Type::Text),
    ];
    let findings = platform.check(&[need("web", bad)]).await;
    let found: Vec<&str> = findings.iter().map(|finding| finding.finding.as_str()).collect();
    assert_eq!(found, ["key", "unknown_field", "type_conflict", "read_only", "new_custom_field", "required"]);
    assert!(findings[1].fix.contains("name"), "{findings:?}");
    let read = Need::Read { source: Source::Relation(Relation(vec!["companies".to_owned()])), columns: Vec::new() };
    assert!(platform.check(&[read]).await[0].fix.contains("company"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_records_are_one_call_and_more_are_refused_by_planhat() {
    let tenant = tenant().await;
    let platform = tenant.port();
    assert_eq!(platform.abilities(&named("company")).max_batch, 5_000);
    let many = |count: usize| -> Vec<Change> {
        (0..count).map(|n| change(Action::Create, &format!("k{n}"), &[("name", text("N"))])).collect()
    };
    tenant.twin.forget_requests();
    let outcomes = write(platform, &WriteAsk { op: new_op(), ..ask("company") }, &many(5_000)).await;
    outcomes.iter().for_each(|outcome| drop(applied(outcome)));
    assert_eq!(tenant.twin.requests().iter().filter(|seen| seen.method == "PUT").count(), 1);
    let over = platform.write(&WriteAsk { op: new_op(), ..ask("company") }, &many(5_001)).await;
    assert_eq!(over.expect_err("too many").kind, tidegate_model::ErrorKind::BadRequest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_without_an_email_are_refused_before_they_vanish() {
    let tenant = tenant().await;
    let platform = tenant.port();
    company(platform, "c").await;
    let mut by_source = ask("ticket");
    by_source.key = "sourceId".to_owned();
    let ticket = change(Action::Create, "t1", &[("companyId", text("c")), ("title", text("Help"))]);
    let why = refused(&write_one(platform, &by_source, ticket.clone()).await);
    assert_eq!((why.rule.as_str(), why.field.as_deref()), ("required", Some("email")));
    let mut whole = ticket;
    whole.fields.set("email", text("u@x.com"));
    applied(&write_one(platform, &by_source, whole).await);
    let held: Vec<Json> = tenant.holds("ticket");
    assert_eq!((held.len(), &held[0]["sourceId"]), (1, &json!("t1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_license_needs_depends_on_its_period() {
    let tenant = tenant().await;
    let platform = tenant.port();
    company(platform, "c").await;
    let license = |key: &str, more: &[(&str, Value)]| {
        let base = [("companyId", text("c")), ("_currency", text("SEK")), ("fromDate", Value::Date(20_000))];
        change(Action::Create, key, &[&base[..], more].concat())
    };
    let (fixed, open) = (("fixedPeriod", Value::Bool(true)), ("fixedPeriod", Value::Bool(false)));
    let (value, mrr) = (("value", number("120")), ("mrr", number("10")));
    for (at, (more, lacks)) in [
        (vec![fixed.clone(), value.clone()], None),
        (vec![fixed.clone(), mrr.clone()], None),
        (vec![open.clone(), mrr.clone()], None),
        (vec![], None),
        (vec![fixed], Some("value")),
        (vec![open.clone(), value.clone()], Some("mrr")),
    ]
    .into_iter()
    .enumerate()
    {
        let outcome = write_one(platform, &ask("license"), license(&format!("l{at}"), &more)).await;
        match lacks {
            None => drop(applied(&outcome)),
            Some(field) => {
                let why = refused(&outcome);
                assert_eq!((why.rule.as_str(), why.field.as_deref()), ("required", Some(field)), "{why:?}");
            }
        }
    }
    // What we cannot see, Planhat refuses: the license has no mrr, and none is sent.
    let ends = change(Action::Update, "l0", &[open]);
    assert!(refused(&write_one(platform, &ask("license"), ends).await).reason.contains("mrr"), "refused by the twin");
    assert_eq!(tenant.holds("license").len(), 4);
}

/// `check` warns of what a license needs by its period where the period is mapped and nothing that it needs is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_warns_of_what_a_license_needs_by_its_period() {
    let tenant = tenant().await;
    let base = [("companyId", Type::Text), ("_currency", Type::Text), ("fromDate", Type::Date)];
    let found = async |more: &[(&str, Type)], mode: WriteMode| {
        let column = |(name, logical): &(&str, Type)| WriteColumn {
            name: (*name).to_owned(),
            logical: *logical,
            nulls: true,
            max_length: None,
        };
        let need = Need::Write {
            relation: Relation(vec!["license".to_owned()]),
            key: Some("externalId".to_owned()),
            columns: base.iter().chain(more).map(column).collect(),
            mode,
        };
        let found = tenant.port().check(&[need]).await;
        found.into_iter().map(|finding| (finding.finding, finding.why)).collect::<Vec<_>>()
    };
    let (fixed, value, mrr) = (("fixedPeriod", Type::Bool), ("value", Type::Int64), ("mrr", Type::Int64));
    let warning =
        |is: bool, needs: &str| ("required".to_owned(), format!("a new license with fixedPeriod: {is} needs {needs}"));
    let (of_fixed, of_open) = (warning(true, "value or mrr"), warning(false, "mrr"));
    assert_eq!(found(&[fixed], WriteMode::Upsert).await, [of_fixed, of_open.clone()]);
    assert_eq!(found(&[fixed, value], WriteMode::Upsert).await, [of_open]);
    assert_eq!(found(&[fixed, mrr], WriteMode::Upsert).await, []);
    assert_eq!(found(&[], WriteMode::Upsert).await, [], "nobody says which period it has");
    assert_eq!(found(&[fixed], WriteMode::Update).await, [], "nothing is made");
}
