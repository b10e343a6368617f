use std::collections::BTreeMap;

use tidegate_model::cells::value_at;
use tidegate_model::page::Misfit;
use tidegate_model::schema::{
    Column, FieldSchema, ModelKind, ModelName, ModelSchema, Relation, RelationKind, RelationSchema, Source,
};
use tidegate_model::sync::{Direction, EmptyText, FieldMap, FieldSet, FieldSource, KeySpec, Nulls, Sync};
use tidegate_model::transform::Transform;
use tidegate_model::value::Decimal;

use super::*;

const COLUMNS: [(&str, Type); 5] = [
    ("event_id", Type::Int64),
    ("email", Type::Text),
    ("weight", Type::Int64),
    ("price", Type::Decimal { precision: 10, scale: 2 }),
    ("at", Type::Timestamp),
];

fn relation() -> RelationSchema {
    let column = |(name, logical): (&str, Type)| Column {
        name: name.into(),
        logical,
        native: String::new(),
        nullable: true,
        max_length: None,
        filled: false,
    };
    RelationSchema {
        kind: RelationKind::Table,
        columns: COLUMNS.into_iter().map(column).collect(),
        primary_key: Vec::new(),
        change_tracking: false,
        appends: false,
        history_days: None,
        rows_estimate: None,
    }
}

fn model() -> ModelSchema {
    let mut email = FieldSchema::new("email", Type::Text);
    email.max_length = Some(5);
    let weight = FieldSchema::new("weight", Type::Decimal { precision: 38, scale: 9 });
    let mut price = FieldSchema::new("price", Type::Decimal { precision: 38, scale: 9 });
    price.range = Some((0, 100));
    let mut date = FieldSchema::new("date", Type::TimestampTz);
    date.required = true;
    ModelSchema {
        name: ModelName("user_activity".into()),
        kind: ModelKind::Series,
        fields: vec![email, weight, price, date, FieldSchema::new("source", Type::Text)],
        keys: Vec::new(),
        custom_fields: false,
        open: false,
        customs: Vec::new(),
    }
}

fn line(source: FieldSource, platform: &str) -> FieldMap {
    FieldMap {
        source,
        platform: platform.into(),
        direction: Direction::ToPlatform,
        transform: Vec::new(),
        map: BTreeMap::new(),
        nulls: Nulls::Clear,
        on_misfit: OnMisfit::RejectRecord,
        empty: EmptyText::Keep,
        hint: None,
        format: None,
        conflict: None,
    }
}

fn lines() -> Vec<FieldMap> {
    let column = |name: &str| FieldSource::Column(name.into());
    vec![
        line(column("email"), "email"),
        line(column("weight"), "weight"),
        line(column("price"), "price"),
        line(column("at"), "date"),
        line(FieldSource::Constant(Value::text("tidegate")), "source"),
    ]
}

fn columns(lines: Vec<FieldMap>) -> Columns {
    let key = KeySpec { warehouse: "event_id".into(), platform: None, transform: vec![] };
    let source = Source::Relation(Relation::parse("usage"));
    let mut sync = Sync::new("usage", "lake", source, "crm", "user_activity", key);
    sync.fields = FieldSet::List(lines);
    let mapping = Mapping::compile(&sync, &relation(), &model()).expect("a mapping");
    Columns::new(Arc::new(mapping), Target::Platform, Vec::new())
}

fn page(rows: &[[Value; 5]]) -> Page {
    let columns = COLUMNS.map(|(name, logical)| (name.to_owned(), logical));
    let mut builder = PageBuilder::new(&columns);
    for row in rows {
        row.iter().for_each(|value| builder.push(value));
        builder.end_row();
    }
    builder.take().expect("a page")
}

fn row(id: Value, email: &str, price: &str) -> [Value; 5] {
    let price = Value::Decimal(Decimal::parse(price).expect("a number"));
    [id, Value::text(email), Value::Int(3), price, Value::Timestamp(1_000_000)]
}

#[test]
fn columns_that_need_nothing_are_the_same_memory() {
    let mut lines = lines();
    lines.retain(|line| line.platform != "price");
    let page = page(&[row(Value::Int(1), "a@b", "1"), row(Value::Int(2), "c@d", "2")]);
    let mapped = columns(lines).map(&page, Beforehand::default()).expect("mapped");
    let names: Vec<_> = mapped.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["_key", "email", "weight", "date", "source"]);
    for (ours, theirs) in [(0, 0), (1, 1)] {
        let (ours, theirs) = (mapped.rows.column(ours).to_data(), page.rows.column(theirs).to_data());
        assert!(ours.ptr_eq(&theirs));
    }
    assert_eq!(value_at(&mapped.rows, 2, 1), Value::Decimal(Decimal::parse("3").expect("number")));
    assert_eq!(value_at(&mapped.rows, 3, 0), Value::TimestampTz(1_000_000));
    assert_eq!(value_at(&mapped.rows, 4, 1), Value::text("tidegate"));
    assert_eq!(mapped.from, [0, 1]);
    assert!(mapped.rejects.is_empty());
}

#[test]
fn rows_that_do_not_fit_are_left_out_and_told() {
    let mut page = page(&[
        row(Value::Int(1), "a@b", "1"),
        row(Value::Null, "c@d", "2"),
        row(Value::Int(3), "toolong", "200"),
        row(Value::Int(4), "e@f", "4"),
        row(Value::Int(5), "g@h", "5"),
        row(Value::Int(6), "i@j", "6"),
    ]);
    page.misfits.push(Misfit { row: 3, column: 4, rule: "sub_microsecond", reason: "finer".into() });
    let before = Beforehand {
        skip: vec![false, false, false, false, true, false],
        rejects: vec![(5, FieldReject::record("duplicate_key", "twice"))],
    };
    let mapped = columns(lines()).map(&page, before).expect("mapped");
    assert_eq!(mapped.from, [0]);
    assert_eq!(mapped.key(0), Some(Key::new("1")));
    assert_eq!(mapped.rejected, 4);
    let told: Vec<_> = mapped
        .rejects
        .iter()
        .map(|reject| (reject.row, reject.key.as_ref().map(Key::as_str), reject.why.rule.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (1, None, "null_key"),
            (2, Some("3"), "too_long"),
            (2, Some("3"), "out_of_range"),
            (3, Some("4"), "sub_microsecond"),
            (5, Some("6"), "duplicate_key"),
        ]
    );
}

#[test]
fn a_dropped_field_leaves_its_row_but_a_required_one_does_not() {
    let mut lines = lines();
    lines[0].on_misfit = OnMisfit::DropField;
    lines[3].on_misfit = OnMisfit::DropField;
    let mut rows =
        [row(Value::Int(1), "toolong", "1"), row(Value::Int(2), "c@d", "2"), row(Value::Int(3), "toolong", "3")];
    rows[1][4] = Value::Null;
    rows[2][3] = Value::Decimal(Decimal::parse("101").expect("number"));
    let mapped = columns(lines).map(&page(&rows), Beforehand::default()).expect("mapped");
    assert_eq!(mapped.from, [0]);
    assert_eq!(value_at(&mapped.rows, 1, 0), Value::Null);
    assert_eq!((mapped.dropped, mapped.rejected), (1, 2));
    let told: Vec<_> = mapped.rejects.iter().map(|reject| (reject.row, &*reject.why.rule, reject.dropped)).collect();
    assert_eq!(told, [(0, "too_long", true), (1, "required", false), (2, "out_of_range", false)]);
}

#[test]
fn transforms_and_maps_go_through_values() {
    let mut lines = lines();
    lines[0].transform = vec![Transform::Upper];
    lines[0].map = [("A@B".to_owned(), "x".to_owned())].into();
    let page = page(&[row(Value::Int(1), "a@b", "1"), row(Value::Int(2), "c@d", "2")]);
    let mapped = columns(lines).map(&page, Beforehand::default()).expect("mapped");
    assert_eq!(value_at(&mapped.rows, 1, 0), Value::text("x"));
    assert_eq!(value_at(&mapped.rows, 1, 1), Value::text("C@D"));
}

#[test]
fn a_column_that_went_missing_is_told() {
    let page = page(&[row(Value::Int(1), "a@b", "1")]);
    let rows = page.rows.project(&[0, 1, 2, 3]).expect("fewer columns");
    let error = columns(lines()).map(&Page::new(rows), Beforehand::default()).expect_err("missing");
    assert_eq!(error.kind, ErrorKind::SchemaChanged);
    assert!(error.message.contains("`at`"));
}
