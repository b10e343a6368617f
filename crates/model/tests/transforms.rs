//! The closed list of transforms: every example of docs/transforms.md, what is refused, what may flow both ways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use tidegate_model::schema::{Case, NormalForm};
use tidegate_model::transform::docs::{Sample, ZONE, examples, page};
use tidegate_model::transform::{Transform, apply, can_be_identity, compile, is_identity_under, names};
use tidegate_model::value::Value;

fn zone() -> TimeZone {
    TimeZone::get(ZONE).expect("the zone of the examples")
}

/// `Debug` tells 1.50 from 1.5 and NaN from NaN, which `==` does not.
fn exact(value: &Value) -> String {
    match value {
        Value::Decimal(number) => format!("decimal {number}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_example_holds() {
    for example in examples() {
        let transform = Transform::parse(example.transform).expect(example.transform);
        let input = example.input.value().expect("an input that is a value");
        let found = apply(&transform, input, &zone());
        let said = format!("{example:?}");
        match example.output {
            Sample::Misfit(rule) => assert_eq!(found.expect_err(&said).rule, rule, "{said}"),
            output => assert_eq!(exact(&found.expect(&said)), exact(&output.value().expect(&said)), "{said}"),
        }
    }
}

#[test]
fn every_transform_has_an_example_that_changes_something() {
    let shown: BTreeSet<&str> = examples()
        .iter()
        .filter(|example| example.input != example.output && !matches!(example.output, Sample::Misfit(_)))
        .map(|example| example.transform.split(':').next().unwrap())
        .collect();
    assert_eq!(shown, names().collect::<BTreeSet<_>>());
}

#[test]
fn null_stays_null_in_all_of_them() {
    for example in examples() {
        let transform = Transform::parse(example.transform).unwrap();
        assert_eq!(apply(&transform, Value::Null, &zone()), Ok(Value::Null), "{transform}");
    }
}

#[test]
fn a_misfit_never_tells_the_value() {
    for example in examples().iter().filter(|example| matches!(example.output, Sample::Misfit(_))) {
        let value = example.input.value().unwrap();
        let misfit = apply(&Transform::parse(example.transform).unwrap(), value.clone(), &zone()).unwrap_err();
        let text = value.to_string();
        assert!(text.len() < 3 || !misfit.reason.contains(&text), "{example:?}: {}", misfit.reason);
    }
}

#[test]
fn the_page_about_transforms_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/transforms.md");
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(path, page()).expect("docs/transforms.md written");
    }
    let found = std::fs::read_to_string(path).expect("docs/transforms.md");
    assert!(found == page(), "docs/transforms.md is stale: TIDEGATE_BLESS=1 cargo test -p tidegate-model");
}

#[test]
fn what_is_written_is_read_back() {
    for example in examples() {
        assert_eq!(Transform::parse(example.transform).unwrap().to_string(), example.transform);
    }
}

#[test]
fn what_is_not_a_transform_is_told_in_words() {
    for (text, why) in [
        ("trimm", "there is no transform `trimm`; did you mean `trim`?"),
        ("uppercase_all_of_it", "there are trim, lower"),
        ("trim:2", "`trim` takes nothing after it"),
        ("round", "`round` needs a number of digits"),
        ("round:two", "`round` needs a number of digits"),
        ("round:99", "from -38 to 38"),
        ("truncate:0", "from 1"),
        ("truncate:-1", "`truncate` needs a number of characters"),
        ("split:", "`split` needs a text after a colon, such as `split:;`"),
        ("json_path:a..b", "is not a path"),
        ("json_path:a[x]", "is not a path"),
        ("json_path:a[0", "is not a path"),
        ("json_path:$", "is not a path"),
        ("regex_extract:(", "is not a regular expression: unclosed group"),
        ("regex_extract:(?:\\w{1000}){1000}", "is not a regular expression"),
        ("", "there is no transform ``"),
    ] {
        let error = Transform::parse(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn steps_run_from_left_to_right() {
    let list = ["lower", "split:;", "trim", "join:,"].map(|text| Transform::parse(text).unwrap());
    let ready = compile(&list).unwrap();
    assert_eq!(ready.apply(Value::text("A ; B"), &zone()), Ok(Value::text("a,b")));
    assert!(compile(&[]).unwrap().is_empty());
    assert!(compile(&[Transform::RegexExtract("(".to_owned())]).is_err());
}

#[test]
fn only_what_the_platform_does_itself_may_flow_both_ways() {
    let plain = NormalForm::default();
    let trims = NormalForm { trim: true, ..plain };
    let lowers = NormalForm { case: Some(Case::Lower), ..plain };
    let two_digits = NormalForm { scale: Some(2), ..plain };
    let no_empty = NormalForm { empty_is_null: true, ..plain };
    for (transform, normal) in [
        (Transform::Trim, trims),
        (Transform::Lower, lowers),
        (Transform::Round(2), two_digits),
        (Transform::NullIfEmpty, no_empty),
    ] {
        assert!(is_identity_under(&transform, &normal), "{transform}");
        assert!(!is_identity_under(&transform, &plain), "{transform}");
        assert!(can_be_identity(&transform), "{transform}");
    }
    assert!(!is_identity_under(&Transform::Round(3), &two_digits), "1.2346 → 1.235 → 1.24");
    assert!(!is_identity_under(&Transform::Upper, &lowers));
    let never = names().filter(|name| {
        let text = match *name {
            "round" | "truncate" => format!("{name}:1"),
            "split" | "join" | "prefix" | "json_path" | "regex_extract" => format!("{name}:x"),
            plain => plain.to_owned(),
        };
        !can_be_identity(&Transform::parse(&text).unwrap())
    });
    assert_eq!(never.count(), 21 - 6);
}
