//! Where calls of `serve` go that somebody else gave the address of, as an attacker sees it who may edit connections, or
//! who owns a name, or who answers a call: never to what only this network can see.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::bench::Bench;
use super::server::{Answer, Server};

/// A service that only this machine sees: how often it was reached. It answers each call with `answer`.
struct Inside {
    port: u16,
    reached: Arc<AtomicUsize>,
}

impl Inside {
    fn listens(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let reached = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reached);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                count.fetch_add(1, Ordering::SeqCst);
                let mut seen = [0; 4_096];
                // Whoever hangs up before asking has reached it all the same.
                let _ = stream.read(&mut seen);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { port, reached }
    }
    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

/// A name that leads to this machine without saying so: it stands for one whose owner points it here once it was checked.
fn rebound_name() -> String {
    let hosts = std::fs::read_to_string("/etc/hosts").expect("/etc/hosts");
    let own = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let lines =
        hosts.lines().filter_map(|line| line.split('#').next()).flat_map(|line| line.split_whitespace().skip(1));
    let names = lines.map(str::to_owned).chain([own.trim().to_owned()]);
    let mut names = names.filter(|name| !name.is_empty() && !name.starts_with("localhost") && !name.contains(':'));
    names.find(|name| leads_inside(name)).expect("a name in /etc/hosts that leads to this machine, such as its own")
}

fn leads_inside(name: &str) -> bool {
    let found = std::net::ToSocketAddrs::to_socket_addrs(&(name, 80)).map(Iterator::collect::<Vec<_>>);
    found.is_ok_and(|all| !all.is_empty() && all.iter().all(|at| at.ip().is_loopback()))
}

fn save(server: &Server, name: &str, text: &str) -> Answer {
    server.put(&format!("/api/v1/connections/{name}/file"), &json!({ "text": text }))
}

/// What the test of a connection finds, as text.
fn tested(server: &Server, name: &str) -> String {
    server.post(&format!("/api/v1/connections/{name}/check"), &json!({})).expect(200).body
}

#[test]
fn a_name_that_points_inside_once_it_was_saved_is_not_called() {
    let (inside, name) = (Inside::listens("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), rebound_name());
    let bench = Bench::new();
    bench.write("tidegate.yaml", "version: 1\nname: bench\nserve: { env_allow: [CRM_URL] }\n");
    let mut serve = bench.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(serve.env("CRM_URL", format!("https://{name}:{}", inside.port)));
    for secret in ["t", "u"] {
        server.put(&format!("/api/v1/secrets/{secret}"), &json!({ "value": "hunter2" })).expect(200);
    }
    // Written out, it is looked up and refused when it is saved; behind a reference it is found out when it is called.
    let direct = format!("version: 1\ntype: planhat\ntoken: secret:t\nurl: https://{name}:{}\n", inside.port);
    let error = save(&server, "ph", &direct).expect(422).json();
    assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("inside this network")), "{error}");
    for (kind, settings) in [
        ("planhat", "token: secret:t\nurl: ${CRM_URL}"),
        (
            "http",
            "url: https://api.example.org/x\nauth: { method: oauth, token_url: \"${CRM_URL}/t\", client_id: a, client_secret: secret:u }",
        ),
    ] {
        save(&server, kind, &format!("version: 1\ntype: {kind}\n{settings}\n")).expect(200);
        let found = tested(&server, kind);
        assert!(found.contains("inside this network") && found.contains("private_targets"), "{kind}: {found}");
        assert!(!found.contains("hunter2"), "{kind}: {found}");
    }
    assert_eq!(inside.reached(), 0, "somebody connected");
    // Who runs the machine may allow it.
    bench.write(
        "tidegate.yaml",
        &format!("version: 1\nname: bench\nserve: {{ env_allow: [CRM_URL], private_targets: [{name}] }}\n"),
    );
    server.until("the project to be read again", |server| {
        (!tested(server, "planhat").contains("inside this network")).then_some(())
    });
    assert!(inside.reached() > 0);
}

#[test]
fn an_address_inside_cannot_be_hidden_in_a_secret() {
    let inside = Inside::listens("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let bench = Bench::new();
    bench.write("connections/hand.yaml", "version: 1\ntype: planhat\ntoken: secret:hand_token\nurl: secret:hand_url\n");
    let server = Server::serve(&bench);
    let secret = |name: &str, value: &str| server.put(&format!("/api/v1/secrets/{name}"), &json!({ "value": value }));
    secret("url", &format!("http://127.0.0.1:{}", inside.port)).expect(200);
    secret("t", "hunter2").expect(200);
    save(&server, "ph", "version: 1\ntype: planhat\ntoken: secret:t\nurl: secret:url\n").expect(200);
    assert!(tested(&server, "ph").contains("inside this network"));
    // One that was written by hand, whose address somebody changes here by its secret: it loses the others.
    secret("hand_url", "https://api.planhat.com").expect(200);
    secret("hand_token", "hunter2").expect(200);
    let moved = secret("hand_url", &format!("http://127.0.0.1:{}", inside.port)).expect(200).json();
    assert_eq!(moved["secrets_cleared"], json!(["hand_token"]), "{moved}");
    secret("hand_token", "hunter3").expect(200);
    assert!(tested(&server, "hand").contains("inside this network"));
    // Nor does it help to take it away first.
    let gone = server.send("DELETE", "/api/v1/secrets/hand_url", "", "").expect(200).json();
    assert_eq!(gone["secrets_cleared"], json!(["hand_token"]), "{gone}");
    assert_eq!(inside.reached(), 0, "somebody connected");
}

#[test]
fn redirects_lead_nowhere() {
    let metadata = Inside::listens("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let answer: &'static str = Box::leak(
        format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:{}/latest\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            metadata.port
        )
        .into_boxed_str(),
    );
    let door = Inside::listens(answer);
    let bench = Bench::with_companies();
    bench.write(
        "tidegate.yaml",
        &format!(
            "version: 1\nname: bench\nserve: {{ private_targets: [\"127.0.0.1\"] }}\nalerts: {{ webhook: \"http://127.0.0.1:{}/hook\" }}\n",
            door.port
        ),
    );
    let server = Server::serve(&bench);
    let url = format!("http://127.0.0.1:{}", door.port);
    for (kind, settings) in [
        ("planhat", format!("token: t\nurl: {url}")),
        (
            "http",
            format!("url: {url}/x\nauth: {{ method: oauth, token_url: \"{url}/t\", client_id: a, client_secret: b }}"),
        ),
    ] {
        save(&server, kind, &format!("version: 1\ntype: {kind}\n{settings}\n")).expect(200);
        tested(&server, kind);
    }
    let before = door.reached();
    assert!(before >= 2, "each was called: {before}");
    // The alert of a sync that fails.
    bench.lake("ALTER TABLE companies RENAME COLUMN name TO title");
    server.post("/api/v1/syncs/companies/run", &json!({})).expect(200);
    server.until("the alert", |_| (door.reached() > before).then_some(()));
    assert_eq!(metadata.reached(), 0, "a redirect was followed");
}

#[test]
fn a_person_signs_in_and_tokens_are_refreshed_outside_only() {
    let (inside, name) = (Inside::listens("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), rebound_name());
    let bench = Bench::new();
    let snow = |host: &str| {
        format!(
            "version: 1\ntype: snowflake\naccount: acme\nhost: {host}\nport: {}\nauth: {{ method: oauth, client_id: a, refresh_token: secret:r }}\n",
            inside.port
        )
    };
    bench.write("connections/number.yaml", &snow("127.0.0.1"));
    bench.write("connections/name.yaml", &snow(&name));
    let server = Server::serve(&bench);
    server.put("/api/v1/secrets/r", &json!({ "value": "hunter2" })).expect(200);
    // Files written by hand, and yet: where a person signs in, and where the token is refreshed, is outside.
    let begun = server.post("/api/v1/connections/number/sign-in", &json!({})).expect(422).json();
    assert!(begun["error"]["message"].as_str().is_some_and(|text| text.contains("inside this network")), "{begun}");
    for connection in ["number", "name"] {
        let found = tested(&server, connection);
        assert!(found.contains("inside this network"), "{connection}: {found}");
    }
    assert_eq!(inside.reached(), 0, "somebody connected");
}

#[test]
fn a_secret_of_another_connection_is_not_lent() {
    let bench = Bench::new();
    bench.write("tidegate.yaml", "version: 1\nname: bench\nalerts: { webhook: \"secret:hook\" }\n");
    bench.write("connections/crm.yaml", "version: 1\ntype: planhat\ntoken: secret:crm\n");
    // The project's own secret has to be there before it is served.
    let mut set = bench.command(&["secrets", "set", "hook", "--quiet"]);
    let mut child = set.stdin(std::process::Stdio::piped()).spawn().expect("started");
    child.stdin.take().expect("stdin").write_all(b"https://hooks.example.org/x").expect("written");
    assert!(child.wait().expect("ended").success());
    let server = Server::serve(&bench);
    server.put("/api/v1/secrets/crm", &json!({ "value": "hunter2" })).expect(200);
    let evil = |secret: &str| format!("version: 1\ntype: planhat\ntoken: secret:{secret}\nurl: https://203.0.114.9\n");
    for (secret, whose) in [("crm", "crm"), ("hook", "tidegate.yaml")] {
        let error = save(&server, "evil", &evil(secret)).expect(422).json();
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains(whose)), "{error}");
    }
    // Nor in two steps: first the address, then the secret.
    let saved: Value = save(&server, "evil", &evil("own")).expect(200).json();
    let again = json!({ "text": evil("crm"), "hash": saved["hash"] });
    server.put("/api/v1/connections/evil/file", &again).expect(422);
    // To the same place it may go.
    save(&server, "second", "version: 1\ntype: planhat\ntoken: secret:crm\nusage: single\n").expect(200);
    assert_eq!(server.get("/api/v1/secrets").expect(200).json()["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn tidegates_own_files_are_no_settings() {
    let bench = Bench::new();
    let server = Server::serve(&bench);
    server.put("/api/v1/secrets/t", &json!({ "value": "hunter2" })).expect(200);
    for path in [".tidegate/state.db", ".tidegate/state.db.key", "./.tidegate/state.db"] {
        save(
            &server,
            "ph",
            &format!("version: 1\ntype: planhat\ntoken: \"${{file:{path}}}\"\nurl: https://203.0.114.9\n"),
        )
        .expect(200);
        let found = tested(&server, "ph");
        assert!(found.contains("keeps for itself"), "{path}: {found}");
        server.send("DELETE", "/api/v1/connections/ph/file", "", "").expect(200);
    }
}
