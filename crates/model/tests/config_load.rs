//! Reading project files: what is valid loads with its defaults, what is not is told with its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{acme, kinds, load_one, problems_of};
use tidegate_model::config::load;

#[test]
fn the_examples_of_the_frozen_page_load() {
    let loaded = load(&acme(), &kinds());
    assert_eq!(loaded.problems, []);
    let project = loaded.project.expect("a project");
    assert_eq!(project.name, "acme");
    assert_eq!(
        project.syncs.keys().collect::<Vec<_>>(),
        ["companies", "licenses", "revenue", "scores", "seats", "usage"]
    );
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_key_that_was_meant() {
    let problems = problems_of("syncs/companies.yaml", "platform:", "platfrom:");
    assert_eq!(problems, ["syncs/companies.yaml:4:1: unknown key `platfrom`; did you mean `platform`?"]);
}

#[test]
fn one_file_alone_can_be_looked_at() {
    let loaded = load_one("version: 1\nname: x\n");
    assert_eq!(loaded.problems, []);
}
