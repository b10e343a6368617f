//! Batch through the engine, with the real binary: faults until it converges, what would be ignored, a rehearsal.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidegate_twins::batch::Batch;
use tidegate_twins::{Fault, Knobs, Running, Start, Step, start};
use tokio::runtime::Runtime;

use super::bench::{Bench, Done};
use super::lab::{faults, quiet, stands_in};

/// The planted secret: it must be nowhere.
pub const KEY: &str = "planted-batch-key-55d0";
const PROJECT: &str = "project_lab";
const ROWS: usize = 600;

const PROFILES: &str = "\
version: 1
warehouse: { connection: lake, relation: profiles }
platform:  { connection: cep, model: profile }
direction: to_platform
key: { warehouse: user_id, platform: custom_id }
fields:
  - { warehouse: email,  platform: $email_address, on_misfit: drop_field }
  - { warehouse: plan,   platform: custom.plan }
  - { warehouse: visits, platform: custom.visits }
  - { warehouse: since,  platform: custom.since }
  - { warehouse: site,   platform: custom.site, as: url, on_misfit: drop_field }
";

pub struct Lab {
    pub bench: Bench,
    pub twin: Running,
    _runtime: Runtime,
}

impl Lab {
    pub fn new(knobs: Knobs) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let start = start(Arc::new(Batch::new(PROJECT, KEY)), Start { knobs, ..Start::default() });
        let twin = runtime.block_on(start).expect("a twin");
        let bench = Bench::new();
        let text = format!(
            "version: 1\ntype: batch\nproject_key: {PROJECT}\nrest_api_key: \"${{PLANTED}}\"\nurl: {}\n",
            twin.url()
        );
        bench.write("connections/cep.yaml", &text);
        bench.write("syncs/profiles.yaml", PROFILES);
        bench.lake(
            "CREATE TABLE profiles (user_id TEXT NOT NULL PRIMARY KEY, email TEXT, plan TEXT, visits INTEGER, since DATE, site TEXT)",
        );
        Self { bench, twin, _runtime: runtime }
    }

    /// Many profiles, in small batches, with the guards off: what is refused is refused on purpose.
    fn many(&self) {
        self.bench.lake(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS} - 1)
             INSERT INTO profiles SELECT printf('U%04d', i), 'u' || i || '@x.com', 'free', i, '2026-01-02', 'https://x.com/' || i FROM n;"
        ));
        self.bench.write(
            "syncs/profiles.yaml",
            &format!("{PROFILES}batch_size: 40\nguards: {{ max_reject_pct: 100, max_clear_pct: 100 }}\n"),
        );
    }

    fn run(&self, words: &[&str]) -> Done {
        let done: Done = self.bench.command(words).env("PLANTED", KEY).output().expect("started").into();
        assert!(!done.stdout.contains(KEY) && !done.stderr.contains(KEY), "the key is printed: {words:?}");
        done
    }

    /// Profiles by id. Two of one id cannot be: the twin's table has it as its key.
    fn held(&self) -> BTreeMap<String, Json> {
        let shelf = self.twin.holds(1_000_000).expect("what it holds").remove(0);
        let id = |one: &Json| one["custom_id"].as_str().expect("an id").to_owned();
        shelf.newest.into_iter().map(|one| (id(&one), one["attributes"].clone())).collect()
    }

    fn no_secret(&self) {
        assert_eq!(stands_in(self.bench.root(), KEY), Vec::<String>::new());
    }
}

fn converges(seed: u64, lost: f64) {
    let lab = Lab::new(Knobs { storm_pct: 10.0, storm_length: 3, ..faults(seed, lost) });
    lab.many();
    for _ in 0..2 {
        let done = lab.run(&["run"]);
        assert!([0, 1, 3].contains(&done.code), "seed {seed}: {}\n{}", done.stdout, done.stderr);
    }
    lab.bench.lake(
        "UPDATE profiles SET plan = 'pro' WHERE user_id LIKE 'U01%'; UPDATE profiles SET site = NULL, since = NULL WHERE user_id < 'U0020';",
    );
    let done = lab.run(&["run"]);
    assert!([0, 1, 3].contains(&done.code), "seed {seed}: {}\n{}", done.stdout, done.stderr);
    let faulty = lab.twin.requests().iter().filter(|seen| seen.fault.is_some()).count();
    assert!(faulty > 3, "seed {seed}: hardly anything went wrong");
    lab.twin.turn(quiet());
    let settled = (0..4).any(|_| {
        let done = lab.run(&["run"]);
        assert!([0, 1, 3].contains(&done.code), "{}\n{}", done.stdout, done.stderr);
        done.code == 0
    });
    assert!(settled, "seed {seed}: {}", lab.run(&["rejects"]).stdout);
    let held = lab.held();
    assert_eq!(held.len(), ROWS, "seed {seed}");
    for (id, attributes) in &held {
        let number: usize = id[1..].parse().expect("a number");
        let mut expected = json!({ "$email_address": format!("u{number}@x.com"), "integer:visits": number,
            "string:plan": if id.starts_with("U01") { "pro" } else { "free" } });
        if number >= 20 {
            expected["date:since"] = json!("2026-01-02T00:00:00Z");
            expected["url:site"] = json!(format!("https://x.com/{number}"));
        }
        assert_eq!(attributes, &expected, "seed {seed} {id}");
    }
    let quiet = lab.run(&["run", "--json"]).expect(0).json();
    assert!(quiet.iter().all(|run| run["sent"] == 0), "seed {seed}: a run after a quiet run writes nothing: {quiet:?}");
    assert_eq!(lab.run(&["rejects", "--json"]).json().len(), 0, "seed {seed}");
    lab.no_secret();
}

#[test]
fn five_percent_of_lost_answers_on_batch() {
    converges(1, 5.0);
}

#[test]
fn thirty_percent_of_lost_answers_on_batch() {
    converges(2, 30.0);
}

#[test]
fn check_lists_the_rows_of_which_batch_would_ignore_something() {
    let lab = Lab::new(quiet());
    lab.bench.lake(
        "INSERT INTO profiles VALUES ('good', 'a@x.com', 'pro', 1, '2026-01-01', 'https://x.com'),
            ('mail', 'nobody', 'pro', 1, NULL, NULL), ('site', 'b@x.com', 'pro', 1, NULL, 'no address'), ('', NULL, NULL, NULL, NULL, NULL)",
    );
    lab.bench.lake("INSERT INTO profiles (user_id, plan) VALUES ('plan', replace(hex(zeroblob(151)), '0', 'x'))");
    let done = lab.run(&["check", "profiles", "--rows", "--json"]);
    let told: Vec<(String, String)> = done
        .json()
        .iter()
        .filter_map(|one| Some((one["finding"].as_str()?.to_owned(), one["why"].as_str()?.to_owned())))
        .filter(|(finding, _)| finding.starts_with("row_"))
        .collect();
    let has = |rule: &str, words: &[&str]| {
        told.iter().any(|(finding, why)| finding == rule && words.iter().all(|word| why.contains(word)))
    };
    assert!(has("row_pattern", &["mail", "$email_address"]), "{told:?}");
    assert!(has("row_not_a_url", &["site", "custom.site"]), "{told:?}");
    assert!(has("row_too_long", &["plan", "custom.plan", "300"]), "{told:?}");
    assert!(has("row_empty_key", &[]), "{told:?}");
    assert!(!told.iter().any(|(_, why)| why.contains("good")), "{told:?}");
    assert!(lab.twin.requests().is_empty(), "nothing was sent to find that out");
    // And the run does as was told: what Batch would ignore is left out, the rest arrives.
    lab.run(&["run", "--force-guard", "max_reject_pct"]).expect(3);
    let held = lab.held();
    let ids: Vec<&str> = held.keys().map(String::as_str).collect();
    assert_eq!(ids, ["good", "mail", "site"]);
    assert!(held["mail"].get("$email_address").is_none() && held["site"].get("url:site").is_none());
}

#[test]
fn a_dead_key_stops_the_run_and_is_in_no_file() {
    let lab = Lab::new(quiet());
    lab.many();
    lab.twin.turn(Knobs { script: vec![Step { times: 99, ..Step::next("POST", "", Fault::Status(401)) }], ..quiet() });
    lab.run(&["run"]).expect(1).says(&["refuses our credentials", "hint:"]);
    // An answer that repeats what it was sent must not carry it further.
    let echo = format!("{{\"error_code\":\"AUTHENTICATION_INVALID\",\"error_message\":\"key {KEY} of u7@x.com\"}}");
    let step = |body: &str| Step { times: 99, ..Step::next("POST", "", Fault::Instead(400, body.to_owned())) };
    lab.twin.turn(Knobs { script: vec![step(&echo.replace(KEY, "…"))], ..quiet() });
    let done = lab.run(&["run"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    for words in [&["runs"][..], &["rejects"], &["why", "profiles", "U0007"], &["check"]] {
        lab.run(words);
    }
    lab.no_secret();
}

#[test]
fn a_rehearsal_on_the_twin_of_batch_writes_nothing_of_ours() {
    let lab = Lab::new(quiet());
    lab.bench.lake("INSERT INTO profiles VALUES ('A', 'a@x.com', 'free', 1, '2026-01-01', NULL), ('B', NULL, 'free', 2, NULL, NULL)");
    lab.run(&["run"]).expect(0);
    lab.bench.lake("UPDATE profiles SET plan = 'pro' WHERE user_id = 'A'; INSERT INTO profiles (user_id) VALUES ('C')");
    let (before, requests) = (lab.held(), lab.twin.requests().len());
    let lines = lab.run(&["rehearse", "profiles", "--json"]).expect(0).json();
    assert_eq!((&lines[0]["created"], &lines[0]["updated"]), (&1.into(), &1.into()), "{lines:?}");
    assert_eq!(
        (&lines[1]["twin"], &lines[1]["filled"], &lines[1]["not_filled"]),
        (&"batch".into(), &2.into(), &0.into())
    );
    assert_eq!((lab.held(), lab.twin.requests().len()), (before, requests), "the project was not written");
    let real = lab.run(&["run", "--json"]).expect(0).json();
    assert_eq!((&real[0]["created"], &real[0]["updated"]), (&1.into(), &1.into()), "{real:?}");
    lab.no_secret();
}
