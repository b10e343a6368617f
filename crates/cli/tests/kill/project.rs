//! A project's folder, and the binary to run on it: undisturbed, watched, killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

/// Writes a project with its state and its hub in files of its own, and whatever else it has.
pub fn write(dir: &Path, files: &[(&str, &str)]) {
    let own = [
        ("tidegate.yaml", "version: 1\nname: kill\nstate: sqlite:.tidegate/state.db\n"),
        ("connections/crm.yaml", "version: 1\ntype: hub\nurl: sqlite:hub.db\n"),
    ];
    for (path, text) in own.iter().chain(files) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// The command, with nothing of who runs the tests.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("--project").arg(dir).args(args);
    command.env_remove("TIDEGATE_FAILPOINT").env_remove("TIDEGATE_FAILPOINT_LOG").env_remove("TIDEGATE_STATE");
    command
}

/// Runs a command to its end, which has to be one of these.
pub fn ended(mut command: Command, codes: &[i32]) -> Output {
    let out = command.output().expect("the binary can be started");
    let code = out.status.code();
    let told = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(code.is_some_and(|code| codes.contains(&code)), "{command:?} ended with {code:?}:\n{told}");
    out
}

/// Runs undisturbed; the failpoints in the order in which they were hit.
pub fn logged(mut command: Command, dir: &Path) -> Vec<String> {
    let log = dir.join("failpoints.log");
    command.env("TIDEGATE_FAILPOINT_LOG", &log);
    ended(command, &[0]);
    let lines = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_file(&log).unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// How often each failpoint was hit.
pub fn counted(names: Vec<String>) -> BTreeMap<String, u64> {
    let mut hits = BTreeMap::new();
    for name in names {
        *hits.entry(name).or_default() += 1;
    }
    hits
}

/// Runs and is killed at a point.
pub fn killed(mut command: Command, point: &str) {
    command.env("TIDEGATE_FAILPOINT", point);
    let out = command.output().unwrap();
    assert_eq!(out.status.signal(), Some(9), "not killed at {point}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The companies of the hub.
pub fn companies(dir: &Path) -> Vec<String> {
    let hub = rusqlite::Connection::open(dir.join("hub.db")).unwrap();
    let mut query = hub.prepare("SELECT externalId, name, phase FROM hub_r_company ORDER BY externalId").unwrap();
    let text = |row: &rusqlite::Row<'_>, at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default);
    let rows = query.query_map([], |row| Ok(format!("{}|{}|{}", text(row, 0)?, text(row, 1)?, text(row, 2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}
