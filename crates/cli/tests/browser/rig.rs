//! Projects that are served, each in a folder of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A served project.
pub struct Served {
    dir: tempfile::TempDir,
    server: Option<Child>,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for name in ["TIDEGATE_STATE", "TIDEGATE_KEY", "TIDEGATE_FAILPOINT", "TIDEGATE_FAILPOINT_LOG", "TIDEGATE_LOG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Companies with a bit of everything; `arr` is a text in which one row is wrong.
const LAKE: &str = "
    CREATE TABLE companies (company_id TEXT NOT NULL PRIMARY KEY, name TEXT, phase TEXT, arr TEXT);
    INSERT INTO companies VALUES ('C1','Åkerlund & Söner','trial','12.50'), ('C2','Beta',NULL,'many'), ('C3','東京 Labs','live','0.10');";

impl Served {
    /// A project of which there is nothing but its name, and a warehouse beside it.
    pub fn empty() -> Self {
        let served = Self { dir: tempfile::tempdir().expect("a folder"), server: None, url: String::new() };
        served.write("tidegate.yaml", "version: 1\nname: first steps\n");
        served.lake(LAKE);
        served
    }

    /// The same with both connections.
    pub fn connected() -> Self {
        let served = Self::empty();
        served.write("connections/lake.yaml", "version: 1\ntype: sqlite\npath: warehouse.db\naccess: write\n");
        served.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: sqlite:.tidegate/hub.db\n");
        served
    }

    /// The project of `tidegate demo`, after its story.
    pub fn demo() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let made = tidegate().arg("demo").arg(dir.path().join("demo")).arg("--quiet").output().expect("started");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut served = Self { dir, server: None, url: String::new() };
        served.serve_in("demo", "127.0.0.1:0", &[]);
        served
    }

    /// Serves it.
    pub fn serve(mut self) -> Self {
        self.serve_in(".", "127.0.0.1:0", &[]);
        self
    }

    /// The same at a port that others know beforehand, with these in its environment.
    pub fn serve_on(mut self, port: u16, environment: &[(&str, &str)]) -> Self {
        self.serve_in(".", &format!("127.0.0.1:{port}"), environment);
        self
    }

    /// Keeps a secret.
    pub fn secret(&self, name: &str, value: &str) {
        let mut command = tidegate();
        let mut child = command
            .current_dir(self.dir.path())
            .args(["secrets", "set", name, "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("started");
        std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), value.as_bytes()).expect("written");
        assert!(child.wait().expect("ended").success());
    }

    fn serve_in(&mut self, folder: &str, listen: &str, environment: &[(&str, &str)]) {
        let mut server = tidegate()
            .current_dir(self.dir.path().join(folder))
            .envs(environment.iter().copied())
            .args(["serve", "--listen", listen, "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("its stdout")).read_line(&mut line).expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.url = format!("http://{}", said["listen"].as_str().expect("an address"));
        self.server = Some(server);
    }

    /// A file of the project.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).expect("a file")
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let path: &Path = &self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// Runs SQL in the warehouse.
    pub fn lake(&self, sql: &str) {
        rusqlite::Connection::open(self.path("warehouse.db")).expect("opened").execute_batch(sql).expect("SQL");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
