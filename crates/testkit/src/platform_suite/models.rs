//! Every model, by its data.

use tidegate_model::change::{Action, Effect, Outcome};
use tidegate_model::ports::{Need, Platform, WriteColumn};
use tidegate_model::schema::{FieldSchema, ModelKind, Relation, Source};
use tidegate_model::sync::WriteMode;
use tidegate_model::value::{Type, Value};

use super::{applied, ask, change, named, number, records, refused, text, write_one};

/// What Planhat's models are called.
const MODELS: [&str; 18] = [
    "user",
    "company",
    "enduser",
    "license",
    "opportunity",
    "asset",
    "project",
    "workspace",
    "objective",
    "campaign",
    "conversation",
    "ticket",
    "task",
    "issue",
    "invoice",
    "sale",
    "nps",
    "churn",
];

/// A value that a field takes.
fn sample(field: &FieldSchema, key: &str) -> Value {
    if let Some(parent) = &field.references {
        return text(&format!("{parent}-0"));
    }
    if let Some(one) = field.one_of.first() {
        return text(one);
    }
    match field.logical {
        Type::Int64 => Value::Int(field.range.map_or(5, |(least, _)| least.max(5))),
        Type::Decimal { .. } => number("19.90"),
        Type::Bool => Value::Bool(true),
        Type::Date => Value::Date(20_000),
        Type::TimestampTz => Value::TimestampTz(1_700_000_000_000_001),
        Type::List => Value::List(vec![text("a"), text("b")]),
        _ if field.name == "email" => text(&format!("{key}@example.com")),
        _ => text(&format!("{} of {key}", field.name)),
    }
}

/// Something that a field of this model refuses, and by which rule.
fn wrong(fields: &[FieldSchema]) -> (String, Value, &'static str) {
    let has = |test: &dyn Fn(&FieldSchema) -> bool| fields.iter().find(|field| test(field)).map(|f| f.name.clone());
    if let Some(name) = has(&|field| !field.one_of.is_empty()) {
        return (name, text("nothing of the kind"), "enum");
    }
    if let Some(name) = has(&|field| field.range.is_some()) {
        return (name, Value::Int(i64::MAX), "range");
    }
    if let Some(name) = has(&|field| field.pattern.is_some()) {
        return (name, text("no address"), "pattern");
    }
    let name = has(&|field| field.references.is_some()).expect("a reference");
    (name, text("nobody"), "unresolved_reference")
}

/// A record of each model is created with all its fields, updated, and refused for what its data say.
pub async fn a_record_of_each_model_is_created_updated_and_refused(platform: &dyn Platform) {
    for model in MODELS {
        let schema = platform.model(&named(model)).await.expect(model);
        assert_eq!(schema.kind, ModelKind::Records);
        assert!(schema.keys.contains(&"externalId".to_owned()), "{model}: {:?}", schema.keys);
        let writable: Vec<FieldSchema> =
            schema.fields.iter().filter(|f| !f.read_only && f.name != "externalId").cloned().collect();
        for key in [format!("{model}-0"), format!("{model}-1")] {
            let mut create = change(Action::Create, &key, &[]);
            writable.iter().for_each(|field| create.fields.set(field.name.as_str(), sample(field, &key)));
            let outcome = write_one(platform, &ask(model), create.clone()).await;
            assert!(matches!(outcome, Outcome::Applied { effect: Effect::Created, .. }), "{model}: {outcome:?}");
            let again = write_one(platform, &ask(model), create).await;
            assert!(matches!(again, Outcome::Unchanged { .. }), "{model}: {again:?}");
        }
        let names: Vec<&str> = writable.iter().map(|field| field.name.as_str()).collect();
        let rows = records(platform, model, &names).await;
        assert_eq!(rows.len(), 2, "{model}");
        for field in &writable {
            assert_eq!(rows[0].get(&field.name), Some(&sample(field, &format!("{model}-0"))), "{model}.{}", field.name);
        }
        let free = |f: &&FieldSchema| {
            let plain = f.references.is_none() && f.logical == Type::Text && f.one_of.is_empty();
            plain && !["sourceId", "email"].contains(&f.name.as_str())
        };
        let optional = writable.iter().find(free).expect(model);
        let update = change(Action::Update, &format!("{model}-1"), &[(&optional.name, text("changed"))]);
        applied(&write_one(platform, &ask(model), update).await);
        let (field, value, rule) = wrong(&writable);
        let bad = change(Action::Update, &format!("{model}-1"), &[(&field, value)]);
        let why = refused(&write_one(platform, &ask(model), bad).await);
        assert_eq!((why.rule.as_str(), why.field.as_deref()), (rule, Some(field.as_str())), "{model}");
        for required in writable.iter().filter(|field| field.required) {
            let mut create = change(Action::Create, "new", &[]);
            let others = writable.iter().filter(|field| field.name != required.name && field.name != "sourceId");
            others.for_each(|field| create.fields.set(field.name.as_str(), sample(field, "new")));
            let why = refused(&write_one(platform, &ask(model), create).await);
            assert_eq!(why.rule, "required", "{model}.{}: {why:?}", required.name);
        }
        assert_eq!(records(platform, model, &[]).await.len(), 2, "{model}: what was refused left nothing");
    }
    let all = platform.models().await.unwrap();
    assert!(MODELS.iter().all(|model| all.iter().any(|schema| schema.name.as_str() == *model)));
    let error = platform.model(&named("compani")).await.expect_err("no such model");
    assert!(error.hint.unwrap_or_default().contains("company"));
}

/// `check` names fields that are not there, with near matches, and is quiet about what is fine.
pub async fn check_names_what_is_missing(platform: &dyn Platform) {
    let column = |name: &str, logical| WriteColumn { name: name.to_owned(), logical, nulls: true, max_length: None };
    let need = |key: &str, columns: Vec<WriteColumn>| Need::Write {
        relation: Relation(vec!["company".to_owned()]),
        key: Some(key.to_owned()),
        columns,
        mode: WriteMode::Upsert,
    };
    let good = need("externalId", vec![column("name", Type::Text), column("custom.ARR", Type::Int64)]);
    assert_eq!(platform.check(&[Need::Connect, good]).await, Vec::new());
    let bad = vec![column("nmae", Type::Text), column("employees", Type::Text), column("createdAt", Type::TimestampTz)];
    let findings = platform.check(&[need("website", bad)]).await;
    let found: Vec<&str> = findings.iter().map(|finding| finding.finding.as_str()).collect();
    assert_eq!(found, ["key", "unknown_field", "type_conflict", "read_only", "required"]);
    assert!(findings[1].fix.contains("name"), "{findings:?}");
    let read = Need::Read { source: Source::Relation(Relation(vec!["companies".to_owned()])), columns: Vec::new() };
    let findings = platform.check(&[read]).await;
    assert!(findings[0].fix.contains("company"), "{findings:?}");
}
