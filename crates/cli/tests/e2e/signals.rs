//! SIGTERM and SIGINT: a clean end within ten seconds, and the next run goes on from there.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::bench::Bench;

/// Enough to be busy for longer than it takes to send a signal.
const EVENTS: u32 = 400_000;
const PATIENCE: Duration = Duration::from_secs(10);

fn send(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).expect("sent");
}

fn ends_with(mut child: Child, code: i32) {
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        assert!(asked.elapsed() < PATIENCE, "still at work {PATIENCE:?} after the signal");
        std::thread::sleep(Duration::from_millis(10));
    };
    let output = child.wait_with_output().expect("read");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(status.code(), Some(code), "{} {shown}", String::from_utf8_lossy(&output.stdout));
}

fn stopped_and_resumed(signal: rustix::process::Signal, code: i32) {
    let bench = Bench::with_usage(EVENTS);
    bench.run(&["run", "companies"]).expect(0);
    let run = bench.command(&["run", "usage", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let run = run.expect("started");
    let began = Instant::now();
    while !bench.run(&["runs", "usage", "--json"]).stdout.contains("\"status\":\"running\"") {
        assert!(began.elapsed() < PATIENCE, "the run was never seen at work");
    }
    send(&run, signal);
    ends_with(run, code);
    let stopped = bench.run(&["runs", "usage", "--json"]).expect(0).json();
    assert_eq!(stopped[0]["status"], "cancelled", "{stopped:?}");
    bench.run(&["run", "usage"]).expect(0);
    assert_eq!(
        bench.hub_rows("SELECT count(*), count(DISTINCT key) FROM hub_activity"),
        [format!("{EVENTS}|{EVENTS}")]
    );
}

#[test]
fn sigterm_ends_a_run_with_143_and_the_next_goes_on() {
    stopped_and_resumed(rustix::process::Signal::TERM, 143);
}

#[test]
fn sigint_ends_a_run_with_130_and_the_next_goes_on() {
    stopped_and_resumed(rustix::process::Signal::INT, 130);
}

#[test]
fn serve_runs_what_is_due_and_ends_with_143() {
    use std::io::{BufRead, BufReader, Read, Write};
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0); // two-way automation waits for one settled full run
    let sync = std::fs::read_to_string(bench.path("syncs/companies.yaml")).unwrap();
    bench.write("syncs/companies.yaml", &format!("{sync}schedule: {{ every: 1m }}\n"));
    let mut serve = bench
        .command(&["serve", "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(serve.stdout.take().unwrap()).read_line(&mut line).expect("its address");
    let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let mut http = std::net::TcpStream::connect(told["listen"].as_str().unwrap()).expect("connected");
    write!(http, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("asked");
    let mut answer = String::new();
    http.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    send(&serve, rustix::process::Signal::TERM);
    ends_with(serve, 143);
}
