//! The frozen JSON shapes: which keys, in which order.

use super::bench::{Bench, COMPANIES, keys};

const RUN: &str = "sync run status mode read created updated unchanged deleted rejected held unknown ahead sent confirmed \
                   refused acknowledged conflicts dropped_fields normalised requests warehouse_ms bytes_billed started_at \
                   duration_ms error to_platform to_warehouse";
const COUNTS: &str = "read created updated unchanged deleted rejected held unknown ahead sent confirmed refused \
                      acknowledged conflicts dropped_fields normalised requests";

fn list(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_run() {
    let bench = Bench::with_usage(10);
    let done = bench.run(&["run", "--json"]).expect(0);
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(keys(lines[0]), list(RUN), "a two-way sync has both directions");
    let one_way: Vec<String> = list(RUN).into_iter().filter(|key| key != "to_warehouse").collect();
    assert_eq!(keys(lines[1]), one_way, "a one-way sync leaves the other out");
    let run = &done.json()[0];
    let counts = serde_json::to_string(&run["to_platform"]).unwrap();
    let mut sorted = list(COUNTS);
    sorted.sort();
    assert_eq!(keys(&counts), sorted);
    for name in list(COUNTS) {
        let sum = run["to_platform"][&name].as_u64().unwrap() + run["to_warehouse"][&name].as_u64().unwrap();
        assert_eq!(run[&name].as_u64(), Some(sum), "{name} is the sum of both directions");
    }
    let listed = bench.run(&["runs", "companies", "--json"]).expect(0);
    assert_eq!(keys(listed.stdout.trim()), list(RUN));
    assert_eq!(listed.json()[0]["run"], run["run"]);
}

#[test]
fn a_plan_and_what_apply_did() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.lake("UPDATE companies SET arr = '99.90' WHERE company_id = 'C1'");
    let plan = bench.run(&["plan", "companies", "--json", "--out", "plan.json"]).expect(0);
    let lines: Vec<&str> = plan.stdout.lines().collect();
    assert_eq!(keys(lines[0]), list("key side action fields"));
    let line = &plan.json()[0];
    assert_eq!((&line["key"], &line["side"], &line["action"]), (&"C1".into(), &"platform".into(), &"update".into()));
    assert_eq!(line["fields"]["custom.ARR"], serde_json::json!({"from": "12.50", "to": "99.90"}));
    assert_eq!(keys(lines[1]), ["summary"]);
    assert_eq!(plan.json()[1]["summary"]["updated"], 1);
    assert_eq!(
        bench.hub_rows("SELECT c1 FROM hub_r_company WHERE externalId = 'C1'"),
        ["12.50"],
        "a plan writes nothing"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&bench.path("plan.json").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let applied = bench.run(&["apply", "plan.json", "--json"]).expect(0);
    assert_eq!(applied.json()[0], *line);
    assert_eq!(keys(applied.stdout.lines().last().unwrap()), ["summary"]);
    assert_eq!(bench.hub_rows("SELECT c1 FROM hub_r_company WHERE externalId = 'C1'"), ["99.90"]);
}

#[test]
fn undo_puts_back_and_pauses() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.lake("UPDATE companies SET phase = 'changed' WHERE company_id = 'C1'");
    let run = bench.run(&["run", "--json"]).expect(0).json()[0]["run"].as_str().unwrap().to_owned();
    let undone = bench.run(&["undo", &run, "--json"]).expect(0).json();
    assert_eq!(undone[0]["fields"]["phase"], serde_json::json!({"from": "changed", "to": "trial"}));
    assert_eq!(bench.hub_rows("SELECT phase FROM hub_r_company WHERE externalId = 'C1'"), ["trial"]);
    bench.run(&["resume", "companies"]).expect(0);
}

#[test]
fn findings() {
    let bench = Bench::with_companies();
    assert_eq!(bench.run(&["check", "--json"]).expect(0).stdout, "");
    bench.lake("DROP TABLE companies");
    let done = bench.run(&["check", "--json"]).expect(1);
    for line in done.stdout.lines() {
        assert_eq!(keys(line), list("connection sync finding severity why fix"));
    }
    assert!(done.json().iter().any(|line| line["sync"] == "companies" && line["severity"] == "critical"));
}

#[test]
fn conflicts_and_their_resolution() {
    let bench = Bench::with_companies();
    bench.write("syncs/companies.yaml", &COMPANIES.replace("fields:", "conflict: hold\nfields:"));
    bench.run(&["run"]).expect(0);
    bench.lake("UPDATE companies SET phase = 'w' WHERE company_id = 'C1'");
    bench.run(&["hub", "set", "company", "C1", "phase=p"]).expect(0);
    bench.run(&["run"]).expect(0);
    let done = bench.run(&["conflicts", "--json"]).expect(0);
    assert_eq!(keys(done.stdout.trim()), list("sync key field warehouse platform winner state run at"));
    let conflict = &done.json()[0];
    assert_eq!((&conflict["warehouse"], &conflict["platform"]), (&"w".into(), &"p".into()));
    assert_eq!((&conflict["winner"], &conflict["state"]), (&serde_json::Value::Null, &"open".into()));
    assert_eq!(
        bench.lake_rows("SELECT phase FROM companies WHERE company_id = 'C1'"),
        ["w"],
        "neither side is touched"
    );
    bench.run(&["conflicts", "resolve", "companies", "C1", "--field", "nothing", "--use", "platform"]).expect(2);
    bench.run(&["conflicts", "resolve", "companies", "C1", "--field", "phase", "--use", "both agreed"]).expect(0);
    bench.run(&["run"]).expect(0);
    assert_eq!(bench.lake_rows("SELECT phase FROM companies WHERE company_id = 'C1'"), ["both agreed"]);
    assert_eq!(bench.hub_rows("SELECT phase FROM hub_r_company WHERE externalId = 'C1'"), ["both agreed"]);
}

#[test]
fn rejects_as_json_and_as_csv() {
    let bench = Bench::with_companies();
    bench.lake("INSERT INTO companies VALUES ('=cmd()', NULL, NULL, NULL)");
    bench.run(&["run"]).expect(3);
    let json = bench.run(&["rejects", "--json"]).expect(0);
    assert_eq!(keys(json.stdout.trim()), list("sync key field rule reason run at"));
    let csv = bench.run(&["rejects", "companies", "--csv"]).expect(0).stdout;
    assert!(csv.starts_with("sync,key,field,rule,reason,run,at\ncompanies,\"'=cmd()\",name,"), "{csv}");
}

#[test]
fn why() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.lake("UPDATE companies SET phase = 'next' WHERE company_id = 'C1'");
    let done = bench.run(&["why", "companies", "C1", "--json"]).expect(0);
    assert_eq!(keys(done.stdout.trim()), list("sync key remote link fields history rejects conflicts next verdict"));
    let why = &done.json()[0];
    let field = why["fields"].as_array().unwrap().iter().find(|field| field["field"] == "phase").unwrap();
    assert_eq!((&field["warehouse"], &field["platform"]), (&"next".into(), &"trial".into()));
    assert_eq!(why["next"][0]["fields"]["phase"]["to"], "next");
    bench.write("syncs/companies.yaml", &COMPANIES.replace("fields:", "redact: [phase]\nfields:"));
    let hidden = bench.run(&["why", "companies", "C1", "--json"]).expect(0).stdout;
    assert!(!hidden.contains("\"trial\"") || !hidden.contains("\"warehouse\":\"next\""), "{hidden}");
}

#[test]
fn records_of_the_hub() {
    let bench = Bench::new();
    let made = bench.run(&["hub", "set", "company", "K1", "name=Kilo", "custom.ARR=12.50"]).expect(0);
    let order = keys(made.stdout.trim());
    assert_eq!(order[..3], list("_id externalId sourceId"));
    assert_eq!(order[order.len() - 3..], list("custom createdAt updatedAt"));
    assert_eq!(made.json()[0]["custom"]["ARR"], "12.50", "decimals print as strings of their exact digits");
    bench.run(&["hub", "unset", "company", "externalId:K1", "custom.ARR"]).expect(0);
    let found = bench.run(&["hub", "list", "company", "--where", "name=Kilo"]).expect(0).json();
    assert_eq!(found.len(), 1);
    assert!(found[0]["custom"]["ARR"].is_null());
    bench.run(&["hub", "set", "company", "K1", "nmae=x"]).expect(1).says(&["nmae", "name"]);
    bench.run(&["hub", "delete", "company", "K1"]).expect(0);
    assert_eq!(bench.run(&["hub", "list", "company"]).expect(0).stdout, "");
    bench.run(&["hub", "delete", "company", "K1"]).expect(1).says(&["there is no company"]);
}

#[test]
fn logs_discover_and_verify() {
    let bench = Bench::with_companies();
    let run = bench.run(&["run", "--json"]).expect(0).json()[0]["run"].as_str().unwrap().to_owned();
    for line in bench.run(&["logs", &run, "--json", "--follow"]).expect(0).stdout.lines() {
        assert_eq!(keys(line), list("run at line"));
    }
    let tables = bench.run(&["discover", "lake", "--json"]).expect(0).json();
    assert!(tables.iter().any(|entry| entry["name"].as_str().unwrap().ends_with("companies")), "{tables:?}");
    let columns = bench.run(&["discover", "lake", "companies", "--json"]).expect(0).json();
    assert_eq!(columns[0]["column"], "company_id");
    let fields = bench.run(&["discover", "crm", "company", "--json"]).expect(0).json();
    assert!(fields.iter().any(|field| field["field"] == "custom.ARR"), "{fields:?}");
    bench.run(&["verify", "companies"]).expect(0);
    bench.run(&["hub", "set", "company", "C1", "custom.ARR=1"]).expect(0);
    let drift = bench.run(&["verify", "companies", "--json"]).expect(3);
    assert_eq!(keys(drift.stdout.trim()), list("key side action fields why"));
    bench.run(&["verify", "companies", "--repair"]).expect(0);
    assert_eq!(bench.hub_rows("SELECT c1 FROM hub_r_company WHERE externalId = 'C1'"), ["12.50"]);
}
