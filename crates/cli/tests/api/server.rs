//! A `serve` at work, and requests to it as bytes: an attacker sends what a client library would not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bench::Bench;

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A process that is killed with the value.
pub struct Server {
    child: Child,
    pub address: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.head, self.body);
        self
    }
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}:");
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&start))?;
        Some(line[start.len()..].trim())
    }
}

impl Server {
    /// Starts a command that prints where it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let mut log = BufReader::new(child.stderr.take().expect("stderr"));
        if line.is_empty() {
            let mut text = String::new();
            log.read_to_string(&mut text).expect("text");
            panic!("it did not start: {text}");
        }
        // Its log must be read, or it stands still once the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let told: Value = serde_json::from_str(&line).expect("JSON");
        Self { child, address: told["listen"].as_str().expect("an address").to_owned() }
    }
    /// The same, its log to a file.
    #[allow(dead_code, reason = "the tests of the twins use it")]
    pub fn logged(command: &mut Command, log: &std::path::Path) -> Self {
        let log = std::fs::File::create(log).expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        Self { child, address: told["listen"].as_str().expect("an address").to_owned() }
    }
    /// `serve` on a bench.
    pub fn serve(bench: &Bench) -> Self {
        Self::start(&mut bench.command(&["--json", "serve", "--listen", "127.0.0.1:0"]))
    }
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid")
    }
    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("asked").is_some()
    }
    /// Sends a signal and waits for the end; the exit code.
    pub fn stop(mut self) -> Option<i32> {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).expect("sent");
        self.child.wait().expect("ended").code()
    }

    /// Sends a request as it is.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.write_all(request).expect("it reads");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { dechunked(body) } else { body.to_owned() };
        Answer { code, head: head.to_owned(), body }
    }
    /// A request with these headers.
    pub fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        self.raw(&[head.as_bytes(), body.as_bytes()].concat())
    }
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "")
    }
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "Content-Type: application/json\r\n", &body.to_string())
    }
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, "Content-Type: application/json\r\n", &body.to_string())
    }
    /// Looks until something is there.
    #[track_caller]
    pub fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{what} did not come");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    /// The newest run of a sync once it has ended.
    #[track_caller]
    pub fn run_ended(&self, sync: &str, before: usize) -> Value {
        self.until("the end of a run", |server| {
            let runs = server.get(&format!("/api/v1/runs?sync={sync}")).expect(200).json();
            let items = runs["items"].as_array().expect("a list").clone();
            (items.len() > before && items[0]["finished_at"].is_string()).then(|| items[0].clone())
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, after `stop`.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn dechunked(body: &str) -> String {
    let mut out = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size || !after.is_char_boundary(size) {
            break;
        }
        out.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").unwrap_or("");
    }
    out
}
