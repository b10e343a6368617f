//! `tidegate auth`: a browser's way there and back, by itself and by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::bench::{Bench, Done, rows};
use super::provider::{CLIENT, Provider, agree};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A project whose warehouse is the account that the stand-in signs people in to.
fn bench(provider: &Provider) -> Bench {
    let bench = Bench::new();
    let port = provider.base.rsplit(':').next().expect("a port");
    bench.write(
        "connections/flake.yaml",
        &format!(
            "version: 1\ntype: snowflake\naccount: acme\nhost: 127.0.0.1\nport: {port}\nprotocol: http\nrole: SYNC\n\
             database: DB\nauth: {{ method: oauth, client_id: {}, client_secret: \"{}\" }}\n",
            CLIENT.0, CLIENT.1
        ),
    );
    bench
}

struct Started {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Started {
    fn of(bench: &Bench, args: &[&str]) -> Self {
        let mut command = bench.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let lines = BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, lines }
    }

    /// What it tells the person: redirect URI and address.
    fn told(&mut self) -> (String, String) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name: &str| told[name].as_str().expect(name).to_owned();
        (text("redirect_uri"), text("authorize_url"))
    }

    fn end(mut self, typed: &str) -> Done {
        self.child.stdin.take().expect("stdin").write_all(typed.as_bytes()).expect("typed");
        let mut stdout = String::new();
        self.lines.read_to_string(&mut stdout).expect("text");
        let output = self.child.wait_with_output().expect("ended");
        let stderr = String::from_utf8(output.stderr).expect("text");
        Done { code: output.status.code().unwrap_or(-1), stdout, stderr }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").port()
}

#[test]
fn the_browser_comes_back_by_itself() {
    let back = format!("http://127.0.0.1:{}/oauth/callback", free_port());
    let runtime = runtime();
    let provider = runtime.block_on(Provider::start(&back));
    let bench = bench(&provider);
    let mut auth = Started::of(&bench, &["auth", "flake", "--redirect-uri", &back, "--json"]);
    let (redirect_uri, url) = auth.told();
    assert_eq!(redirect_uri, back);
    assert!(
        url.contains("code_challenge_method=S256") && url.contains("scope=refresh_token+session%3Arole%3ASYNC"),
        "{url}"
    );
    runtime.block_on(async {
        let http = tidegate_net::http::Http::default().client().expect("a client");
        // Whoever sends the browser here with a code of their own gets nowhere, and ends nothing.
        let planted = http.get(format!("{back}?code=planted&state=guess")).send().await.expect("an answer");
        assert_eq!(planted.status(), 400);
        assert!(planted.text().await.expect("text").contains("another attempt"));
        let done = http.get(agree(&url).await).send().await.expect("an answer");
        assert_eq!(done.status(), 200);
    });
    let done = auth.end("").expect(0);
    let line = &done.json()[0];
    assert_eq!((line["connection"].as_str(), line["signed_in"].as_bool()), (Some("flake"), Some(true)));
    assert!(line["until"].as_str().is_some_and(|until| until.starts_with("20")), "{line}");
    // Kept sealed, under a name that people see.
    let kept = rows(&bench.path(".tidegate/state.db"), "SELECT name FROM secrets");
    assert_eq!(kept, ["oauth.flake"]);
    let state = std::fs::read(bench.path(".tidegate/state.db")).expect("the state");
    assert!(!state.windows(8).any(|bytes| bytes == b"refresh-"), "a refresh token in clear");
    let tokens = provider.books();
    assert_eq!(
        (tokens.calls.as_slice(), tokens.refresh_tokens.len()),
        (["authorization_code".to_owned()].as_slice(), 1)
    );
}

#[test]
fn a_pasted_answer_is_checked_before_it_is_used() {
    let back = "https://tidegate.example/oauth/callback";
    let runtime = runtime();
    let provider = runtime.block_on(Provider::start(back));
    let bench = bench(&provider);
    bench.write("tidegate.yaml", "version: 1\nname: bench\nserve: { public_url: \"https://tidegate.example/\" }\n");
    bench.run(&["auth", "flake"]).expect(2).says(&["cannot listen", "--paste"]);
    let paste = || {
        let mut auth = Started::of(&bench, &["auth", "flake", "--paste", "--json"]);
        let (redirect_uri, url) = auth.told();
        assert_eq!(redirect_uri, back);
        (auth, url)
    };
    let (first, url) = paste();
    let answer = runtime.block_on(agree(&url));
    first.end(&answer).expect(0);
    // The answer of one attempt is none of the next.
    let (second, _) = paste();
    second.end(&answer).expect(1).says(&["another attempt"]);
    let (third, url) = paste();
    let back = runtime.block_on(agree(&url));
    let state = back.split("state=").nth(1).expect("a state");
    third
        .end(&format!("{}?code=used&state={state}", "https://tidegate.example/oauth/callback"))
        .expect(1)
        .says(&["sign in to flake: refused", "a code is good once"]);
    let (fourth, _) = paste();
    fourth.end("\n").expect(2).says(&["empty"]);
}

#[test]
fn nobody_signs_in_to_what_logs_in_by_itself() {
    let bench = Bench::new();
    for name in ["lake", "crm"] {
        bench.run(&["auth", name]).expect(2).says(&["logs in with what its file says", "method: oauth"]);
    }
    bench.run(&["auth", "lkae"]).expect(2).says(&["lkae"]);
}

#[test]
fn a_connection_that_nobody_signed_in_to_says_so() {
    let runtime = runtime();
    let provider = runtime.block_on(Provider::start("http://127.0.0.1:8080/oauth/callback"));
    let bench = bench(&provider);
    let check = bench.run(&["check", "flake"]).expect(1);
    assert!(
        check.stdout.contains("needs attention") && check.stdout.contains("tidegate auth flake"),
        "{}",
        check.stdout
    );
}
