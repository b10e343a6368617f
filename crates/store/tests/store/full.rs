//! A disk that is really full.

use std::path::Path;
use std::process::Command;

use tidegate_model::ErrorKind;
use tidegate_model::ports::Memory;
use tidegate_store::{OpenOptions, Store};

use crate::base::*;
use crate::child;

/// Runs the child below in a mount namespace of its own with a disk of 8 MB; the disk goes with the child.
#[test]
fn a_full_disk_is_told_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let alone: &[&str] = if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let script = "mount -t tmpfs -o size=8m tmpfs \"$0\" && exec \"$@\"";
    let output = Command::new("unshare")
        .args(alone)
        .args(["sh", "-c", script])
        .arg(folder.path())
        .arg(child::this_program())
        .args(child::arguments("full::fills_its_disk_as_a_child"))
        .env(child::URL, folder.path())
        .output()
        .expect("this test needs unshare (util-linux) to make a small disk");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("survived"), "the child did its work: {said}");
}

#[tokio::test]
async fn fills_its_disk_as_a_child() {
    let Ok(folder) = std::env::var(child::URL) else { return };
    let folder = Path::new(&folder);
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    let url = format!("sqlite:{}", folder.join("state.db").display());
    let store = Store::open(&url, &OpenOptions::default()).await.unwrap();
    let lease = start(&store).await;
    let chunk = |step: usize| {
        let mut it = settlement();
        it.entries = (0..500).map(|row| entry(&format!("{step:05}-{row:03}"), None)).collect();
        it.entries.iter_mut().for_each(|record| record.detail = vec![1; 200]);
        it.books.to_platform.read = 500;
        it
    };
    let mut steps = 0;
    let error = loop {
        match store.settle(&lease, &chunk(steps)).await {
            Ok(()) => steps += 1,
            Err(error) => break error,
        }
        assert!(steps < 1_000, "8 MB are never full");
    };
    assert_eq!(error.kind, ErrorKind::DiskFull, "{error:?}");
    assert!(error.message.contains("state.db") && error.message.contains("bytes"), "{error}");
    assert!(error.hint.is_some());
    assert!(steps > 1);
    // What was settled is there, and nothing of what was not; reading needs no space.
    assert_eq!(store.scan(SYNC, None, 1_000_000).await.unwrap().len(), steps * 500);
    assert_eq!(store.run(RUN).await.unwrap().unwrap().books.to_platform.read, steps as u64 * 500);
    assert_eq!(store.settle(&lease, &chunk(steps)).await.unwrap_err().kind, ErrorKind::DiskFull, "still full");
    std::fs::remove_file(&ballast).unwrap();
    store.settle(&lease, &chunk(steps)).await.expect("there is space again");
    drop(store);
    let again = Store::open(&url, &OpenOptions::default()).await.unwrap();
    assert_eq!(again.scan(SYNC, None, 1_000_000).await.unwrap().len(), (steps + 1) * 500);
    println!("survived {steps} steps");
}
