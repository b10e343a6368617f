//! An identity provider of npm's (`oidc-provider`), which `scripts/services` brings.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::driver::Browser;

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// An identity provider at work.
pub struct Identity {
    child: Child,
    /// It ends when this closes.
    _stdin: ChildStdin,
    said: Arc<Mutex<Vec<String>>>,
    /// Where it listens.
    pub port: u16,
    /// A proxy that leads there, whatever host is asked for.
    pub proxy: u16,
}

/// A free port, for who has to know it beforehand.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Identity {
    /// Starts one; see `provider.mjs` for what can be said of it.
    pub fn start(mut want: Value) -> Self {
        let library = std::env::var("TIDEGATE_TEST_OIDC").expect("TIDEGATE_TEST_OIDC, which `scripts/services` sets");
        want["library"] = json!(library);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/provider.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .env("NODE_NO_WARNINGS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node, which `scripts/services` asks for");
        let mut stdin = child.stdin.take().expect("stdin");
        writeln!(stdin, "{want}").expect("written");
        let said = Arc::new(Mutex::new(Vec::new()));
        let (lines, heard) = (BufReader::new(child.stdout.take().expect("stdout")).lines(), Arc::clone(&said));
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line)));
        let mut identity = Self { child, _stdin: stdin, said, port: 0, proxy: 0 };
        let line = identity.until("that it listens", |line| line.starts_with("listens "));
        let ports: Vec<u16> = line.split(' ').skip(1).map(|port| port.parse().expect("a port")).collect();
        (identity.port, identity.proxy) = (ports[0], ports[1]);
        identity
    }

    /// What it has said so far.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// How often it gave tokens for such a grant.
    pub fn granted(&self, grant: &str) -> usize {
        self.said().iter().filter(|line| **line == format!("grant {grant}")).count()
    }

    /// The first line of such a kind.
    pub fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            if let Some(line) = self.said().into_iter().find(|line| is(line)) {
                return line;
            }
            assert!(began.elapsed() < PATIENCE, "it does not say {what}: {:?}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Signs in on the provider's own pages, and consents.
pub fn sign_in_there(browser: &Browser, who: &str) {
    browser.until("document.querySelector('input[name=login]')");
    browser.js(&format!(
        "document.querySelector('input[name=login]').value = {}; document.querySelector('input[name=password]').value = 'any'; document.querySelector('form').requestSubmit()",
        json!(who)
    ));
    browser.until("document.querySelector('input[name=prompt][value=consent]')");
    browser.js("document.querySelector('form').requestSubmit()");
}
