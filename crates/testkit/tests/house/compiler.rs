//! The oldest compiler that builds us, in the three places that name one: our manifest, the image of the container job, and
//! what we depend on. The image cannot be built in every test; that its compiler is too old can be seen without.

use std::process::Command;

use super::root;

/// `1.91`, `1.91.1` or `1.91-bookworm` as numbers that can be compared.
fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// What each package of the lock file asks for, by name.
fn asked() -> Vec<(String, String)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let run = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata starts");
    assert!(run.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&run.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON from cargo metadata");
    let packages = metadata["packages"].as_array().expect("packages");
    let one = |package: &serde_json::Value| {
        let asked = package["rust_version"].as_str()?;
        Some((package["name"].as_str()?.to_owned(), asked.to_owned()))
    };
    packages.iter().filter_map(one).collect()
}

#[test]
fn the_image_and_all_dependencies_are_built_by_the_compiler_that_the_manifest_names() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let ours = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a rust-version");
    let ours = ours.trim_matches('"');
    let image = std::fs::read_to_string(root().join("Dockerfile")).expect("Dockerfile");
    let image =
        image.lines().find_map(|line| line.strip_prefix("FROM docker.io/library/rust:")).expect("an image of rust");
    assert_eq!(version(image), version(ours), "Dockerfile and Cargo.toml name different compilers");
    let asked = asked();
    assert!(asked.len() > 100, "the rule saw {} packages", asked.len());
    let newer: Vec<_> = asked.iter().filter(|(_, theirs)| version(theirs) > version(ours)).collect();
    assert!(newer.is_empty(), "rust-version is {ours}, but these ask for more: {newer:?}");
}

#[test]
fn versions_are_compared_as_numbers() {
    assert!(version("1.91-bookworm") > version("1.90.2") && version("1.100") > version("1.91"));
    assert_eq!(version("1.91"), version("1.91.1"));
}
