//! What a person does in the pages, as calls.

use serde_json::{Value, json};

use super::bench::Bench;
use super::server::Server;

#[test]
fn a_run_is_asked_for_watched_and_looked_into() {
    let bench = Bench::with_companies();
    let server = Server::serve(&bench);
    let syncs = server.get("/api/v1/syncs").expect(200).json();
    assert_eq!((&syncs["items"][0]["sync"], &syncs["items"][0]["health"]), (&json!("companies"), &json!("new")));

    let queued = server.post("/api/v1/syncs/companies/run", &json!({ "full": true })).expect(200).json();
    assert_eq!(queued, json!({ "sync": "companies", "new": true }));
    let run = server.run_ended("companies", 0);
    assert_eq!(
        (&run["status"], &run["mode"], &run["created"]),
        (&json!("succeeded"), &json!("full"), &json!(3)),
        "{run}"
    );
    let id = run["run"].as_str().expect("an id");

    let one = server.get(&format!("/api/v1/runs/{id}")).expect(200).json();
    assert_eq!(one["to_platform"]["created"], 3);
    let writes = server.get(&format!("/api/v1/runs/{id}/writes?limit=2")).expect(200).json();
    assert_eq!(writes["items"].as_array().map(Vec::len), Some(2));
    let next = writes["next"].as_str().expect("more");
    let rest = server.get(&format!("/api/v1/runs/{id}/writes?limit=2&after={next}")).expect(200).json();
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["next"]), (Some(1), &Value::Null));
    let why = server.get("/api/v1/syncs/companies/record?key=C1").expect(200).json();
    assert_eq!((&why["link"], &why["fields"][0]["warehouse"]), (&json!("linked"), &json!("Åkerlund & Söner")), "{why}");
    let records = server.get("/api/v1/connections/crm/records?model=company&where=phase%3Dlive").expect(200).json();
    assert_eq!(records["items"].as_array().map(Vec::len), Some(1), "{records}");

    let undone = server.post(&format!("/api/v1/runs/{id}/undo"), &json!({})).expect(200).json();
    assert_eq!(undone["run"]["deleted"], 3, "{undone}");
    let sync = server.get("/api/v1/syncs/companies").expect(200).json();
    assert_eq!((&sync["paused"], &sync["linked"]), (&json!(true), &json!(0)), "an undo pauses");

    let audit = server.get("/api/v1/audit").expect(200).json();
    let actions: Vec<&str> =
        audit["items"].as_array().expect("lines").iter().filter_map(|l| l["action"].as_str()).collect();
    assert_eq!(actions, ["undo", "run"]);
    assert_eq!(server.stop(), Some(143));
}

#[test]
fn switches_hold_for_every_kind_of_run() {
    let bench = Bench::with_companies();
    let server = Server::serve(&bench);
    server.post("/api/v1/connections/crm/enabled", &json!({ "on": false })).expect(200);
    let refused = server.post("/api/v1/syncs/companies/run", &json!({})).expect(422).json();
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("switched off")), "{refused}");
    assert!(refused["error"]["hint"].is_string());
    server.post("/api/v1/connections/crm/full-sync", &json!({})).expect(422);
    // The command line is no way around it.
    bench.run(&["run", "companies"]).expect(2).says(&["switched off"]);
    assert_eq!(server.get("/api/v1/syncs/companies").expect(200).json()["health"], "off");
    server.post("/api/v1/connections/crm/enabled", &json!({})).expect(200);
    let queued = server.post("/api/v1/connections/crm/full-sync", &json!({})).expect(200).json();
    assert_eq!(queued["items"], json!([{ "sync": "companies", "new": true }]));
    assert_eq!(server.run_ended("companies", 0)["mode"], "full");

    server.post("/api/v1/syncs/companies/pause", &json!({})).expect(200);
    server.post("/api/v1/syncs/companies/automation", &json!({ "on": false })).expect(200);
    let sync = server.get("/api/v1/syncs/companies").expect(200).json();
    assert_eq!((&sync["paused"], &sync["automation"]), (&json!(true), &json!(false)));
    server.post("/api/v1/syncs/companies/resume", &json!({})).expect(200);
    assert_eq!(server.get("/api/v1/syncs/companies").expect(200).json()["paused"], false);
    server.post("/api/v1/hooks/companies", &json!({ "anything": ["that", "others", "send"] })).expect(200);
    assert_eq!(server.run_ended("companies", 1)["trigger"], "webhook");
}

#[test]
fn rejects_are_listed_exported_and_retried_and_conflicts_resolved() {
    let bench = Bench::with_companies();
    bench.lake("INSERT INTO companies VALUES ('=1+1', NULL, NULL, NULL)");
    bench.write(
        "syncs/companies.yaml",
        &super::bench::COMPANIES.replace("direction: both", "direction: both\nconflict: hold"),
    );
    let server = Server::serve(&bench);
    server.post("/api/v1/syncs/companies/run", &json!({ "full": true })).expect(200);
    let run = server.run_ended("companies", 0);
    assert_eq!((&run["status"], &run["rejected"]), (&json!("partial"), &json!(1)), "{run}");
    let rejects = server.get("/api/v1/rejects?sync=companies").expect(200).json();
    assert_eq!(rejects["items"][0]["key"], "=1+1", "{rejects}");
    let csv = server.get("/api/v1/rejects.csv").expect(200);
    assert!(csv.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")));
    assert!(csv.body.contains("\"'=1+1\""), "a formula stays text: {}", csv.body);
    bench.lake("UPDATE companies SET name = 'Mended' WHERE company_id = '=1+1'");
    server.post("/api/v1/syncs/companies/run", &json!({ "retry": true, "key": "=1+1" })).expect(200);
    let run = server.run_ended("companies", 1);
    assert_eq!(
        (&run["status"], &run["created"], &run["trigger"]),
        (&json!("succeeded"), &json!(1), &json!("retry")),
        "{run}"
    );

    bench.lake("UPDATE companies SET phase = 'ours' WHERE company_id = 'C1'");
    bench.run(&["hub", "set", "company", "C1", "phase=theirs"]).expect(0);
    server.post("/api/v1/syncs/companies/run", &json!({})).expect(200);
    server.run_ended("companies", 2);
    let open = server.get("/api/v1/conflicts?open=true").expect(200).json();
    let conflict = &open["items"][0];
    assert_eq!((&conflict["warehouse"], &conflict["platform"]), (&json!("ours"), &json!("theirs")), "{open}");
    let choice = json!({ "sync": "companies", "key": "C1", "field": "phase", "use": "platform" });
    server.post("/api/v1/conflicts/resolve", &choice).expect(200);
    server.post("/api/v1/syncs/companies/run", &json!({})).expect(200);
    server.run_ended("companies", 3);
    assert_eq!(bench.lake_rows("SELECT phase FROM companies WHERE company_id = 'C1'"), ["theirs"]);
    let again = json!({ "sync": "companies", "key": "C1", "field": "phase", "use": "value" });
    server.post("/api/v1/conflicts/resolve", &again).expect(422);
}

#[test]
fn what_is_not_there_is_said_and_lists_have_ends() {
    let bench = Bench::with_companies();
    let server = Server::serve(&bench);
    for path in [
        "/api/v1/syncs/nobody",
        "/api/v1/connections/nobody",
        "/api/v1/runs/nobody",
        "/api/v1/runs/nobody/log",
        "/api/v1/syncs/nobody/file",
        "/api/v1/nothing",
        "/api/v1/syncs/nobody/record?key=x",
        "/api/v1/connections/nobody/discover",
    ] {
        let error = server.get(path).expect(404).json();
        assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{path}: {error}");
    }
    server.send("DELETE", "/api/v1/syncs", "", "").expect(405);
    server.get("/api/v1/runs?limit=x").expect(422);
    server.get("/api/v1/runs?after=nonsense").expect(422);
    server.get("/api/v1/runs?limit=999999").expect(200);
    server.post("/api/v1/syncs/companies/run", &json!({ "fulll": true })).expect(422);
    server.send("POST", "/api/v1/syncs/companies/run", "Content-Type: text/plain\r\n", "x").expect(422);
    let lake = server.get("/api/v1/connections/lake/discover").expect(200).json();
    assert_eq!(lake["entries"][0]["name"], "companies", "{lake}");
    let columns = server.get("/api/v1/connections/lake/discover?place=companies").expect(200).json();
    assert_eq!(columns["columns"][0]["column"], "company_id");
    let fields = server.get("/api/v1/connections/crm/discover?place=company").expect(200).json();
    assert_eq!(fields["what"], "model");
    let plan = server.post("/api/v1/syncs/companies/plan", &json!({ "limit": 1 })).expect(200).json();
    assert_eq!((plan["changes"].as_array().map(Vec::len), &plan["total"]), (Some(1), &json!(3)), "{plan}");
    let found = server.post("/api/v1/connections/crm/check", &json!({})).expect(200).json();
    assert_eq!(found["items"], json!([]));
    assert_eq!(server.get("/api/v1/connections/crm").expect(200).json()["works"], true);
}
