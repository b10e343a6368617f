//! The order of syncs: references, then `after:`, then names.

use tidegate_engine::plan::due::{OrderEntry, predecessors, run_order};
use tidegate_model::schema::ModelName;
use tidegate_model::sync::Direction;

fn entry(sync: &str, model: &str, references: &[&str], after: &[&str]) -> OrderEntry {
    OrderEntry {
        sync: sync.to_owned(),
        platform: "crm".to_owned(),
        model: ModelName(model.to_owned()),
        direction: Direction::Both,
        references: references.iter().map(|name| ModelName((*name).to_owned())).collect(),
        after: after.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn project() -> Vec<OrderEntry> {
    vec![
        entry("a_usage", "user_activity", &["company", "enduser"], &[]),
        entry("b_people", "enduser", &["company"], &[]),
        entry("c_licenses", "license", &["company"], &["z_export"]),
        entry("companies", "company", &["company"], &[]),
        entry("y_notes", "note", &[], &[]),
        entry("z_export", "nps", &[], &[]),
    ]
}

#[test]
fn parents_first_then_after_then_by_name() {
    let order = run_order(&project()).expect("an order");
    assert_eq!(order, ["companies", "b_people", "a_usage", "y_notes", "z_export", "c_licenses"]);
}

#[test]
fn the_order_does_not_depend_on_the_order_of_the_files() {
    let mut project = project();
    let order = run_order(&project).expect("an order");
    for _ in 0..project.len() {
        project.rotate_left(1);
        assert_eq!(run_order(&project).expect("an order"), order);
    }
}

#[test]
fn a_parent_of_another_account_or_another_direction_is_not_waited_for() {
    let mut project = vec![entry("a", "enduser", &["company"], &[]), entry("b", "company", &[], &[])];
    assert_eq!(run_order(&project).expect("an order"), ["b", "a"]);
    project[1].platform = "other".to_owned();
    assert_eq!(run_order(&project).expect("an order"), ["a", "b"]);
    project[1].platform = "crm".to_owned();
    project[1].direction = Direction::ToWarehouse;
    project[0].direction = Direction::ToPlatform;
    assert_eq!(run_order(&project).expect("an order"), ["a", "b"]);
}

#[test]
fn models_that_refer_to_each_other_have_no_order_among_themselves() {
    let project = [
        entry("tasks", "task", &["project", "company"], &[]),
        entry("projects", "project", &["task", "company"], &[]),
        entry("zcompanies", "company", &[], &[]),
    ];
    assert_eq!(run_order(&project).expect("an order"), ["zcompanies", "projects", "tasks"]);
    assert_eq!(predecessors(&project).expect("an order")["tasks"].iter().collect::<Vec<_>>(), ["zcompanies"]);
}

#[test]
fn a_circle_is_named_whole_with_what_mends_it() {
    let cases = [
        (
            vec![entry("a", "x", &[], &["b"]), entry("b", "y", &[], &["c"]), entry("c", "z", &[], &["a"])],
            "a runs after b (after:), b runs after c (after:), c runs after a (after:)",
            "remove b from after: of a",
        ),
        (
            vec![entry("companies", "company", &[], &["people"]), entry("people", "enduser", &["company"], &[])],
            "companies runs after people (after:), people runs after companies (it refers to company)",
            "remove people from after: of companies",
        ),
        (vec![entry("a", "x", &[], &["a"])], "a runs after a (after:)", "remove a from after: of a"),
        // only the circle, not what hangs on it
        (
            vec![entry("a", "x", &[], &["b"]), entry("b", "y", &[], &["c"]), entry("c", "z", &[], &["b"])],
            "circle: b runs after c (after:), c runs after b (after:)",
            "remove c from after: of b",
        ),
    ];
    for (project, says, hint) in cases {
        let error = run_order(&project).expect_err("a circle");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.hint.as_deref(), Some(hint));
    }
}

#[test]
fn after_has_to_name_a_sync() {
    let error = run_order(&[entry("a", "x", &[], &["licences"])]).expect_err("no such sync");
    assert!(error.to_string().contains("\"licences\""), "{error}");
}
