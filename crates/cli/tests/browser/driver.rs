//! As much of WebDriver as these tests need, over plain HTTP.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// A browser with one window.
pub struct Browser {
    chromedriver: Child,
    /// The browser's own folder, whose path is in the arguments of each of its processes.
    profile: tempfile::TempDir,
    port: u16,
    session: String,
}

/// The port that chromedriver chose for itself: one that we had looked for could be another test's by now.
fn port_of(chromedriver: &mut Child) -> u16 {
    let said = std::io::BufReader::new(chromedriver.stdout.take().expect("its output"));
    let mut before = Vec::new();
    for line in said.lines() {
        let line = line.expect("text");
        if let Some(port) = line.split("successfully on port ").nth(1) {
            return port.trim_end_matches('.').parse().expect("a port");
        }
        before.push(line);
    }
    panic!("chromedriver does not start:\n{}", before.join("\n"));
}

impl Browser {
    /// Opens one, as wide and in such colours.
    pub fn open(width: u32, height: u32, dark: bool) -> Self {
        Self::open_with(width, height, dark, &[])
    }

    /// The same, with further words for Chromium.
    pub fn open_with(width: u32, height: u32, dark: bool, more: &[&str]) -> Self {
        let mut chromedriver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, which `scripts/services start` installs");
        let port = port_of(&mut chromedriver);
        let profile = tempfile::tempdir().expect("a folder");
        let folder = format!("--user-data-dir={}", profile.path().display());
        let mut browser = Self { chromedriver, profile, port, session: String::new() };
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-breakpad",
            "--hide-scrollbars",
            &folder,
        ];
        let args = [&args[..], more].concat();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" }
        } } });
        let made = browser.call("POST", "/session", &wanted);
        browser.session = format!("/session/{}", made["sessionId"].as_str().expect("a session"));
        let colours = if dark { "dark" } else { "light" };
        browser.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] }),
        );
        browser.size(width, height);
        browser
    }

    /// Changes the window's size.
    pub fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("sent");
        let mut answer = Vec::new();
        let mut piece = [0; 65_536];
        // It keeps the connection open, whatever it is asked: the length says where the answer ends.
        loop {
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
                let length = head
                    .split("content-length:")
                    .nth(1)
                    .and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
                if length.is_some_and(|length| answer.len() >= end + 4 + length) {
                    let read: Value = serde_json::from_slice(&answer[end + 4..]).expect("JSON");
                    assert!(
                        read["value"].get("error").is_none_or(Value::is_null),
                        "{method} {path}: {}",
                        read["value"]
                    );
                    return read["value"].clone();
                }
            }
            let got = stream.read(&mut piece).expect("an answer in time");
            assert!(got > 0, "chromedriver hung up: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..got]);
        }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, params: Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    /// Goes to a page.
    pub fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs a script and answers what it returns.
    pub fn js(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a script that calls `done`.
    pub fn js_later(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let began = Instant::now();
        while self.js(&format!("return Boolean({expression})")) != json!(true) {
            let page = || self.js("return location.href + ' ' + document.body.innerText.slice(0, 1500)");
            assert!(began.elapsed() < PATIENCE, "never true: {expression}\n{}", page());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks the button or link of this name, as a person would: it has to be there and to be seen, and a button that is still
    /// at work is waited for.
    #[track_caller]
    pub fn click(&self, name: &str) {
        let find = format!(
            "[...document.querySelectorAll('button, a, summary')].find(e => e.innerText.replace(/\\s+/g, ' ').trim().startsWith({}) && e.offsetParent && !e.disabled)",
            json!(name)
        );
        self.until(&find);
        self.js(&format!("const e = {find}; e.scrollIntoView({{ block: 'center' }}); e.click()"));
    }

    /// Writes into a field, or chooses.
    #[track_caller]
    pub fn fill(&self, id: &str, value: &str) {
        let find = format!("document.getElementById({})", json!(id));
        self.until(&find);
        let set = "e.dispatchEvent(new Event('input', { bubbles: true })); e.dispatchEvent(new Event('change', { bubbles: true }))";
        self.js(&format!("const e = {find}; e.value = {}; {set}", json!(value)));
        assert_eq!(self.js(&format!("return {find}?.value ?? {}", json!(value))), json!(value), "{id} takes {value}");
    }

    /// Chooses something that makes the page ask again, and waits for the new page.
    #[track_caller]
    pub fn choose(&self, id: &str, value: &str) {
        self.js("window.before = true");
        self.fill(id, value);
        self.until("!window.before && document.readyState === 'complete'");
    }

    /// Presses keys.
    pub fn keys(&self, keys: &str) {
        let each: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [
                    json!({ "type": "keyDown", "value": key.to_string() }),
                    json!({ "type": "keyUp", "value": key.to_string() }),
                ]
            })
            .collect();
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": each }] }));
    }

    /// What the browser noted: `browser` for the console, `performance` for what it did.
    pub fn log(&self, kind: &str) -> Vec<Value> {
        self.post("/se/log", &json!({ "type": kind })).as_array().cloned().unwrap_or_default()
    }

    /// The whole page as a picture.
    pub fn picture(&self) -> Vec<u8> {
        use base64::Engine;
        let taken = self.devtools("Page.captureScreenshot", json!({ "format": "png" }));
        base64::prelude::BASE64_STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &self.session, &json!({}));
        }
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
        // A session that was not ended leaves its browser behind, in a process group of its own.
        for pid in using(self.profile.path()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// The processes that were started with a path in their arguments.
fn using(folder: &std::path::Path) -> Vec<rustix::process::Pid> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let arguments = std::fs::read(process.path().join("cmdline")).ok()?;
            let ours = arguments.windows(folder.len()).any(|part| part == folder);
            ours.then(|| rustix::process::Pid::from_raw(pid)).flatten()
        })
        .collect()
}
