//! A disk that is full, under the state, the hub and the warehouse: told, nothing half-written, and the next run goes on.
//!
//! Each test runs its second half as a child in a mount namespace of its own, where a folder is a small disk.

use std::path::PathBuf;
use std::process::Command;

use super::bench::{Bench, COMPANIES, Done, rows};

/// Names the small disk to the child.
const DISK: &str = "TIDEGATE_TEST_SMALL_DISK";
/// The disk, and what the ballast leaves of it.
const DISK_MB: usize = 48;
const LEFT_KB: usize = 900;
/// Companies: megabytes in each of the three.
const MANY: u32 = 20_000;

fn on_a_small_disk(child: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Command::new("id").arg("-u").output().expect("id").stdout == b"0\n";
    let alone: &[&str] = if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let script = format!("mount -t tmpfs -o size={DISK_MB}m tmpfs \"$0\" && exec \"$@\"");
    let output = Command::new("unshare")
        .args(alone)
        .args(["sh", "-c", &script])
        .arg(folder.path())
        .arg(std::env::current_exe().expect("this program"))
        .args([child, "--exact", "--nocapture", "--test-threads=1"])
        .env(DISK, folder.path())
        .output()
        .expect("this test needs unshare (util-linux) to make a small disk");
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "the child failed. If it could not mount: this test needs root, or user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1)\n{said}"
    );
    assert!(said.contains("went on"), "the child did its work: {said}");
}

/// The small disk, and a project elsewhere with many companies to deliver, one way.
struct Small {
    disk: PathBuf,
    bench: Bench,
}

impl Small {
    fn as_a_child() -> Option<Self> {
        let disk = PathBuf::from(std::env::var_os(DISK)?);
        let bench = Bench::new();
        bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: to_platform"));
        bench.lake(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
             INSERT INTO companies SELECT 'C' || i, 'Company with a name of its own, number ' || i, 'live', i FROM n;"
        ));
        Some(Self { disk, bench })
    }

    /// Leaves almost nothing of the disk.
    fn fill(&self) {
        let used = Command::new("df").args(["--output=avail", "-k"]).arg(&self.disk).output().expect("df");
        let text = String::from_utf8(used.stdout).expect("text");
        let free_kb: usize = text.lines().nth(1).expect("a number").trim().parse().expect("a number");
        std::fs::write(self.disk.join("ballast"), vec![0; (free_kb - LEFT_KB) * 1024]).expect("written");
    }

    fn empty(&self) {
        std::fs::remove_file(self.disk.join("ballast")).expect("removed");
    }

    /// The run fails with an error that names the file and says what to do.
    #[track_caller]
    fn fails(&self, args: &[&str], file: &str) -> Done {
        let done = self.bench.run(args).expect(1).says(&["error: ", "hint: ", file]);
        let said = done.stderr.to_lowercase();
        assert!(said.contains("space") || said.contains("disk"), "{}", done.stderr);
        done
    }

    /// Files are whole.
    fn whole(&self, file: &std::path::Path) {
        assert_eq!(rows(file, "PRAGMA integrity_check"), ["ok"]);
    }

    /// Everything arrived once, the books balance, and there is nothing left to do.
    #[track_caller]
    fn goes_on(&self, hub: &std::path::Path) {
        let run = self.bench.run(&["run", "companies", "--json"]).expect(0).json()[0].clone();
        let count = |name: &str| run[name].as_u64().expect("a count");
        assert_eq!(count("read"), count("created") + count("updated") + count("unchanged"), "{run}");
        let all = rows(&self.bench.path("warehouse.db"), "SELECT count(*) FROM companies");
        assert_eq!(rows(hub, "SELECT count(*) FROM hub_r_company WHERE deleted = 0"), all);
        assert_eq!(rows(hub, "SELECT count(DISTINCT externalId) FROM hub_r_company WHERE deleted = 0"), all);
        let quiet = self.bench.run(&["run", "companies", "--json"]).expect(0).json()[0].clone();
        assert_eq!((&quiet["sent"], &quiet["unchanged"].to_string()), (&0.into(), &all[0]), "{quiet}");
        println!("went on");
    }
}

#[test]
fn under_the_state() {
    on_a_small_disk("full_disk::state_as_a_child");
}

#[test]
fn state_as_a_child() {
    let Some(small) = Small::as_a_child() else { return };
    let state = small.disk.join("state.db");
    small.bench.write("tidegate.yaml", &format!("version: 1\nname: bench\nstate: sqlite:{}\n", state.display()));
    small.bench.run(&["runs"]).expect(0);
    small.fill();
    small.fails(&["run", "companies"], "state.db");
    small.whole(&state);
    small.empty();
    small.goes_on(&small.bench.path(".tidegate/hub.db"));
    // A copy that does not fit leaves nothing behind.
    small.fill();
    let copy = small.disk.join("copy.db");
    small.bench.run(&["state", "backup", &copy.display().to_string()]).expect(1).says(&["copy.db", "space", "hint: "]);
    assert!(!copy.exists());
}

#[test]
fn under_the_hub() {
    on_a_small_disk("full_disk::hub_as_a_child");
}

#[test]
fn hub_as_a_child() {
    let Some(small) = Small::as_a_child() else { return };
    let hub = small.disk.join("hub.db");
    small.bench.write("connections/crm.yaml", &format!("version: 1\ntype: hub\nurl: sqlite:{}\n", hub.display()));
    small.bench.run(&["hub", "list", "company"]).expect(0);
    small.fill();
    small.fails(&["run", "companies"], "hub.db");
    small.whole(&hub);
    small.empty();
    small.goes_on(&hub);
}

#[test]
fn under_the_warehouse() {
    on_a_small_disk("full_disk::warehouse_as_a_child");
}

#[test]
fn warehouse_as_a_child() {
    let Some(small) = Small::as_a_child() else { return };
    let (bench, lake) = (&small.bench, small.disk.join("out.db"));
    bench.run(&["run", "companies"]).expect(0);
    bench
        .write("connections/out.yaml", &format!("version: 1\ntype: sqlite\npath: {}\naccess: write\n", lake.display()));
    let made = "PRAGMA journal_mode = WAL; CREATE TABLE copy (company_id TEXT NOT NULL PRIMARY KEY, name TEXT);
                CREATE TABLE log (company_id TEXT NOT NULL, name TEXT);
                INSERT INTO copy VALUES ('old', 'from before'); INSERT INTO log VALUES ('old', 'from before');";
    rusqlite::Connection::open(&lake).expect("opened").execute_batch(made).expect("made");
    let export = |table: &str, write: &str| {
        format!(
            "version: 1\nwarehouse: {{ connection: out, relation: {table} }}\nplatform: {{ connection: crm, model: company }}\n\
             direction: to_warehouse\nkey: {{ warehouse: company_id, platform: externalId }}\nwrite: {write}\n\
             fields:\n  - {{ warehouse: name, platform: name }}\n"
        )
    };
    bench.write("syncs/copy.yaml", &export("copy", "replace"));
    bench.write("syncs/log.yaml", &export("log", "append"));
    small.fill();
    for (sync, table) in [("copy", "copy"), ("log", "log")] {
        small.fails(&["run", sync], "out.db");
        small.whole(&lake);
        let there = rows(&lake, &format!("SELECT company_id FROM {table} WHERE company_id = 'old'"));
        assert_eq!(there, ["old"], "{table}: what stood there stands there still");
    }
    assert_eq!(rows(&lake, "SELECT count(*) FROM copy"), ["1"], "a rewritten table is the old one or the new one");
    small.empty();
    let all = rows(&bench.path("warehouse.db"), "SELECT count(*) FROM companies");
    let number: u64 = all[0].parse().expect("a number");
    for (sync, rows_after) in [("copy", number), ("log", number + 1)] {
        let run = bench.run(&["run", sync, "--json"]).expect(0).json()[0].clone();
        assert_eq!(run["status"], "succeeded", "{run}");
        let counted = rows(&lake, &format!("SELECT count(*), count(DISTINCT company_id) FROM {sync}"));
        assert_eq!(counted, [format!("{rows_after}|{rows_after}")], "{run}");
    }
    println!("went on");
}
