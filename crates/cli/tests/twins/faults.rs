//! Lost answers, refused records, storms: after them the twin holds what the warehouse holds, once.

use std::collections::BTreeMap;

use tidegate_twins::{Fault, Knobs, Step};

use super::lab::{ENDUSERS, Lab, faults, quiet};

const ROWS: usize = 200;

fn many(lab: &Lab) {
    lab.bench.lake(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO companies SELECT printf('K%04d', i), 'Company ' || i, 'trial', i || '.50' FROM n;
         CREATE TABLE people (person_id TEXT NOT NULL PRIMARY KEY, email TEXT, company_id TEXT, title TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO people SELECT printf('P%04d', i), 'p' || i || '@x.com', printf('K%04d', i), 'T' || i FROM n;"
    ));
    lab.bench.write("syncs/people.yaml", ENDUSERS);
    for sync in ["companies", "people"] {
        let file = format!("syncs/{sync}.yaml");
        let text = std::fs::read_to_string(lab.bench.path(&file)).expect("a sync");
        // Small batches, so that there are many answers to lose; guards off, for the rejects are on purpose.
        lab.bench.write(&file, &format!("{text}batch_size: 25\nguards: {{ max_reject_pct: 100 }}\n"));
    }
}

/// Runs until a run succeeds, at most so often.
fn settle(lab: &Lab, most: usize) {
    for _ in 0..most {
        let done = lab.run(&["run"]);
        assert!([0, 1, 3].contains(&done.code), "{}\n{}", done.stdout, done.stderr);
        if done.code == 0 {
            return;
        }
    }
    panic!("not settled after {most} runs: {}", lab.run(&["rejects"]).stdout);
}

fn converges(seed: u64, lost: f64) {
    let lab = Lab::new(faults(seed, lost));
    many(&lab);
    for _ in 0..2 {
        let done = lab.run(&["run"]);
        assert!([0, 1, 3].contains(&done.code), "seed {seed}: {}\n{}", done.stdout, done.stderr);
    }
    lab.bench.lake("UPDATE companies SET phase = 'live' WHERE company_id LIKE 'K01%'; UPDATE people SET title = NULL WHERE person_id < 'P0020';");
    let done = lab.run(&["run"]);
    assert!([0, 1, 3].contains(&done.code), "seed {seed}: {}\n{}", done.stdout, done.stderr);
    lab.twin.turn(quiet());
    settle(&lab, 4);
    let companies = lab.held("company");
    assert_eq!(companies.len(), ROWS + 3, "seed {seed}");
    for (key, record) in companies.iter().filter(|(key, _)| key.starts_with('K')) {
        let number: usize = key[1..].parse().expect("a number");
        let phase = if key.starts_with("K01") { "live" } else { "trial" };
        assert_eq!(record["name"], format!("Company {number}"), "seed {seed}");
        assert_eq!(record["phase"], phase, "seed {seed} {key}");
        assert_eq!(record["custom"]["ARR"].to_string(), format!("{number}.5"), "seed {seed} {key}");
    }
    let ids: BTreeMap<&str, &str> = companies
        .values()
        .filter_map(|record| Some((record["_id"].as_str()?, record["externalId"].as_str()?)))
        .collect();
    let people = lab.held("enduser");
    assert_eq!(people.len(), ROWS, "seed {seed}");
    for (key, record) in &people {
        let company = ids[record["companyId"].as_str().expect("a company")];
        assert_eq!(company[1..], key[1..], "seed {seed}");
        assert_eq!(record.get("position").is_none(), key.as_str() < "P0020", "seed {seed} {key}: {record}");
    }
    let quiet = lab.run(&["run", "--json"]).expect(0).json();
    assert!(quiet.iter().all(|run| run["sent"] == 0), "seed {seed}: a run after a quiet run writes nothing: {quiet:?}");
    assert_eq!(lab.run(&["rejects", "--json"]).json().len(), 0, "seed {seed}");
    lab.no_secret();
}

#[test]
fn five_percent_of_lost_answers() {
    converges(1, 5.0);
}

#[test]
fn thirty_percent_of_lost_answers() {
    converges(2, 30.0);
}

#[test]
fn both_ways_with_edits_on_planhats_side() {
    let lab = Lab::new(quiet());
    lab.run(&["run"]).expect(0);
    lab.run(&["run"]).expect(0);
    // Somebody edits a company in Planhat, over its API.
    let id = lab.held("company")["C2"]["_id"].as_str().expect("an id").to_owned();
    let edit = format!(
        "PUT /companies/{id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{{\"phase\":\"x1\"}}",
        super::lab::TOKEN
    );
    std::io::Write::write_all(
        &mut std::net::TcpStream::connect(lab.twin.address()).expect("the twin"),
        edit.as_bytes(),
    )
    .expect("sent");
    while lab.held("company")["C2"]["phase"] != "x1" {
        std::thread::yield_now();
    }
    lab.run(&["run"]).expect(0);
    assert_eq!(lab.bench.lake_rows("SELECT phase FROM companies WHERE company_id = 'C2'"), ["x1"]);
    lab.bench.lake("UPDATE companies SET phase = NULL WHERE company_id = 'C2'");
    lab.run(&["run"]).expect(0);
    assert!(lab.held("company")["C2"].get("phase").is_none());
    let quiet = lab.run(&["run", "--json"]).expect(0).json();
    assert_eq!(quiet[0]["sent"], 0);
}

#[test]
fn a_clear_that_planhat_ignores_is_a_reject_and_not_forgotten() {
    for direction in ["both", "to_platform"] {
        let lab = Lab::new(Knobs { unsure: [("nulls".into(), "ignore".into())].into(), ..quiet() });
        let text = super::bench::COMPANIES.replace("direction: both", &format!("direction: {direction}"));
        lab.bench.write("syncs/companies.yaml", &text.replace(", direction: to_platform", ""));
        lab.run(&["run"]).expect(0);
        lab.bench.lake("UPDATE companies SET phase = NULL WHERE company_id = 'C1'");
        lab.run(&["run"]).expect(3);
        let rejects = lab.run(&["rejects", "--json"]).json();
        assert_eq!(
            (rejects[0]["rule"].as_str(), rejects[0]["key"].as_str()),
            (Some("cannot_clear"), Some("C1")),
            "{direction}: {rejects:?}"
        );
        assert_eq!(lab.held("company")["C1"]["phase"], "trial", "{direction}");
        // Planhat learns to take it: nothing was forgotten.
        lab.twin.turn(quiet());
        settle(&lab, 3);
        assert!(lab.held("company")["C1"].get("phase").is_none(), "{direction}");
    }
}

const EVENTS: &str =
    "CREATE TABLE usage_events (event_id INTEGER PRIMARY KEY, company_id TEXT, email TEXT, action TEXT, at TEXT);
    INSERT INTO usage_events WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
    SELECT i, 'C1', 'u' || (i % 7) || '@x.com', 'login', '2026-01-01 00:00:00' FROM n;";

fn usage(lab: &Lab, more: &str) {
    lab.bench.lake(EVENTS);
    let text = "version: 1\nwarehouse: { connection: lake, relation: usage_events }\n\
                platform: { connection: crm, model: user_activity }\ndirection: to_platform\n\
                key: { warehouse: event_id }\nchanges: cursor\ncursor: { column: event_id, lookback: 10 }\n\
                write: append\nbatch_size: 20\nfields:\n  - { warehouse: company_id, platform: companyExternalId }\n  \
                - { warehouse: email, platform: email }\n  - { warehouse: action, platform: action }\n  \
                - { warehouse: event_id, platform: weight }\n";
    lab.bench.write("syncs/usage.yaml", &format!("{text}{more}"));
    lab.run(&["run", "companies"]).expect(0);
}

/// How often each event arrived.
fn arrived(lab: &Lab) -> BTreeMap<String, usize> {
    let shelves = lab.twin.holds(10_000).expect("what it holds");
    let mut out = BTreeMap::new();
    for event in shelves.into_iter().filter(|shelf| shelf.name.starts_with("activity")).flat_map(|shelf| shelf.newest) {
        *out.entry(event["weight"].to_string()).or_default() += 1;
    }
    out
}

#[test]
fn an_uncertain_batch_of_usage_is_listed_and_sent_once() {
    let lab = Lab::new(quiet());
    usage(&lab, "");
    lab.twin
        .turn(Knobs { script: vec![Step { after: 1, ..Step::next("POST", "/analytics", Fault::Lost) }], ..quiet() });
    let run = lab.run(&["run", "usage", "--json"]).expect(3).json().remove(0);
    assert_eq!((run["unknown"].as_u64(), run["acknowledged"].as_u64()), (Some(20), Some(80)), "{run}");
    let rejects = lab.run(&["rejects", "--json"]).json();
    assert!(
        rejects.iter().any(|reject| reject["reason"].as_str().is_some_and(|why| why.contains("keys 21 to 40"))),
        "{rejects:?}"
    );
    lab.run(&["run", "usage"]);
    let arrived = arrived(&lab);
    assert_eq!((arrived.len(), arrived.values().max()), (100, Some(&1)), "once each: {arrived:?}");
}

#[test]
fn with_resend_no_event_is_lost_and_some_come_twice() {
    let lab = Lab::new(quiet());
    usage(&lab, "on_uncertain: resend\n");
    let script = vec![
        Step { after: 1, ..Step::next("POST", "/analytics", Fault::Lost) },
        Step { after: 3, ..Step::next("POST", "/analytics", Fault::Dropped) },
    ];
    lab.twin.turn(Knobs { script, ..quiet() });
    lab.run(&["run", "usage"]).expect(0);
    let arrived = arrived(&lab);
    assert_eq!(arrived.len(), 100);
    assert_eq!(arrived.values().filter(|times| **times == 2).count(), 20, "the lost batch came twice");
}

#[test]
fn a_dead_token_stops_the_run_and_says_what_to_do() {
    let lab = Lab::new(quiet());
    lab.run(&["run"]).expect(0);
    lab.bench.lake("UPDATE companies SET phase = 'x' WHERE company_id = 'C1'");
    lab.twin.turn(Knobs { script: vec![Step { times: 99, ..Step::next("PUT", "", Fault::Status(401)) }], ..quiet() });
    lab.run(&["run"]).expect(1).says(&["refuses the token", "region"]);
    lab.no_secret();
}
