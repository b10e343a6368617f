//! The doors, as somebody tries them who should not come in.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::bench::Bench;
use super::server::{Answer, Server};

const PASSWORD: &str = "correct horse battery staple";

fn with_user(role: &str) -> Bench {
    let bench = Bench::with_companies();
    let mut child = bench
        .command(&["users", "add", "ada", "--role", role])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    writeln!(child.stdin.take().expect("stdin"), "{PASSWORD}").expect("written");
    assert!(child.wait().expect("ended").success());
    bench
}

fn token(bench: &Bench, name: &str, scope: &str) -> String {
    let done = bench.run(&["--json", "tokens", "add", name, "--scope", scope]).expect(0);
    format!("Authorization: Bearer {}\r\n", done.json()[0]["secret"].as_str().expect("a token"))
}

fn sign_in(server: &Server, name: &str, password: &str) -> Answer {
    let body = json!({ "name": name, "password": password }).to_string();
    server.send("POST", "/sign-in", "Content-Type: application/json\r\n", &body)
}

/// The cookie header and the CSRF mark of a session.
fn session(server: &Server) -> (String, String) {
    let answer = sign_in(server, "ada", PASSWORD).expect(200);
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().expect("a pair"));
    let me = server.send("GET", "/api/v1/me", &cookie, "").expect(200).json();
    (cookie, me["csrf"].as_str().expect("a mark").to_owned())
}

#[test]
fn nobody_comes_in_without_signing_in() {
    let bench = with_user("admin");
    let server = Server::serve(&bench);
    for path in ["/api/v1/syncs", "/api/v1/runs", "/api/v1/secrets", "/api/v1/tokens", "/api/v1/audit", "/metrics"] {
        server.get(path).expect(401);
        server.send("GET", path, "Authorization: Bearer tgt_wrong\r\n", "").expect(401);
        server.send("GET", path, "Cookie: tidegate=wrong\r\n", "").expect(401);
        server.send("GET", path, "Authorization: Basic YWRhOng=\r\n", "").expect(401);
    }
    server.post("/api/v1/syncs/companies/run", &json!({})).expect(401);
    server.get("/healthz").expect(200);
    server.get("/readyz");
    let wrong = sign_in(&server, "ada", "wrong password it is").expect(401);
    let nobody = sign_in(&server, "nobody", "wrong password it is").expect(401);
    assert_eq!(wrong.body, nobody.body, "it does not say whether there is such a user");
}

#[test]
fn guessing_is_slowed_down() {
    let bench = with_user("admin");
    let server = Server::serve(&bench);
    for _ in 0..5 {
        sign_in(&server, "ada", "guess guess guess").expect(401);
    }
    let answer = sign_in(&server, "ada", PASSWORD).expect(429);
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{}", answer.head);
    // From this address also under another name.
    sign_in(&server, "bob", "guess guess guess").expect(429);
}

#[test]
fn another_page_cannot_use_a_session() {
    let bench = with_user("admin");
    let server = Server::serve(&bench);
    let (cookie, csrf) = session(&server);
    let run = "/api/v1/syncs/companies/pause";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for headers in [cookie.clone(), format!("{cookie}X-CSRF-Token: wrong\r\n"), format!("{cookie}{form}")] {
        let error = server.send("POST", run, &headers, "").expect(403).json();
        assert_eq!(error["error"]["code"], "csrf");
    }
    server.send("POST", run, &format!("{cookie}{form}"), "_csrf=wrong").expect(403);
    for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
        let headers = format!("{cookie}X-CSRF-Token: {csrf}\r\nOrigin: {origin}\r\n");
        server.send("POST", run, &headers, "").expect(403);
    }
    let crossed = format!("{cookie}X-CSRF-Token: {csrf}\r\nSec-Fetch-Site: cross-site\r\n");
    server.send("POST", run, &crossed, "").expect(403);
    server.send("POST", run, &format!("{cookie}X-CSRF-Token: {csrf}\r\n"), "").expect(200);

    // A form goes back to its page, and to no other server's, whatever it says.
    let send = |back: &str| {
        let body = format!("_csrf={csrf}&_back={back}");
        server.send("POST", run, &format!("{cookie}{form}"), &body).expect(303)
    };
    assert_eq!(send("%2Fsyncs%2Fcompanies").header("location"), Some("/syncs/companies"));
    for evil in
        ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%0d%0aSet-Cookie%3A%20a%3Db", "%2F%5Cevil.example"]
    {
        let answer = send(evil);
        assert_eq!(answer.header("location"), Some("/"), "{evil}");
        assert!(answer.header("set-cookie").is_none(), "{}", answer.head);
    }
    server.send("POST", "/sign-out", &format!("{cookie}X-CSRF-Token: {csrf}\r\n"), "").expect(303);
    server.send("GET", "/api/v1/me", &cookie, "").expect(401);
}

#[test]
fn a_role_and_a_scope_allow_what_they_say_and_no_more() {
    let bench = with_user("viewer");
    let (read, run, edit) = (token(&bench, "r", "read"), token(&bench, "u", "run"), token(&bench, "e", "edit"));
    let server = Server::serve(&bench);
    let (cookie, csrf) = session(&server);
    let viewer = format!("{cookie}X-CSRF-Token: {csrf}\r\n");
    let call = |who: &str, method: &str, path: &str, body: &Value| {
        server.send(method, path, &format!("{who}Content-Type: application/json\r\n"), &body.to_string()).code
    };
    let pause = ("POST", "/api/v1/syncs/companies/pause", json!({}));
    let file = ("PUT", "/api/v1/secrets/s", json!({ "value": "x" }));
    let users = ("PUT", "/api/v1/tokens/more", json!({ "scope": "edit" }));
    for (who, codes) in [
        (&read, [200, 403, 403, 403]),
        (&viewer, [200, 403, 403, 403]),
        (&run, [200, 200, 403, 403]),
        (&edit, [200, 200, 200, 403]),
    ] {
        let seen = [
            call(who, "GET", "/api/v1/syncs", &json!({})),
            call(who, pause.0, pause.1, &pause.2),
            call(who, file.0, file.1, &file.2),
            call(who, users.0, users.1, &users.2),
        ];
        assert_eq!(seen, codes);
    }
    server.send("GET", "/metrics", &read, "").expect(200);
    bench.run(&["tokens", "rm", "r"]).expect(0);
    assert_eq!(call(&read, "GET", "/api/v1/syncs", &json!({})), 401, "it holds no longer");
    assert!(!bench.run(&["--json", "tokens", "list"]).expect(0).stdout.contains("tgt_"));
}

#[test]
fn paths_and_headers_lead_nowhere_else() {
    let bench = Bench::with_companies();
    let server = Server::serve(&bench);
    for name in
        ["..%2f..%2ftidegate", "..%2Fconnections%2Fcrm", "%2e%2e", "a%00b", "%2fetc%2fpasswd", "a%0d%0aX-Evil:%201"]
    {
        for path in [format!("/api/v1/syncs/{name}/file"), format!("/api/v1/connections/{name}/file")] {
            let answer = server.get(&path);
            assert!(matches!(answer.code, 404 | 422), "{path}: {answer:?}");
            assert!(
                !answer.body.contains("version: 1") && !answer.head.to_lowercase().contains("x-evil"),
                "{answer:?}"
            );
            let answer = server.put(&path, &json!({ "text": "version: 1\n" }));
            assert!(matches!(answer.code, 404 | 422), "{path}: {answer:?}");
        }
    }
    assert_eq!(
        server.raw(b"GET /api/v1/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").code,
        404
    );
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1:80@evil.example"] {
        server.send("GET", "/api/v1/secrets", &format!("Host: {host}\r\n"), "").expect(403);
    }
    let answer = server.get("/api/v1/syncs").expect(200);
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe-inline"), "{policy}");
    for (name, value) in
        [("x-frame-options", "DENY"), ("x-content-type-options", "nosniff"), ("cache-control", "no-store")]
    {
        assert_eq!(answer.header(name), Some(value));
    }
    let large = "x".repeat(9 * 1024 * 1024);
    let answer = server.send("PUT", "/api/v1/syncs/companies/file", "Content-Type: application/json\r\n", &large);
    assert!(matches!(answer.code, 413 | 0), "{}", answer.code);
    server.get("/api/v1/syncs").expect(200);
}

#[test]
fn beyond_this_machine_nobody_is_let_in_unknown() {
    let bench = Bench::with_companies();
    bench.run(&["serve", "--listen", "0.0.0.0:0"]).expect(2).says(&["nobody can sign in", "users add"]);
    bench.write("tidegate.yaml", "version: 1\nname: bench\nserve: { public_url: \"https://sync.example.org\" }\n");
    bench.run(&["serve", "--listen", "127.0.0.1:0"]).expect(2).says(&["nobody can sign in"]);
    let bench = with_user("admin");
    let server = Server::start(&mut bench.command(&["--json", "serve", "--listen", "0.0.0.0:0"]));
    let port = server.address.rsplit_once(':').expect("a port").1.to_owned();
    let headers = format!("Host: 127.0.0.1:{port}\r\n");
    server.send("GET", "/api/v1/syncs", &headers, "").expect(401);
    server.send("GET", "/api/v1/syncs", "Host: evil.example\r\n", "").expect(403);
}
