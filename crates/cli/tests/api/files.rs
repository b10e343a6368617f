//! Files of the project through the API: comments stay, others' changes are not overwritten, secrets do not follow a
//! connection to another address.

use serde_json::json;

use super::bench::{Bench, COMPANIES};
use super::server::Server;

#[test]
fn a_file_is_changed_as_it_was_read_and_checked_first() {
    let bench = Bench::with_companies();
    let server = Server::serve(&bench);
    let path = "/api/v1/syncs/companies/file";
    let file = server.get(path).expect(200).json();
    let text = format!("# why this sync is\n{}", file["text"].as_str().expect("text"));
    server.put(path, &json!({ "text": text, "hash": file["hash"] })).expect(200);
    assert_eq!(std::fs::read_to_string(bench.path("syncs/companies.yaml")).expect("read"), text);

    let error = server.put(path, &json!({ "text": "version: 1\n", "hash": file["hash"] })).expect(409).json();
    assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("was changed")), "{error}");
    let now = server.get(path).expect(200).json();
    let bad = json!({ "text": text.replace("key:", "kex:"), "hash": now["hash"] });
    let error = server.put(path, &bad).expect(422).json();
    assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("companies.yaml:6:1")), "{error}");
    assert_eq!(std::fs::read_to_string(bench.path("syncs/companies.yaml")).expect("read"), text, "nothing was written");
    let problems =
        server.post("/api/v1/syncs/companies/file/check", &json!({ "text": "version: 1\n" })).expect(200).json();
    assert!(!problems["items"].as_array().expect("a list").is_empty());

    server.put("/api/v1/syncs/second/file", &json!({ "text": COMPANIES.replace("name", "arr") })).expect(200);
    assert_eq!(server.get("/api/v1/syncs").expect(200).json()["items"].as_array().map(Vec::len), Some(2));
    server.send("DELETE", "/api/v1/syncs/second/file", "", "").expect(200);
    assert!(!bench.path("syncs/second.yaml").exists());
    server.send("DELETE", "/api/v1/connections/crm/file", "", "").expect(422);
    // A file as open to others as before, and no left-over beside it.
    let names: Vec<_> =
        std::fs::read_dir(bench.path("syncs")).expect("read").map(|e| e.expect("one").file_name()).collect();
    assert_eq!(names, ["companies.yaml"]);
}

#[test]
fn a_project_that_cannot_be_written_says_so() {
    // Whoever may write everything (root, in containers) is not stopped by permissions: the folder is a file's instead.
    let bench = Bench::with_companies();
    let server = Server::serve(&bench);
    std::fs::remove_dir_all(bench.path("syncs")).expect("removed");
    std::fs::write(bench.path("syncs"), "no folder").expect("written");
    let answer = server.put("/api/v1/syncs/other/file", &json!({ "text": COMPANIES }));
    assert!(answer.code >= 400 && answer.code != 500, "{answer:?}");
    assert!(answer.json()["error"]["hint"].is_string(), "{answer:?}");
}

#[test]
fn a_connection_that_leads_elsewhere_loses_its_secrets() {
    let bench = Bench::new();
    let old = "version: 1\ntype: postgres\nurl: secret:pg_url\n";
    bench.write("connections/pg.yaml", old);
    let server = Server::serve(&bench);
    server.put("/api/v1/secrets/pg_url", &json!({ "value": "postgres://me:hunter2@db/x" })).expect(200);
    assert!(!server.get("/api/v1/secrets").expect(200).body.contains("hunter2"));
    assert!(!server.get("/api/v1/audit").expect(200).body.contains("hunter2"));
    let path = "/api/v1/connections/pg/file";
    let save = |text: &str| {
        let hash = server.get(path).expect(200).json()["hash"].clone();
        server.put(path, &json!({ "text": text, "hash": hash }))
    };
    let same = format!("# a remark\n{old}enabled: true\n");
    assert_eq!(save(&same).expect(200).json()["secrets_cleared"], json!([]));
    assert_eq!(server.get("/api/v1/secrets").expect(200).json()["items"].as_array().map(Vec::len), Some(1));

    let error = save("version: 1\ntype: postgres\nurl: \"postgres://evil.example/?x=${PATH}\"\n").expect(422).json();
    assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("PATH")), "{error}");
    assert!(error["error"]["hint"].as_str().is_some_and(|text| text.contains("env_allow")), "{error}");
    let error = save("version: 1\ntype: postgres\nurl: \"${file:../outside}\"\n").expect(422).json();
    assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("inside the project")), "{error}");

    let moved = save("version: 1\ntype: postgres\nurl: postgres://evil.example/x\n").expect(200).json();
    assert_eq!(moved["secrets_cleared"], json!(["pg_url"]));
    assert_eq!(server.get("/api/v1/secrets").expect(200).json()["items"], json!([]));
}

#[test]
fn a_connection_made_in_the_pages_leads_over_http_to_the_world_only() {
    let bench = Bench::new();
    let server = Server::serve(&bench);
    let save = |url: &str| {
        let text = format!("version: 1\ntype: planhat\ntoken: secret:ph\nurl: {url}\n");
        server.put("/api/v1/connections/ph/file", &json!({ "text": text }))
    };
    // The metadata of a cloud's machines, this machine, this network; in numbers, by name, in other spellings.
    for inside in [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:9",
        "http://localhost:9",
        "http://10.1.2.3",
        "http://[::1]:9",
        "http://[::ffff:10.0.0.1]",
        "http://2130706433",
    ] {
        let error = save(inside).expect(422).json();
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("inside this network")), "{error}");
        assert!(error["error"]["hint"].as_str().is_some_and(|text| text.contains("private_targets")), "{error}");
    }
    save("https://203.0.114.9").expect(200);
    // A database stands inside, and speaks no HTTP.
    let text = "version: 1\ntype: postgres\nurl: postgres://me@127.0.0.1:9/x\n";
    server.put("/api/v1/connections/db/file", &json!({ "text": text })).expect(200);
    bench.write("tidegate.yaml", "version: 1\nname: bench\nserve: { private_targets: [\"10.1.2.3\"] }\n");
    let text = "version: 1\ntype: planhat\ntoken: secret:inside\nurl: http://10.1.2.3\n";
    server.put("/api/v1/connections/inside/file", &json!({ "text": text })).expect(200);
}
