//! `forget` leaves no trace of a person; `redact` lets no value of a field out.

use std::path::{Path, PathBuf};

use super::bench::{Bench, Done};

const KEY: &str = "U-geheim-77";
const EMAIL: &str = "xaverine@qwertz.example";
const FIRST: &str = "Xaverine";
const LAST: &str = "Zwischenzeiler";
const POSITIONS: [&str; 3] = ["Leuchtturmwart", "Hafenmeisterin", "Lotsenältester"];

const END_USERS: &str = "\
version: 1
warehouse: { connection: lake, relation: end_users }
platform:  { connection: crm, model: enduser }
direction: both
key: { warehouse: user_id, platform: externalId }
conflict: hold
fields:
  - { warehouse: email,      platform: email }
  - { warehouse: first_name, platform: firstName }
  - { warehouse: last_name,  platform: lastName }
  - { warehouse: position,   platform: position }
  - { warehouse: company_id, platform: companyId, direction: to_platform }
  - { warehouse: seen,       platform: lastActive, as: date, on_misfit: drop_field, direction: to_platform }
";

const EVENTS: &str = "\
version: 1
warehouse: { connection: lake, relation: events }
platform:  { connection: crm, model: user_activity }
direction: to_platform
key: { warehouse: event_id }
changes: cursor
cursor: { column: event_id, lookback: 10 }
write: append
fields:
  - { warehouse: email,  platform: email }
  - { warehouse: action, platform: action }
  - { warehouse: at,     platform: date }
";

/// A project in which much is known of one person, and a little of another.
fn with_people(redact: &str) -> Bench {
    let bench = Bench::with_companies();
    bench.write("syncs/endusers.yaml", &END_USERS.replace("fields:", &format!("{redact}fields:")));
    bench.write("syncs/events.yaml", EVENTS);
    bench.lake(&format!(
        "CREATE TABLE end_users (user_id TEXT NOT NULL PRIMARY KEY, email TEXT, first_name TEXT, last_name TEXT,
                                 position TEXT, company_id TEXT, seen TEXT);
         INSERT INTO end_users VALUES ('{KEY}', '{EMAIL}', '{FIRST}', '{LAST}', '{}', 'C-not-yet', NULL),
                                      ('U2', 'other@example.com', 'Ada', 'Other', 'CEO', 'C1', NULL);
         CREATE TABLE events (event_id INTEGER PRIMARY KEY, email TEXT, action TEXT, at TIMESTAMPTZ);
         INSERT INTO events VALUES (1, '{EMAIL}', 'login', '2026-01-01T00:00:00Z'),
                                   (2, 'other@example.com', 'login', '2026-01-01T00:00:00Z');",
        POSITIONS[0]
    ));
    bench
}

/// A life: rejected at first, delivered, edited here and there, in conflict, with a value that does not fit.
fn live(bench: &Bench) {
    bench.run(&["run"]).expect(3); // the company is not there yet: a reject
    bench.lake("UPDATE end_users SET company_id = 'C1'");
    bench.run(&["run"]).expect(0);
    bench.lake(&format!("UPDATE end_users SET last_name = '{LAST}-Alt' WHERE user_id = '{KEY}'"));
    bench.run(&["run"]).expect(0);
    bench.lake(&format!(
        "UPDATE end_users SET last_name = '{LAST}', position = '{}', seen = 'gestern' WHERE user_id = '{KEY}'",
        POSITIONS[1]
    ));
    bench.run(&["hub", "set", "enduser", KEY, &format!("position={}", POSITIONS[2])]).expect(0);
    bench.run(&["run"]).expect(3);
}

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// Files under `.tidegate` (state, hub, their logs of changes, scratch) in which one of the words stands.
fn traces(bench: &Bench, words: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    files(&bench.path(".tidegate"), &mut all);
    assert!(all.len() >= 2, "{all:?}");
    let mut found = Vec::new();
    for path in all {
        let bytes = std::fs::read(&path).expect("read");
        for word in words {
            if bytes.windows(word.len()).any(|window| window == word.as_bytes()) {
                found.push(format!("{word} in {}", path.file_name().expect("a name").to_string_lossy()));
            }
        }
    }
    found
}

#[test]
fn forget_leaves_no_trace_in_any_file_and_no_run_brings_the_record_back() {
    let bench = with_people("");
    live(&bench);
    let words = [KEY, EMAIL, FIRST, LAST, POSITIONS[0], POSITIONS[1], POSITIONS[2]];
    for word in words {
        for file in ["state.db", "hub.db"] {
            // The hub keeps no positions but the last; before-images of the others are the state's.
            let expected = file == "state.db" || ![POSITIONS[0], POSITIONS[1]].contains(&word);
            let found = traces(&bench, &[word]).iter().any(|trace| trace.contains(file));
            assert!(found || !expected, "the test would find nothing: {word} is not in {file}");
        }
    }
    bench.run(&["forget", KEY, "--model", "enduser"]).expect(2).says(&["for good", "--yes"]);
    assert!(!traces(&bench, &[KEY]).is_empty(), "without --yes nothing is forgotten");
    // The row in the warehouse is its owner's to remove.
    bench.lake(&format!("DELETE FROM end_users WHERE user_id = '{KEY}'; DELETE FROM events WHERE email = '{EMAIL}'"));
    bench.run(&["forget", KEY, "--model", "enduser", "--yes"]).expect(0);
    assert_eq!(traces(&bench, &words), Vec::<String>::new());
    for args in [&["rejects"][..], &["conflicts"], &["runs"], &["rejects", "--csv"], &["hub", "list", "enduser"]] {
        let done = bench.run(args);
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(!words.iter().any(|word| said.contains(word)), "{args:?}: {said}");
    }

    // The other one is untouched, and no run brings the first one back.
    for args in [&["run"][..], &["run", "--full"]] {
        bench.run(args).expect(0);
        assert_eq!(bench.hub_rows("SELECT externalId FROM hub_r_enduser WHERE deleted = 0"), ["U2"]);
        assert_eq!(bench.lake_rows("SELECT user_id FROM end_users"), ["U2"]);
        assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_activity"), ["1"]);
        assert_eq!(traces(&bench, &words), Vec::<String>::new());
    }
    assert_eq!(bench.run(&["verify", "endusers", "--json"]).expect(0).stdout, "");

    // Who is in the warehouse still is new to the next run, as `forget` says.
    bench.lake(&format!("INSERT INTO end_users VALUES ('{KEY}', '{EMAIL}', '{FIRST}', '{LAST}', NULL, 'C1', NULL)"));
    assert_eq!(bench.run(&["run", "endusers", "--json"]).expect(0).json()[0]["to_platform"]["created"], 1);
    let done = bench.run(&["forget", KEY, "--model", "enduser", "--yes"]).expect(0);
    done.says(&["if the warehouse still has the row, the next run delivers it again"]);
    assert_eq!(bench.run(&["run", "endusers", "--json"]).expect(0).json()[0]["to_platform"]["created"], 1);
}

#[test]
fn what_is_under_redact_is_never_shown() {
    let bench = with_people("redact: [email, lastName, position]\n");
    let secrets = [EMAIL, LAST, POSITIONS[0], POSITIONS[1], POSITIONS[2]];
    let hidden = |done: Done| -> Done {
        for word in secrets {
            assert!(!done.stdout.contains(word), "{word} is shown:\n{}", done.stdout);
            assert!(!done.stderr.contains(word), "{word} is shown:\n{}", done.stderr);
        }
        done
    };
    let ask = |args: &[&str]| hidden(bench.run(args));
    let plan = ask(&["plan", "endusers"]).expect(0);
    assert!(plan.stdout.contains("email: ***") && plan.stdout.contains(FIRST), "{}", plan.stdout);
    ask(&["run", "--json"]).expect(3);
    bench.lake("UPDATE end_users SET company_id = 'C1'");
    let run = ask(&["run", "endusers", "--json"]).expect(0).json()[0]["run"].as_str().expect("an id").to_owned();
    bench.lake(&format!("UPDATE end_users SET last_name = '{LAST}-Alt', first_name = 'Xenia' WHERE user_id = '{KEY}'"));
    let planned = ask(&["plan", "endusers", "--json", "--out", "plan.json"]).expect(0).json();
    assert_eq!(planned[0]["fields"]["lastName"], serde_json::json!({"from": "***", "to": "***"}), "{planned:?}");
    assert_eq!(planned[0]["fields"]["firstName"], serde_json::json!({"from": FIRST, "to": "Xenia"}), "{planned:?}");
    let applied = ask(&["apply", "plan.json", "--json"]).expect(0).json();
    assert_eq!(applied[0]["fields"]["lastName"], serde_json::json!({"from": "***", "to": "***"}), "{applied:?}");
    assert_eq!(
        bench.hub_rows(&format!("SELECT lastName FROM hub_r_enduser WHERE externalId = '{KEY}'")),
        [format!("{LAST}-Alt")],
        "what is hidden is written all the same"
    );
    bench.lake(&format!("UPDATE end_users SET position = '{}' WHERE user_id = '{KEY}'", POSITIONS[1]));
    bench.run(&["hub", "set", "enduser", KEY, &format!("position={}", POSITIONS[2])]).expect(0);
    ask(&["run"]);
    let conflict = &ask(&["conflicts", "--json"]).expect(0).json()[0];
    assert_eq!((&conflict["warehouse"], &conflict["platform"]), (&"***".into(), &"***".into()));
    let why = ask(&["why", "endusers", KEY]).expect(0);
    assert!(why.stdout.contains("***") && why.stdout.contains("Xenia"), "{}", why.stdout);
    ask(&["why", "endusers", KEY, "--json"]).expect(0);
    bench.run(&["hub", "set", "enduser", "U2", &format!("lastName={LAST}")]).expect(0);
    bench.lake(&format!("UPDATE end_users SET last_name = '{}' WHERE user_id = 'U2'", POSITIONS[0]));
    for args in [
        &["conflicts"][..],
        &["rejects"],
        &["rejects", "--json"],
        &["rejects", "--csv"],
        &["verify", "endusers"],
        &["verify", "endusers", "--json"],
        &["logs", &run],
        &["runs", "--json"],
        &["check", "--rows"],
        &["undo", &run, "--json"],
        &["retry", "endusers"],
        &["verify", "endusers", "--repair", "--json"],
    ] {
        ask(args);
    }
    for run in bench.run(&["runs", "--json", "--limit", "100"]).expect(0).json() {
        ask(&["logs", run["run"].as_str().expect("an id")]).expect(0);
    }
}
