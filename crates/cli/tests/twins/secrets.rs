//! Planted credentials are nowhere: not in what commands print, not in the log at its loudest, not in pages and answers
//! of `serve`, not in the state and its copies, and not in what a panic or a kill leaves behind – even where the
//! platform repeats them in its answers.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value as Json, json};
use tidegate_twins::{Fault, Knobs, Running, Step};

use super::bench::{Bench, Done};
use super::desk::SECRET;
use super::lab::{self, quiet, stands_in};
use super::server::Server;
use super::{batch, http};

/// Most pages that are looked at.
const PAGES_MAX: usize = 150;

/// A project, its platform, and what must be nowhere.
struct Planted<'a> {
    bench: &'a Bench,
    twin: &'a Running,
    sync: &'a str,
    secret: &'a str,
    /// Changes a row, so that there is something to send.
    touch: &'a str,
}

impl Planted<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.bench.command(words);
        command.env("PLANTED", self.secret).env("TIDEGATE_LOG", "trace").env("RUST_BACKTRACE", "full");
        command
    }

    /// Runs a command; what it prints is looked at.
    #[track_caller]
    fn run(&self, words: &[&str], failpoint: &str) -> Done {
        let done: Done = self.command(words).env("TIDEGATE_FAILPOINT", failpoint).output().expect("started").into();
        for text in [&done.stdout, &done.stderr] {
            assert!(!text.contains(self.secret), "{words:?} {failpoint} prints it: {text}");
        }
        done
    }

    fn answers(&self, script: Vec<Step>) {
        self.twin.turn(Knobs { script, ..quiet() });
    }

    fn touched(&self) {
        self.bench.lake(self.touch);
    }

    /// Answers that refuse, break off, and say the credential again.
    fn refused(&self) {
        let words = format!("the key {} is not known", self.secret);
        let echo =
            json!({ "error_code": words, "error_message": words, "message": words, "error": { "message": words } });
        let partial = json!({ "code": "SUCCESS_WITH_PARTIAL_ERRORS", "errors": [{ "bulk_index": 0, "reason": words }],
            "createdErrors": [words], "updatedErrors": [words], "results": [{ "key": "C1", "status": 422, "error": words }] });
        let token = json!({ "error": "invalid_client", "error_description": words });
        let faults = [
            Fault::Status(401),
            Fault::Cut,
            Fault::Instead(400, echo.to_string()),
            Fault::Instead(401, echo.to_string()),
            Fault::Instead(403, echo.to_string()),
            Fault::Instead(418, words),
            Fault::Instead(200, partial.to_string()),
        ];
        for fault in faults {
            let times = if fault == Fault::Cut { 2 } else { 99 };
            let step = |method: &str| Step { times, ..Step::next(method, "", fault.clone()) };
            let sign_in = Step { times: 99, ..Step::next("POST", "/token", Fault::Instead(400, token.to_string())) };
            let sign_in = (fault == Fault::Status(401)).then_some(sign_in);
            self.touched();
            self.answers(sign_in.into_iter().chain(["POST", "PUT", "PATCH"].map(step)).collect());
            let done = self.run(&["run"], "");
            assert!([0, 1, 3].contains(&done.code), "{fault:?}: {}", done.stderr);
            self.run(&["check"], "");
            self.run(&["rejects"], "");
        }
    }

    /// Processes that fall over with an answer in hand, and what they leave.
    fn crashed(&self) {
        self.answers(Vec::new());
        for (point, code) in [("panic@deliver.sent_platform", 1), ("deliver.sent_platform", -1)] {
            self.touched();
            let report = self.run(&["run"], point);
            assert_eq!(report.code, code, "{point}: {}", report.stderr);
            let told = report.stderr.contains("panicked at") && report.stderr.contains("stack backtrace");
            assert!(code != 1 || told, "{}", report.stderr);
            assert_eq!(stands_in(self.bench.root(), self.secret), Vec::<String>::new(), "{point}");
            // What such a process sent may still arrive, so the sync is free in a minute only: another state, then.
            std::fs::remove_dir_all(self.bench.path(".tidegate")).expect("removed");
            let after = self.run(&["run"], "");
            assert!([0, 3].contains(&after.code), "{point}: {}", after.stderr);
        }
    }

    /// All pages and all answers of `serve`, after a run of it that failed and one that panicked.
    fn served(&self) {
        let mut serve = self.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
        let log = self.bench.path("serve.log");
        let server = Server::logged(serve.env("TIDEGATE_FAILPOINT", "panic@deliver.answered_platform"), &log);
        self.touched();
        server.post(&format!("/api/v1/syncs/{}/run", self.sync), &json!({})).expect(200);
        let panicked = || std::fs::read_to_string(&log).expect("a log").contains("panicked at");
        server.until("a panic", |_| panicked().then_some(()));
        let look = |path: &str| {
            let answer = server.get(path);
            assert!(!answer.body.contains(self.secret) && !answer.head.contains(self.secret), "{path} shows it");
            answer
        };
        let runs = look("/api/v1/runs").json();
        let run = runs["items"][0]["run"].as_str().unwrap_or("none").to_owned();
        let api: Json = serde_json::from_str(include_str!("../../../../docs/openapi.json")).expect("JSON");
        let paths = api["paths"].as_object().expect("paths").iter().filter(|(_, one)| one.get("get").is_some());
        for (path, _) in paths {
            let path = path.replace("{sync}", self.sync).replace("{connection}", "crm").replace("{run}", &run);
            look(&path);
        }
        let (mut seen, mut next) = (BTreeSet::new(), vec!["/".to_owned()]);
        while let Some(path) = next.pop() {
            if seen.len() >= PAGES_MAX || !seen.insert(path.clone()) {
                continue;
            }
            let links = look(&path).body;
            let links = links.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
            next.extend(links.filter(|link| link.starts_with('/')).map(|link| link.replace("&amp;", "&")));
        }
        assert!(seen.len() > 12, "{seen:?}");
        assert_eq!(server.stop(), Some(143));
    }

    fn nowhere(&self) {
        self.run(&["run"], "").expect(0);
        self.refused();
        self.crashed();
        self.served();
        for words in [
            &["discover", "crm"][..],
            &["plan", self.sync],
            &["why", self.sync, "C1"],
            &["runs", "--json"],
            &["state", "backup", "copy.db"],
        ] {
            self.run(words, "");
        }
        assert!(self.bench.path("copy.db").exists() && self.bench.path("serve.log").exists());
        assert_eq!(stands_in(self.bench.root(), self.secret), Vec::<String>::new());
    }
}

const TOUCH: &str = "UPDATE companies SET phase = coalesce(phase, '') || 'x'";

#[test]
fn the_token_of_planhat_is_nowhere() {
    let lab = lab::Lab::new(quiet());
    Planted { bench: &lab.bench, twin: &lab.twin, sync: "companies", secret: lab::TOKEN, touch: TOUCH }.nowhere();
}

#[test]
fn the_key_of_batch_is_nowhere() {
    let lab = batch::Lab::new(quiet());
    lab.bench.lake("INSERT INTO profiles VALUES ('C1', 'a@x.com', 'free', 1, '2026-01-01', NULL)");
    let touch = "UPDATE profiles SET plan = plan || 'x'";
    Planted { bench: &lab.bench, twin: &lab.twin, sync: "profiles", secret: batch::KEY, touch }.nowhere();
}

#[test]
fn the_credentials_of_http_are_nowhere() {
    for connection in [http::BY_KEY, http::BY_ID, http::BULK] {
        let lab = http::Lab::new(quiet(), connection);
        Planted { bench: &lab.bench, twin: &lab.twin, sync: "companies", secret: SECRET, touch: TOUCH }.nowhere();
    }
}
