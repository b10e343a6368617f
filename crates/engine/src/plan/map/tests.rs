use proptest::prelude::*;
use tidegate_model::ErrorKind;
use tidegate_model::schema::{Column, ModelKind, ModelName, Relation, RelationKind, Source};
use tidegate_model::sync::{As, FieldMap, FieldSet, FieldSource, KeySpec};
use tidegate_model::transform::Transform;
use tidegate_model::value::Decimal;

use super::*;

fn column(name: &str, logical: Type) -> Column {
    Column { name: name.into(), logical, native: String::new(), nullable: true, max_length: None, filled: false }
}

fn relation() -> RelationSchema {
    let mut id = column("company_id", Type::Text);
    id.nullable = false;
    RelationSchema {
        kind: RelationKind::Table,
        columns: vec![
            id,
            column("name", Type::Text),
            column("arr", Type::Decimal { precision: 12, scale: 2 }),
            column("seats", Type::Int64),
            column("phase", Type::Text),
            column("since", Type::Timestamp),
            column("active", Type::Bool),
        ],
        primary_key: vec!["company_id".into()],
        change_tracking: false,
        appends: false,
        history_days: None,
        rows_estimate: None,
    }
}

fn model() -> ModelSchema {
    let field = |name: &str, logical| FieldSchema::new(name, logical);
    let mut name = field("name", Type::Text);
    name.required = true;
    name.normal.trim = true;
    let mut made = field("createdAt", Type::TimestampTz);
    made.read_only = true;
    let mut owner = field("owner", Type::Text);
    owner.references = Some(ModelName("user".into()));
    ModelSchema {
        name: ModelName("company".into()),
        kind: ModelKind::Records,
        fields: vec![
            field("externalId", Type::Text),
            name,
            field("phase", Type::Text),
            field("seats", Type::Int64),
            field("customerFrom", Type::TimestampTz),
            made,
            owner,
        ],
        keys: vec!["_id".into(), "externalId".into()],
        custom_fields: true,
        open: false,
        customs: Vec::new(),
    }
}

fn line(source: &str, platform: &str, direction: Direction) -> FieldMap {
    FieldMap {
        source: FieldSource::Column(source.into()),
        platform: platform.into(),
        direction,
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

fn sync(lines: Vec<FieldMap>) -> Sync {
    let key = KeySpec { warehouse: "company_id".into(), platform: Some("externalId".into()), transform: vec![] };
    let mut sync =
        Sync::new("companies", "lake", Source::Relation(Relation::parse("companies")), "crm", "company", key);
    sync.fields = FieldSet::List(lines);
    sync.timezone = "Europe/Stockholm".into();
    sync
}

fn mapped(lines: Vec<FieldMap>) -> Mapping {
    Mapping::compile(&sync(lines), &relation(), &model()).expect("a mapping")
}

fn refused(line: FieldMap) -> tidegate_model::Error {
    Mapping::compile(&sync(vec![line]), &relation(), &model()).err().expect("refused")
}

fn one(line: FieldMap) -> MappedField {
    mapped(vec![line]).fields.remove(0)
}

const BOTH: Direction = Direction::Both;
const THERE: Direction = Direction::ToPlatform;

#[test]
fn fields_of_ones_own_have_the_rules_that_the_platform_names() {
    let mut model = model();
    let rules = |name: &str, most| FieldSchema { max_length: Some(most), ..FieldSchema::new(name, Type::Text) };
    model.customs = vec![rules("text", 3), rules(tidegate_model::schema::ADDRESS, 20)];
    let mut address = line("phase", "custom.site", THERE);
    address.hint = Some(As::Url);
    let lines = vec![line("name", "custom.n", THERE), address];
    let mapping = Mapping::compile(&sync(lines), &relation(), &model).expect("a mapping");
    assert_eq!(mapping.fields.iter().map(|field| field.target.max_length).collect::<Vec<_>>(), [Some(3), Some(20)]);
    assert_eq!(mapping.addresses(), ["custom.site"]);
    let refused = Mapping::compile(&sync(vec![line("active", "custom.a", THERE)]), &relation(), &model);
    let error = refused.err().expect("refused");
    assert!(error.message.contains("of the type bool"), "{error:?}");
}

#[test]
fn missing_names_say_where_and_what_was_meant() {
    let error = refused(line("Arr", "custom.ARR", THERE));
    assert_eq!(error.kind, ErrorKind::SchemaChanged);
    assert!(error.message.contains("`custom.ARR`") && error.message.contains("`Arr`"), "{error}");
    assert_eq!(error.hint.as_deref(), Some("did you mean `arr`?"));
    let error = refused(line("phase", "Phase", THERE));
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.hint.as_deref().is_some_and(|hint| hint.starts_with("did you mean `phase`?")), "{error:?}");
    let mut bad = sync(vec![]);
    bad.key.platform = Some("externalid".into());
    let error = Mapping::compile(&bad, &relation(), &model()).err().expect("refused");
    assert!(error.message.contains("key.platform"), "{error}");
    bad.key.warehouse = "seats".into();
    let error = Mapping::compile(&bad, &relation(), &model()).err().expect("refused");
    assert_eq!(error.kind, ErrorKind::Config);
    bad.key.platform = Some("externalId".into());
    let error = Mapping::compile(&bad, &relation(), &model()).err().expect("refused");
    assert!(error.hint.is_some_and(|hint| hint.contains("to_text")));
}

#[test]
fn what_can_never_work_is_refused_before_any_row() {
    assert!(refused(line("name", "createdAt", THERE)).message.contains("itself"));
    assert!(refused(line("active", "seats", THERE)).message.contains("bool cannot become"));
    assert!(refused(line("seats", "name", THERE)).hint.is_some_and(|hint| hint.contains("as:")));
    let mut constant = line("x", "phase", BOTH);
    constant.source = FieldSource::Constant(Value::text("a"));
    assert!(refused(constant).message.contains("constant"));
    let mut lower = line("phase", "phase", BOTH);
    lower.transform = vec![Transform::Lower];
    assert!(refused(lower).message.contains("Lower"));
    let mut twice = line("phase", "phase", BOTH);
    twice.map = [("a".into(), "x".into()), ("b".into(), "x".into())].into();
    assert!(refused(twice).message.contains("backwards"));
    let mut number = line("phase", "seats", THERE);
    number.map = [("few".into(), "ten".into())].into();
    assert!(refused(number).message.contains("`ten` in `map`"));
}

#[test]
fn fields_that_are_not_there_yet_get_the_source_type_or_the_hint() {
    let mut hinted = line("name", "custom.Tags", THERE);
    hinted.hint = Some(As::Tags);
    let mapping = mapped(vec![
        line("arr", "custom.ARR", THERE),
        hinted,
        line("since", "custom.Since", THERE),
        line("seats", "seats", THERE),
    ]);
    let expected = [
        ("custom.ARR".to_owned(), Type::Decimal { precision: 12, scale: 2 }),
        ("custom.Tags".to_owned(), Type::List),
        ("custom.Since".to_owned(), Type::Timestamp),
    ];
    assert_eq!(mapping.new_fields(), expected);
}

#[test]
fn nulls_and_empty_text_are_three_things() {
    let name = one(line("name", "name", THERE));
    assert_eq!(name.to_platform(&Value::Null).expect_err("required").rule, "required");
    let mut phase = line("phase", "phase", THERE);
    assert_eq!(one(phase.clone()).to_platform(&Value::Null), Ok(Some(Value::Null)));
    assert_eq!(one(phase.clone()).to_platform(&Value::text("")), Ok(Some(Value::text(""))));
    phase.empty = EmptyText::Null;
    assert_eq!(one(phase.clone()).to_platform(&Value::text("")), Ok(Some(Value::Null)));
    phase.nulls = Nulls::Skip;
    assert_eq!(one(phase.clone()).to_platform(&Value::text("")), Ok(None));
    phase.empty = EmptyText::Reject;
    assert_eq!(one(phase).to_platform(&Value::text("")).expect_err("refused").rule, "empty");
}

#[test]
fn a_map_is_read_backwards_and_never_ambiguously() {
    let mut phase = line("phase", "phase", BOTH);
    phase.map = [("trial".into(), "Onboarding".into())].into();
    let phase = one(phase);
    assert_eq!(phase.to_platform(&Value::text("trial")), Ok(Some(Value::text("Onboarding"))));
    assert_eq!(phase.to_warehouse(&Value::text("Onboarding")), Ok(Some(Value::text("trial"))));
    assert_eq!(phase.to_platform(&Value::text("lost")), Ok(Some(Value::text("lost"))));
    assert_eq!(phase.to_platform(&Value::text("Onboarding")).expect_err("ambiguous").rule, "not_one_to_one");
    assert_eq!(phase.to_warehouse(&Value::text("trial")).expect_err("ambiguous").rule, "not_one_to_one");
}

#[test]
fn columns_check_what_flows_back() {
    let mut table = relation();
    table.columns[1].max_length = Some(4);
    table.columns[1].nullable = false;
    let mapping = Mapping::compile(&sync(vec![line("name", "name", BOTH)]), &table, &model()).expect("a mapping");
    assert_eq!(mapping.fields[0].to_warehouse(&Value::text("abcd")), Ok(Some(Value::text("abcd"))));
    assert_eq!(mapping.fields[0].to_warehouse(&Value::text("abcde")).expect_err("long").rule, "too_long");
    assert_eq!(mapping.fields[0].to_warehouse(&Value::Null).expect_err("null").rule, "not_null");
}

#[test]
fn references_may_be_numbers_and_come_back_as_numbers() {
    let owner = one(line("seats", "owner", BOTH));
    assert_eq!(owner.to_platform(&Value::Int(7)), Ok(Some(Value::text("7"))));
    assert_eq!(owner.to_warehouse(&Value::text("7")), Ok(Some(Value::Int(7))));
    assert_eq!(owner.to_warehouse(&Value::text("x")).expect_err("no number").rule, "wrong_type");
}

#[test]
fn equal_means_equal_under_the_normal_form() {
    let arr = one(line("arr", "custom.ARR", BOTH));
    let number = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
    assert!(arr.same_on_platform(&Value::Int(1), &number("1.00")));
    assert!(arr.same_on_platform(&Value::Float(1.5), &number("1.50")));
    assert!(!arr.same_on_platform(&number("1.5"), &number("1.51")));
    let name = one(line("name", "name", BOTH));
    assert!(name.same_on_platform(&Value::text(" a "), &Value::text("a")));
    assert!(!name.same_in_warehouse(&Value::text(" a "), &Value::text("a")));
    assert!(name.agree(&Value::text(" a "), &Value::text("a")));
    assert!(!name.same_on_platform(&Value::text(""), &Value::Null));
    let form = NormalForm { empty_is_null: true, scale: Some(1), time_step_us: Some(1000), ..NormalForm::default() };
    let same = |a: Value, b: Value, logical| normal(&a, &form, logical) == normal(&b, &form, logical);
    assert!(same(Value::text(""), Value::Null, Type::Text));
    assert!(same(number("1.25"), number("1.3"), Type::Float64));
    assert!(same(number("-1.25"), number("-1.3"), Type::Float64));
    assert!(!same(number("1.24"), number("1.3"), Type::Float64));
    assert!(same(Value::TimestampTz(1_999), Value::TimestampTz(1_000), Type::TimestampTz));
    assert!(same(Value::Json(r#"{"b":1, "a":2}"#.into()), Value::Json(r#"{"a":2,"b":1}"#.into()), Type::Json));
    let list = |texts: &[&str]| Value::List(texts.iter().map(|text| Value::text(*text)).collect());
    assert!(!same(list(&["a", "b"]), list(&["b", "a"]), Type::List));
}

#[test]
fn constants_are_read_by_the_fields_type() {
    let mut constant = line("x", "seats", THERE);
    constant.source = FieldSource::Constant(Value::text("12"));
    let field = one(constant.clone());
    assert_eq!(field.to_platform(&Value::Null), Ok(Some(Value::Int(12))));
    constant.source = FieldSource::Constant(Value::text("many"));
    assert!(refused(constant).message.contains("`seats`"));
}

#[test]
fn keys_are_canonical_and_bad_ones_say_why() {
    let key = mapped(vec![]).key;
    assert_eq!(key.of_warehouse(&Value::text("a")), Ok(tidegate_model::record::Key::new("a")));
    assert_eq!(key.of_warehouse(&Value::Null).expect_err("null").rule, "null_key");
    assert_eq!(key.of_warehouse(&Value::text("")).expect_err("empty").rule, "empty_key");
    assert_eq!(key.of_warehouse(&Value::Bool(true)).expect_err("bool").rule, "wrong_key_type");
}

/// Of a time series, keys are whole numbers of at most 32 characters, the sign among them.
#[test]
fn keys_of_a_series_have_at_most_32_characters() {
    let mut relation = relation();
    relation.columns.push(column("event_id", Type::Decimal { precision: 38, scale: 0 }));
    let mut sync = sync(vec![]);
    sync.key = KeySpec { warehouse: "event_id".into(), platform: None, transform: vec![] };
    let series = ModelSchema { kind: ModelKind::Series, keys: vec![], ..model() };
    let key = Mapping::compile(&sync, &relation, &series).expect("a mapping").key;
    let number = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
    let most = "9".repeat(32);
    assert_eq!(key.of_warehouse(&number(&most)), Ok(tidegate_model::record::Key::new(most.as_str())));
    for long in [format!("1{}", "0".repeat(32)), "9".repeat(38), format!("-{most}")] {
        let why = key.of_warehouse(&number(&long)).expect_err("too long");
        assert_eq!((why.rule.as_str(), why.field.as_deref()), ("key_too_long", Some("event_id")));
        assert_eq!(why.reason, "a source key has at most 32 characters");
    }
    // BigQuery's NUMERIC without `(P)` has decimal places.
    relation.columns.push(column("odd", Type::Decimal { precision: 38, scale: 9 }));
    sync.key.warehouse = "odd".into();
    let error = Mapping::compile(&sync, &relation, &series).err().expect("refused");
    assert!(error.message.contains("whole numbers"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("without decimal places")));
}

proptest! {
    /// A mapping's id changes when the mapping does, and only then.
    #[test]
    fn ids_follow_the_mapping(conflict in any::<bool>(), both in any::<bool>(), skip in any::<bool>(), which in 0usize..5) {
        let base = line("phase", "phase", THERE);
        let mut same = base.clone();
        same.direction = if both { BOTH } else { THERE };
        same.conflict = conflict.then_some(ConflictRule::Platform);
        same.nulls = if skip { Nulls::Skip } else { Nulls::Clear };
        same.on_misfit = if skip { OnMisfit::DropField } else { OnMisfit::RejectRecord };
        prop_assert_eq!(one(base.clone()).id, one(same).id);
        let mut other = base.clone();
        match which {
            0 => other.source = FieldSource::Column("name".into()),
            1 => other.transform = vec![Transform::Upper],
            2 => other.map = [("a".into(), "b".into())].into(),
            3 => other.empty = EmptyText::Null,
            _ => other.hint = Some(As::Url),
        }
        prop_assert_ne!(one(base).id, one(other).id);
    }

    /// On a two-way field what goes to the platform comes back as the same value.
    #[test]
    fn two_way_fields_come_back(text in "[a-d]{0,2}", number in any::<i64>(), cents in -99_999_999i128..99_999_999, us in 0i64..4_000_000_000_000_000) {
        let mut phase = line("phase", "phase", BOTH);
        phase.map = [("a".into(), "b".into()), ("b".into(), "c".into()), ("c".into(), "dd".into())].into();
        let owner = line("seats", "owner", BOTH);
        let fields = [
            (one(phase), Value::text(text)),
            (one(line("seats", "seats", BOTH)), Value::Int(number)),
            (one(owner), Value::Int(number)),
            (one(line("arr", "custom.ARR", BOTH)), Value::Decimal(Decimal::from_i128(cents, 2))),
            (one(line("since", "customerFrom", BOTH)), Value::Timestamp(us)),
        ];
        for (field, value) in fields {
            if let Ok(Some(there)) = field.to_platform(&value) {
                let back = field.to_warehouse(&there).expect("the way back");
                // Times in the hour that a clock skips move; they still agree.
                prop_assert!(back == Some(value.clone()) || field.source_type == Type::Timestamp);
                prop_assert!(field.agree(&value, &there));
            }
        }
    }
}
