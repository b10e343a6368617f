//! Plain HTTP through the real binary: a stand-in that loses answers, refuses records and storms, until it converges.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_twins::{Fault, Knobs, Running, Start, Step, start};
use tokio::runtime::Runtime;

use super::bench::{Bench, Done};
use super::desk::{Desk, SECRET};
use super::lab::{faults, quiet};

const ROWS: usize = 120;

/// A project whose platform is the stand-in.
pub struct Lab {
    pub bench: Bench,
    pub twin: Running,
    _runtime: Runtime,
}

const SYNC: &str = "\
version: 1
warehouse: { connection: lake, relation: companies }
platform:  { connection: crm, model: record }
direction: to_platform
key: { warehouse: company_id, platform: key }
batch_size: 25
guards: { max_reject_pct: off, max_clear_pct: off }
fields:
  - { warehouse: name,  platform: name }
  - { warehouse: phase, platform: phase }
  - { warehouse: arr,   platform: arr }
";

pub const BY_KEY: &str = "\
url: URL/contacts/{{key}}
method: { create: PUT, update: PUT, delete: DELETE }
auth: { method: bearer, token: \"${PLANTED}\" }
body: { name: \"{{record.name}}\", phase: \"{{record.phase}}\", arr: \"{{record.arr}}\" }
error: { message: /error/message, field: /error/field }
";

pub const BY_ID: &str = "\
url: { create: URL/contacts, update: \"URL/contacts/{{id}}\", delete: \"URL/contacts/{{id}}\" }
method: { create: POST, update: PATCH, delete: DELETE }
headers: { Idempotency-Key: \"{{idempotency_key}}\" }
auth: { method: header, name: X-Api-Key, value: \"${PLANTED}\" }
body: { key: \"{{key}}\", name: \"{{changed.name}}\", phase: \"{{changed.phase}}\", arr: \"{{changed.arr}}\" }
success: { id: /data/id }
error: { message: /error/message }
";

pub const BULK: &str = "\
url: URL/bulk
auth: { method: oauth, token_url: URL/token, client_id: tide, client_secret: \"${PLANTED}\" }
body: { key: \"{{key}}\", name: \"{{changed.name}}\", phase: \"{{changed.phase}}\", arr: \"{{changed.arr}}\" }
batch: { size: 25, body: { contacts: \"{{records}}\" } }
success: { results: { at: /results, key: /key, status: /status } }
error: { message: /error/message, lost: resend }
";

impl Lab {
    pub fn new(knobs: Knobs, connection: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let twin = runtime
            .block_on(start(Arc::new(Desk::default()), Start { knobs, ..Start::default() }))
            .expect("the stand-in");
        let bench = Bench::new();
        bench.write("tidegate.yaml", "version: 1\nname: bench\nserve: { private_targets: [\"127.0.0.1\"] }\n");
        bench.write("syncs/companies.yaml", SYNC);
        let lab = Self { bench, twin, _runtime: runtime };
        lab.connect(connection);
        lab
    }

    fn connect(&self, settings: &str) {
        let text = format!("version: 1\ntype: http\n{}", settings.replace("URL", &self.twin.url()));
        self.bench.write("connections/crm.yaml", &text);
    }

    fn run(&self, words: &[&str]) -> Done {
        let done: Done = self
            .bench
            .command(words)
            .env("PLANTED", SECRET)
            .env("TIDEGATE_LOG", "trace")
            .output()
            .expect("started")
            .into();
        assert!(!done.stdout.contains(SECRET) && !done.stderr.contains(SECRET), "the secret is printed: {words:?}");
        done
    }

    /// What the stand-in holds, by key; a key that is there twice fails.
    fn held(&self) -> BTreeMap<String, Json> {
        let mut out = BTreeMap::new();
        for one in self.twin.holds(1_000_000).expect("what it holds").remove(0).newest {
            let key = one["key"].as_str().unwrap_or_default().to_owned();
            assert!(out.insert(key.clone(), one["body"].clone()).is_none(), "{key} is there twice");
        }
        out
    }

    fn settle(&self, seed: u64) {
        for _ in 0..4 {
            let done = self.run(&["run"]);
            assert!([0, 1, 3].contains(&done.code), "seed {seed}: {}\n{}", done.stdout, done.stderr);
            if done.code == 0 {
                return;
            }
        }
        panic!("seed {seed}: not settled: {}", self.run(&["rejects"]).stdout);
    }
}

/// The planted secret, or a token that was got with it, in no file of the project.
fn no_secret(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            no_secret(&path);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for secret in [SECRET, "granted-"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in {}", path.display());
        }
    }
}

fn converges(connection: &str, seed: u64, lost: f64) {
    let only = vec!["/contacts".to_owned(), "/bulk".to_owned()];
    let lab = Lab::new(Knobs { only, ..faults(seed, lost) }, connection);
    lab.bench.lake(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO companies SELECT printf('K%04d', i), 'Company ' || i, 'trial', i || '.50' FROM n;"
    ));
    for _ in 0..2 {
        let done = lab.run(&["run"]);
        assert!([0, 1, 3].contains(&done.code), "seed {seed}: {}\n{}", done.stdout, done.stderr);
    }
    lab.bench.lake("UPDATE companies SET phase = 'live' WHERE company_id LIKE 'K01%'; UPDATE companies SET arr = NULL WHERE company_id < 'K0020';");
    let done = lab.run(&["run"]);
    assert!([0, 1, 3].contains(&done.code), "seed {seed}: {}\n{}", done.stdout, done.stderr);
    lab.twin.turn(quiet());
    lab.settle(seed);
    let held = lab.held();
    assert_eq!(held.len(), ROWS + 3, "seed {seed}");
    for (key, body) in held.iter().filter(|(key, _)| key.starts_with('K')) {
        let number: usize = key[1..].parse().expect("a number");
        assert_eq!(body["name"], format!("Company {number}"), "seed {seed}");
        assert_eq!(body["phase"], if key.starts_with("K01") { "live" } else { "trial" }, "seed {seed} {key}");
        let arr = (key.as_str() >= "K0020").then(|| format!("{number}.50"));
        assert_eq!(body.get("arr").map(Json::to_string), arr, "seed {seed} {key}");
    }
    let quiet = lab.run(&["run", "--json"]).expect(0).json();
    assert_eq!(quiet[0]["sent"], 0, "seed {seed}: a run after a quiet run writes nothing: {quiet:?}");
    assert_eq!(lab.run(&["rejects", "--json"]).json().len(), 0, "seed {seed}");
    no_secret(lab.bench.root());
}

#[test]
fn http_records_by_key_at_five_percent_of_lost_answers() {
    converges(BY_KEY, 1, 5.0);
}

#[test]
fn http_records_by_key_at_thirty_percent_of_lost_answers() {
    converges(BY_KEY, 2, 30.0);
}

#[test]
fn http_records_made_by_post_come_once_with_an_idempotency_key() {
    converges(BY_ID, 3, 15.0);
}

#[test]
fn http_batches_at_thirty_percent_of_lost_answers() {
    converges(BULK, 4, 30.0);
}

#[test]
fn http_writes_that_may_double_are_listed_as_uncertain() {
    let lab = Lab::new(quiet(), &BY_ID.replace("headers: { Idempotency-Key: \"{{idempotency_key}}\" }\n", ""));
    lab.twin.turn(Knobs { script: vec![Step::next("POST", "/contacts", Fault::Lost)], ..quiet() });
    let run = lab.run(&["run", "--json"]).expect(3).json().remove(0);
    assert_eq!((run["unknown"].as_u64(), run["created"].as_u64()), (Some(1), Some(2)), "{run}");
    lab.run(&["run"]).expect(0);
    assert_eq!(lab.twin.requests().len(), 3, "it was not sent again");
    let rejects = lab.run(&["rejects", "--json"]).json();
    assert_eq!((rejects.len(), rejects[0]["rule"].as_str()), (1, Some("uncertain")), "{rejects:?}");
    let text = format!("{SYNC}on_uncertain: resend\n");
    let lab = Lab::new(quiet(), &BY_ID.replace("headers: { Idempotency-Key: \"{{idempotency_key}}\" }\n", ""));
    lab.bench.write("syncs/companies.yaml", &text);
    lab.twin.turn(Knobs { script: vec![Step::next("POST", "/contacts", Fault::Dropped)], ..quiet() });
    lab.run(&["run"]).expect(3);
    lab.run(&["run"]).expect(0);
    assert_eq!(lab.held().len(), 3, "the next run sent it again");
}

#[test]
fn http_secrets_stand_in_no_log_error_or_copy_of_the_state() {
    for connection in [BY_KEY, BY_ID, BULK] {
        let lab = Lab::new(quiet(), connection);
        let refused = |path: &str| Step { times: 99, ..Step::next("", path, Fault::Status(401)) };
        lab.twin.turn(Knobs { script: vec![refused("/contacts"), refused("/bulk")], ..quiet() });
        lab.run(&["run"]).expect(1).says(&["credentials"]);
        lab.twin.turn(Knobs { script: vec![Step { times: 2, ..Step::next("", "", Fault::Cut) }], ..quiet() });
        lab.run(&["run"]);
        lab.twin.turn(quiet());
        let commands: [&[&str]; 8] = [
            &["check"],
            &["discover", "crm"],
            &["plan", "companies"],
            &["run"],
            &["runs", "--json"],
            &["rejects"],
            &["why", "companies", "C1"],
            &["state", "backup", "copy.db"],
        ];
        for words in commands {
            lab.run(words);
        }
        assert!(lab.bench.path("copy.db").exists());
        no_secret(lab.bench.root());
    }
}

#[test]
fn http_deletes_and_whole_records() {
    let lab = Lab::new(quiet(), BY_KEY);
    lab.bench.write("syncs/companies.yaml", &format!("{SYNC}deletes: propagate\n"));
    lab.run(&["run"]).expect(0);
    lab.twin.forget_requests();
    lab.bench.lake(
        "UPDATE companies SET phase = 'won' WHERE company_id = 'C1'; DELETE FROM companies WHERE company_id = 'C2'",
    );
    lab.run(&["run"]).expect(0);
    let held = lab.held();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["C1", "C3"]);
    assert_eq!(
        held["C1"]["name"], "Åkerlund & Söner",
        "an update carries what did not change, for a PUT takes the record's place"
    );
    assert_eq!(lab.twin.requests().len(), 2);
    let runs = lab.run(&["runs", "companies", "--json"]).expect(0).json();
    let undone = lab.run(&["undo", runs[0]["run"].as_str().expect("a run")]);
    assert_ne!(undone.code, 0);
    assert!(undone.stderr.contains("whole records") || undone.stderr.contains("fingerprints"), "{}", undone.stderr);
}

#[test]
fn http_records_flow_both_ways() {
    let paging = format!(
        "{BY_ID}paging:\n  url: \"URL/contacts?limit={{{{limit}}}}&after={{{{cursor}}}}\"\n  items: /data\n  key: /key\n  id: /id\n  size: 2\n  \
         next: {{ by: cursor, at: /next }}\n  fields: {{ name: text, phase: text, arr: \"decimal(12,2)\" }}\n  \
         one: \"URL/contacts/{{{{id}}}}\"\n  one_at: /data\n"
    );
    let lab = Lab::new(quiet(), &paging);
    lab.bench.write("syncs/companies.yaml", &SYNC.replace("direction: to_platform", "direction: both"));
    lab.run(&["run"]).expect(0);
    assert_eq!(lab.held().len(), 3);
    let edit = format!(
        "PATCH /contacts/id-00001 HTTP/1.1\r\nhost: x\r\nx-api-key: {SECRET}\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{{\"phase\":\"x1\"}}"
    );
    let mut line = std::net::TcpStream::connect(lab.twin.address()).expect("the stand-in");
    std::io::Write::write_all(&mut line, edit.as_bytes()).expect("sent");
    // Who hangs up before the answer may not be heard.
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut line, &mut answer).expect("answered");
    assert!(answer.contains("200 OK"), "{answer}");
    lab.run(&["run"]).expect(0);
    let edited = lab.held().into_iter().find(|(_, body)| body["phase"] == "x1").expect("it").0;
    assert_eq!(lab.bench.lake_rows(&format!("SELECT phase FROM companies WHERE company_id = '{edited}'")), ["x1"]);
    lab.bench.lake(&format!("UPDATE companies SET phase = NULL WHERE company_id = '{edited}'"));
    lab.run(&["run"]).expect(0);
    assert!(lab.held()[&edited].get("phase").is_none());
    assert_eq!(lab.run(&["run", "--json"]).expect(0).json()[0]["sent"], 0);
}

#[test]
fn http_connections_are_checked_before_anything_is_sent() {
    let lab = Lab::new(quiet(), &BY_KEY.replace("{{record.arr}}", "{{record.arrr}}"));
    let checked = lab.run(&["check", "--json"]);
    assert_eq!(checked.code, 1, "{}", checked.stdout);
    assert!(
        checked.stdout.contains("unsent_field") && checked.stdout.contains("unmapped_variable"),
        "{}",
        checked.stdout
    );
    assert!([1, 2].contains(&lab.run(&["run"]).code));
    lab.connect(&BY_KEY.replace("{{record.arr}}", "{{arr}}"));
    lab.run(&["run"]).says(&["connection crm", "body.arr", "{{arr}}", "{{record.arr}}"]);
    lab.connect(&BY_KEY.replace("body:", "bdoy:"));
    lab.run(&["run"]).says(&["crm.yaml:", "bdoy", "body"]);
    lab.connect(BY_KEY);
    lab.bench.write("tidegate.yaml", "version: 1\nname: bench\n");
    lab.run(&["run"]).says(&["inside this network", "private_targets"]);
    assert!(lab.twin.requests().is_empty());
}
