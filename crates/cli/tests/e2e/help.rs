//! What is typed, and what help says.

use super::bench::{Bench, tidegate};

const COMMANDS: &[&str] = &[
    "init",
    "demo",
    "check",
    "discover",
    "setup",
    "plan",
    "apply",
    "run",
    "undo",
    "verify",
    "rehearse",
    "why",
    "conflicts",
    "rejects",
    "retry",
    "runs",
    "logs",
    "pause",
    "resume",
    "cancel",
    "reset",
    "relink",
    "adopt",
    "forget",
    "hub",
    "sandbox",
    "batch-sync",
    "serve",
    "auth",
    "secrets",
    "state",
    "schema",
    "completions",
];

#[test]
fn help_is_as_it_was_last_agreed() {
    let help = tidegate().arg("--help").output().expect("started");
    let told = String::from_utf8(help.stdout).expect("text");
    let agreed = include_str!("help.txt");
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(flat(&told), flat(agreed), "look at the change, then put it into tests/e2e/help.txt:\n{told}");
}

#[test]
fn the_help_of_every_command_starts_with_examples() {
    let top = String::from_utf8(tidegate().arg("--help").output().expect("started").stdout).expect("text");
    for name in COMMANDS {
        assert!(top.contains(&format!("\n  {name} ")), "--help does not list {name}");
        let help = tidegate().args([name, "--help"]).output().expect("started");
        assert!(help.status.success());
        let text = String::from_utf8(help.stdout).expect("text");
        assert!(text.starts_with("Examples:\n  tidegate "), "{name}:\n{text}");
    }
}

#[test]
fn what_can_be_set_up_has_examples_and_says_its_flags() {
    for (what, flags) in [
        ("snowflake", &["--access", "--connection", "--public-key", "--stream"][..]),
        ("bigquery", &["--project-id"]),
        (
            "batch-sync",
            &[
                "--project-key",
                "--database",
                "--schema",
                "--table",
                "--view",
                "--base",
                "--query",
                "--id-column",
                "--date-columns",
                "--url-columns",
                "--api-credentials-table",
                "--stream",
                "--schedule",
                "--task",
                "--role",
                "--owner",
                "--warehouse",
                "--pool",
                "--family",
                "--repository",
                "--image",
                "--integration",
            ],
        ),
    ] {
        let help = tidegate().args(["setup", what, "--help"]).output().expect("started");
        let text = String::from_utf8(help.stdout).expect("text");
        assert!(help.status.success() && text.starts_with(&format!("Examples:\n  tidegate setup {what} ")), "{text}");
        for flag in flags {
            assert!(text.contains(flag), "setup {what} --help does not tell {flag}");
        }
    }
}

#[test]
fn parts_that_come_later_say_so() {
    let bench = Bench::new();
    let asked = bench.run(&["setup", "duckdb", "--anything"]);
    asked.expect(2).says(&["`tidegate setup duckdb` comes with a later part", "hint: today:"]);
}

#[test]
fn the_nearest_project_above_is_found() {
    let bench = Bench::with_companies();
    std::fs::create_dir_all(bench.path("a/b")).expect("made");
    let inside = bench.command(&["runs"]).current_dir(bench.path("a/b")).output().expect("started");
    assert!(inside.status.success(), "{inside:?}");
    let nowhere = tempfile::tempdir().expect("a folder");
    let lost = tidegate().arg("runs").current_dir(nowhere.path()).output().expect("started");
    assert_eq!(lost.status.code(), Some(2));
    let named = tidegate().arg("--project").arg(bench.root()).arg("runs").current_dir(nowhere.path()).output();
    assert!(named.expect("started").status.success());
}

#[test]
fn completions_and_schema_are_printed() {
    let bash = tidegate().args(["completions", "bash"]).output().expect("started");
    assert!(String::from_utf8_lossy(&bash.stdout).contains("_tidegate"));
    let schema = tidegate().args(["schema", "--json"]).output().expect("started");
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    assert!(schema["$defs"]["sync"].is_object(), "{schema}");
}
