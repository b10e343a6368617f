//! docs/operate.md does what it says: its commands are run, its files are read by what reads them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use super::bench::Bench;
use super::server::Server;
use super::yaml::documents;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate.md");
    std::fs::read_to_string(path).expect("docs/operate.md")
}

/// Blocks of a kind, in their order.
fn blocks(kind: &str) -> Vec<String> {
    let page = page();
    let fence = format!("```{kind}\n");
    let parts = page.split(&fence).skip(1).map(|part| part.split("```").next().unwrap_or(""));
    let all: Vec<String> = parts.map(str::to_owned).collect();
    assert!(!all.is_empty(), "docs/operate.md has no block of {kind}");
    all
}

/// The block of a kind that holds a text.
fn block(kind: &str, holds: &str) -> String {
    blocks(kind).into_iter().find(|block| block.contains(holds)).unwrap_or_else(|| panic!("no block with {holds}"))
}

/// Lines of shell blocks that begin with a program, without their remarks.
fn lines(program: &str) -> Vec<String> {
    let all = blocks("sh").join("\n");
    let own = all.lines().filter(|line| line.starts_with(program));
    own.map(|line| line.split(" #").next().unwrap_or("").trim().to_owned()).collect()
}

fn stdin(bench: &Bench, words: &[&str], text: &str) {
    let mut child = bench.command(words).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
    writeln!(child.stdin.take().expect("stdin"), "{text}").expect("written");
    assert!(child.wait().expect("ended").success(), "{words:?}");
}

/// A command as the page gives it, to where it ends or serves.
fn runs(bench: &Bench, words: &[&str]) {
    match words {
        ["serve", rest @ ..] => {
            let server =
                Server::start(&mut bench.command(&[&["--json", "serve", "--listen", "127.0.0.1:0"], rest].concat()));
            server.until("it to be ready", |server| (server.get("/readyz").code == 200).then_some(()));
            server.get("/healthz").expect(200);
            assert_eq!(server.stop(), Some(143));
        }
        // Its words are taken, and then it wants a state that several can share.
        ["work", ..] => drop(bench.run(words).expect(2).says(&["SQLite file"])),
        ["users", "add", ..] => stdin(bench, words, "correct horse battery staple"),
        _ => drop(bench.run(words).expect(0)),
    }
}

#[test]
fn every_command_of_the_page_is_taken() {
    let bench = Bench::with_companies();
    let commands = lines("tidegate ");
    assert!(commands.len() >= 11, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        runs(&bench, &words);
    }
    // Those of the containers and of the unit.
    let unit = block("ini", "ExecStart");
    let unit =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/tidegate ")).expect("a command");
    let mut all = vec![unit.split_whitespace().map(str::to_owned).collect::<Vec<_>>()];
    let compose = documents(&block("yaml", "pg_isready")).remove(0);
    let services = compose["services"].as_object().expect("services");
    let manifests = documents(&block("yaml", "apiVersion"));
    let containers =
        manifests.iter().flat_map(|one| one["spec"]["template"]["spec"]["containers"].as_array()).flatten();
    for container in services.values().chain(containers) {
        let words = container["command"].as_array().into_iter().flatten().skip(1);
        all.push(words.map(|word| word.as_str().expect("a word").to_owned()).collect());
    }
    let all: Vec<_> = all.into_iter().filter(|words| !words.is_empty()).collect();
    assert_eq!(all.len(), 5, "the unit, two of compose, two of Kubernetes: {all:?}");
    for words in all {
        let [project, place, rest @ ..] = &words[..] else { panic!("{words:?}") };
        assert!(project == "--project" && place.starts_with('/'), "{words:?}");
        let listen = rest.iter().position(|word| word == "--listen");
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let rest = match listen {
            Some(at) => [&rest[..at], &rest[at + 2..]].concat(),
            None => rest,
        };
        runs(&bench, &rest);
    }
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("tidegate.service");
    let text = block("ini", "ExecStart").replace("/usr/local/bin/tidegate", env!("CARGO_BIN_EXE_tidegate"));
    std::fs::write(&unit, text).expect("written");
    match Command::new("systemd-analyze").arg("verify").arg(&unit).output() {
        Ok(done) => {
            let told = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.success() && !told.contains("tidegate.service"), "{told}");
        }
        Err(error) => println!("systemd-analyze cannot be started ({error}): the unit was not verified by it"),
    }
}

#[test]
fn calls_of_the_page_are_answered_and_probes_are_where_it_says() {
    let bench = Bench::with_companies();
    let token = bench.run(&["--json", "tokens", "add", "other", "--scope", "run"]).expect(0).json();
    let server = Server::serve(&bench);
    let calls = lines("curl ");
    assert_eq!(calls.len(), 3, "{calls:?}");
    for call in calls {
        let here = format!("http://{}", server.address);
        let call = call.replace("https://sync.example.org", &here).replace("localhost:8080", &server.address);
        let script = format!("set -e; {} --fail --noproxy '*' --max-time 60", call);
        let mut shell = Command::new("bash");
        let done = shell.args(["-c", &script]).env("TOKEN", token[0]["secret"].as_str().expect("a token")).output();
        let done = done.expect("bash and curl");
        assert!(done.status.success(), "{call}: {}", String::from_utf8_lossy(&done.stderr));
        let _json: Json = serde_json::from_slice(&done.stdout).expect("JSON");
    }
    let mut probes = 0;
    for one in documents(&block("yaml", "apiVersion")) {
        for container in one["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten() {
            for probe in ["livenessProbe", "readinessProbe"] {
                if let Some(path) = container[probe]["httpGet"]["path"].as_str() {
                    server.until("the probe to be answered", |server| (server.get(path).code == 200).then_some(()));
                    probes += 1;
                }
            }
        }
    }
    assert_eq!(probes, 2);
}

#[test]
fn rules_for_alerts_ask_for_metrics_that_there_are() {
    let bench = Bench::with_companies();
    let server = Server::serve(&bench);
    server.post("/api/v1/syncs/companies/run", &serde_json::json!({})).expect(200);
    server.run_ended("companies", 0);
    let rules = documents(&block("yaml", "TidegateSyncFailing")).remove(0);
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), 3);
    for rule in rules {
        let expr = rule["expr"].as_str().expect("an expression");
        let names = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> = names.filter(|word| word.starts_with("tidegate_")).collect();
        assert!(!names.is_empty(), "{expr}");
        for name in names {
            server.until(name, |server| {
                let metrics = server.get("/metrics").expect(200).body;
                let is = |line: &str| line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{name}{{"));
                metrics.lines().any(is).then_some(())
            });
        }
    }
}

#[test]
fn the_settings_of_the_page_are_taken() {
    let bench = Bench::with_companies();
    let settings = block("yaml", "public_url");
    bench.write("tidegate.yaml", &format!("version: 1\nname: bench\n{settings}"));
    bench.run(&["check"]).expect(0);
    let mut serve = bench.command(&["serve"]);
    let done: super::bench::Done =
        serve.env("ALERT_URL", "https://hooks.example.org/x").output().expect("started").into();
    done.expect(2).says(&["oidc"]);
}
