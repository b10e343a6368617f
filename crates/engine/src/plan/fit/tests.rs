use proptest::prelude::*;
use tidegate_model::schema::FieldSchema;
use tidegate_model::time::{parse_timestamp, parse_timestamptz};

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

fn fitted(value: Value, to: Type) -> Result<Value, String> {
    fit(&value, &FieldSchema::new("f", to), &zone("Europe/Stockholm")).map_err(|reject| reject.rule)
}

fn hinted(value: Value, to: Type, hint: As, format: Option<&str>) -> Result<Value, String> {
    let reading = Reading {
        to_text: hint == As::Text,
        from_text: matches!(hint, As::Number | As::Boolean),
        hint: Some(hint),
        format: format.map(str::to_owned),
        zone: zone("UTC"),
    };
    let fitter = Fitter::of_field(&FieldSchema::new("f", to), reading).expect("a fitter");
    fitter.fit(&value).map_err(|reject| reject.rule)
}

fn dec(text: &str) -> Value {
    Value::Decimal(Decimal::parse(text).expect("a number"))
}

const D: Type = Type::Decimal { precision: 5, scale: 2 };

#[test]
fn numbers_become_others_only_without_loss() {
    assert_eq!(fitted(Value::Int(12), D), Ok(dec("12")));
    assert_eq!(fitted(Value::Int(1000), D), Err("out_of_range".into()));
    assert_eq!(fitted(dec("1.005"), D), Err("precision".into()));
    assert_eq!(fitted(dec("1.500"), D), Ok(dec("1.5")));
    assert_eq!(fitted(dec("3.00"), Type::Int64), Ok(Value::Int(3)));
    assert_eq!(fitted(dec("3.5"), Type::Int64), Err("precision".into()));
    assert_eq!(fitted(dec("9223372036854775808"), Type::Int64), Err("out_of_range".into()));
    assert_eq!(fitted(Value::Int(1 << 53), Type::Float64), Ok(Value::Float(9_007_199_254_740_992.0)));
    assert_eq!(fitted(Value::Int((1 << 53) + 1), Type::Float64), Err("precision".into()));
    assert_eq!(fitted(dec("0.1"), Type::Float64), Ok(Value::Float(0.1)));
    assert_eq!(fitted(dec("0.10000000000000000001"), Type::Float64), Err("precision".into()));
    assert_eq!(fitted(Value::Float(0.25), D), Ok(dec("0.25")));
    assert_eq!(fitted(Value::Float(f64::NAN), Type::Float64), Err("not_finite".into()));
    assert_eq!(fitted(Value::Float(f64::INFINITY), D), Err("not_finite".into()));
    assert!(fitted(Value::Float(1e300), D).is_err());
    assert_eq!(fitted(Value::Bool(true), Type::Int64), Err("wrong_type".into()));
    assert_eq!(fitted(Value::text("12"), Type::Int64), Err("wrong_type".into()));
    assert_eq!(hinted(Value::text(" 12.50 "), D, As::Number, None), Ok(dec("12.5")));
    assert_eq!(hinted(Value::text("twelve"), D, As::Number, None), Err("wrong_type".into()));
}

#[test]
fn a_number_keeps_its_digits_where_the_target_takes_them() {
    let written = |value: Value, to: Type| fitted(value, to).map(|value| value.to_string());
    let wide = Type::Decimal { precision: 38, scale: 18 };
    for (given, to, sent) in [("1.50", wide, "1.50"), ("7", wide, "7"), ("1.500", D, "1.50"), ("-0.0", D, "0.0")] {
        assert_eq!(written(dec(given), to), Ok(sent.into()), "{given}");
    }
    assert_eq!(written(Value::Int(7), wide), Ok("7".into()));
    // A zero needs one digit, whatever the scale; 1 needs three at a scale of two.
    let only_fraction = Type::Decimal { precision: 2, scale: 2 };
    assert_eq!(written(dec("0"), only_fraction), Ok("0.00".into()));
    assert_eq!(written(dec("0.99"), only_fraction), Ok("0.99".into()));
    assert_eq!(written(dec("1"), only_fraction), Err("out_of_range".into()));
    assert_eq!(written(dec("1234.5"), D), Err("out_of_range".into()));
}

#[test]
fn texts_come_from_other_types_only_where_told() {
    assert_eq!(fitted(Value::Int(7), Type::Text), Err("wrong_type".into()));
    assert_eq!(hinted(Value::Int(7), Type::Text, As::Text, None), Ok(Value::text("7")));
    assert_eq!(hinted(Value::Bool(true), Type::Text, As::Text, None), Ok(Value::text("true")));
    assert_eq!(hinted(Value::Date(0), Type::Text, As::Text, Some("%d/%m/%Y")), Ok(Value::text("01/01/1970")));
    assert_eq!(hinted(Value::text("on"), Type::Bool, As::Boolean, None), Ok(Value::Bool(true)));
    assert_eq!(hinted(Value::Int(2), Type::Bool, As::Boolean, None), Err("wrong_type".into()));
    assert_eq!(fitted(Value::Int(1), Type::Bool), Err("wrong_type".into()));
    assert_eq!(fitted(Value::Json("{}".into()), Type::Text), Err("wrong_type".into()));
    assert_eq!(
        hinted(Value::text("https://a.example/x"), Type::Text, As::Url, None),
        Ok(Value::text("https://a.example/x"))
    );
    for bad in ["a.example", "://x", "http://", "http://a b"] {
        assert_eq!(hinted(Value::text(bad), Type::Text, As::Url, None), Err("not_a_url".into()), "{bad}");
    }
}

#[test]
fn tags_come_from_text_only_where_told() {
    let list = Value::List(vec![Value::text("a"), Value::text("b c")]);
    assert_eq!(hinted(Value::text("a, b c,"), Type::List, As::Tags, None), Ok(list.clone()));
    assert_eq!(hinted(Value::text(r#"["a","b c"]"#), Type::List, As::Tags, None), Ok(list.clone()));
    assert_eq!(fitted(Value::text("a"), Type::List), Err("wrong_type".into()));
    assert_eq!(fitted(Value::Json(r#"["a","b c"]"#.into()), Type::List), Ok(list.clone()));
    assert_eq!(hinted(list, Type::Text, As::Tags, None), Ok(Value::text("a,b c")));
    let comma = Value::List(vec![Value::text("a,b")]);
    assert_eq!(hinted(comma.clone(), Type::Text, As::Tags, None), Ok(Value::text(r#"["a,b"]"#)));
    assert_eq!(hinted(Value::text(r#"["a,b"]"#), Type::List, As::Tags, None), Ok(comma));
}

#[test]
fn times_are_converted_never_relabelled() {
    let local = parse_timestamp("2024-07-01T12:00:00").expect("a time");
    let instant = parse_timestamptz("2024-07-01T10:00:00Z").expect("an instant");
    assert_eq!(fitted(Value::Timestamp(local), Type::TimestampTz), Ok(Value::TimestampTz(instant)));
    assert_eq!(fitted(Value::TimestampTz(instant), Type::Timestamp), Ok(Value::Timestamp(local)));
    assert_eq!(fitted(Value::text("2024-07-01 12:00:00"), Type::TimestampTz), Ok(Value::TimestampTz(instant)));
    assert_eq!(fitted(Value::text("2024-07-01T12:00:00+02:00"), Type::Timestamp), Ok(Value::Timestamp(local)));
    let midnight = parse_timestamptz("2024-06-30T22:00:00Z").expect("an instant");
    assert_eq!(fitted(Value::Date(19_905), Type::TimestampTz), Ok(Value::TimestampTz(midnight)));
    assert_eq!(fitted(Value::TimestampTz(midnight), Type::Date), Ok(Value::Date(19_905)));
    assert_eq!(fitted(Value::TimestampTz(instant), Type::Date), Err("precision".into()));
    assert_eq!(fitted(Value::text("2024-07-01"), Type::Date), Ok(Value::Date(19_905)));
    assert_eq!(fitted(Value::text("1/7/2024"), Type::Date), Err("wrong_type".into()));
    assert_eq!(fitted(Value::text("2024-07-01T12:00:00.1234567"), Type::Timestamp), Err("sub_microsecond".into()));
    assert_eq!(hinted(Value::text("1/7/2024"), Type::Date, As::Date, Some("%d/%m/%Y")), Ok(Value::Date(19_905)));
    assert_eq!(hinted(Value::text("2024-07-01"), Type::Date, As::Date, Some("%d/%m/%Y")), Err("wrong_type".into()));
    let zoned = hinted(Value::text("01.07.2024 12:00 +0200"), Type::TimestampTz, As::Date, Some("%d.%m.%Y %H:%M %z"));
    assert_eq!(zoned, Ok(Value::TimestampTz(instant)));
    assert_eq!(fitted(Value::text("12:30"), Type::Time), Ok(Value::Time(45_000_000_000)));
    assert_eq!(fitted(Value::Time(5), Type::Timestamp), Err("wrong_type".into()));
}

#[test]
fn rules_are_checked_and_never_name_the_value() {
    let mut field = FieldSchema::new("f", Type::Text);
    field.max_length = Some(3);
    field.required = true;
    field.pattern = Some("[a-zåäö]+".into());
    let rule = |field: &FieldSchema, value: Value| {
        let reject = fit(&value, field, &TimeZone::UTC).expect_err("a misfit");
        assert!(value.is_null() || value.is_empty() || !reject.reason.contains(&value.to_string()), "{reject:?}");
        assert_eq!(reject.field.as_deref(), Some("f"));
        reject.rule
    };
    assert_eq!(fit(&Value::text("åäö"), &field, &TimeZone::UTC), Ok(Value::text("åäö")));
    assert_eq!(rule(&field, Value::text("åäöå")), "too_long");
    assert_eq!(rule(&field, Value::text("ab1")), "pattern");
    assert_eq!(rule(&field, Value::text("")), "pattern");
    assert_eq!(rule(&field, Value::Null), "required");
    field.normal.empty_is_null = true;
    assert_eq!(rule(&field, Value::text("")), "required");
    let mut phase = FieldSchema::new("f", Type::Text);
    phase.one_of = vec!["trial".into(), "customer".into()];
    assert_eq!(rule(&phase, Value::text("lost")), "not_one_of");
    assert_eq!(fit(&Value::Null, &phase, &TimeZone::UTC), Ok(Value::Null));
    let mut score = FieldSchema::new("f", Type::Int64);
    score.range = Some((0, 10));
    assert_eq!(rule(&score, Value::Int(11)), "out_of_range");
    assert_eq!(fit(&Value::Int(10), &score, &TimeZone::UTC), Ok(Value::Int(10)));
}

#[test]
fn lists_are_checked_item_by_item() {
    let field = FieldSchema {
        max_items: Some(2),
        max_length: Some(3),
        pattern: Some("[a-z]+".into()),
        ..FieldSchema::new("tags", Type::List)
    };
    let rule = |items: &[&str]| {
        let list = Value::List(items.iter().map(|item| Value::text(*item)).collect());
        fit(&list, &field, &TimeZone::UTC).map(drop).map_err(|reject| {
            assert!(!reject.reason.contains("SECRET"), "{}", reject.reason);
            reject.rule
        })
    };
    assert_eq!(rule(&["a", "abc"]), Ok(()));
    assert_eq!(rule(&["a", "b", "c"]), Err("too_many".into()));
    assert_eq!(rule(&["abcd"]), Err("too_long".into()));
    assert_eq!(rule(&["a", "SECRET"]), Err("too_long".into()));
    assert_eq!(rule(&["a", "B"]), Err("pattern".into()));
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        (any::<i128>(), 0i8..30).prop_map(|(unscaled, scale)| Value::Decimal(Decimal::from_i128(unscaled, scale))),
        (-1_000_000i32..1_000_000).prop_map(Value::Date),
        (-60_000_000_000_000_000i64..200_000_000_000_000_000).prop_map(Value::Timestamp),
        (-60_000_000_000_000_000i64..200_000_000_000_000_000).prop_map(Value::TimestampTz),
        any::<bool>().prop_map(Value::Bool),
        "[a-z0-9:. -]{0,12}".prop_map(Value::text),
    ]
}

fn any_type() -> impl Strategy<Value = Type> {
    prop_oneof![
        Just(Type::Int64),
        Just(Type::Float64),
        (1u8..=76, 0i8..12).prop_map(|(p, s)| Type::Decimal { precision: p.max(s.unsigned_abs()), scale: s }),
        Just(Type::Bool),
        Just(Type::Text),
        Just(Type::Date),
        Just(Type::Timestamp),
        Just(Type::TimestampTz),
    ]
}

proptest! {
    /// What fits into another type comes back from there as the same value.
    #[test]
    fn fitting_loses_nothing_or_refuses(value in any_value(), to in any_type()) {
        let zone = TimeZone::UTC;
        let Ok(there) = fit(&value, &FieldSchema::new("f", to), &zone) else { return Ok(()) };
        let own = match &value {
            Value::Int(_) => Type::Int64,
            Value::Float(_) => Type::Float64,
            Value::Decimal(number) => Type::Decimal { precision: 76, scale: number.scale() },
            Value::Date(_) => Type::Date,
            Value::Timestamp(_) => Type::Timestamp,
            Value::TimestampTz(_) => Type::TimestampTz,
            Value::Bool(_) => Type::Bool,
            _ => return Ok(()),
        };
        prop_assert_eq!(fit(&there, &FieldSchema::new("f", own), &zone), Ok(value));
    }

    /// A conversion that is called impossible never happens.
    #[test]
    fn the_impossible_is_refused(value in any_value(), to in any_type()) {
        let reading = Reading::plain(TimeZone::UTC);
        let from = match &value {
            Value::Int(_) => Type::Int64,
            Value::Float(_) => Type::Float64,
            Value::Decimal(_) => Type::Decimal { precision: 76, scale: 0 },
            Value::Date(_) => Type::Date,
            Value::Timestamp(_) => Type::Timestamp,
            Value::TimestampTz(_) => Type::TimestampTz,
            Value::Bool(_) => Type::Bool,
            _ => Type::Text,
        };
        if fit(&value, &FieldSchema::new("f", to), &TimeZone::UTC).is_ok() {
            prop_assert!(possible(from, to, &reading), "{from} to {to}");
        }
    }
}
