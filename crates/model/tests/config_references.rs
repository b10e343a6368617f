//! References are read when a connection is opened, and not before; what they held is a secret.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::cell::RefCell;

use common::{changed, kinds, project_of};
use tidegate_model::config::{Lookups, load, resolve_text};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};

#[derive(Default)]
struct World {
    asked: RefCell<Vec<String>>,
}

impl Lookups for World {
    fn env(&self, name: &str) -> Option<String> {
        self.asked.borrow_mut().push(format!("env {name}"));
        match name {
            "PG_URL" => Some("postgres://me:hunter2@db/x".to_owned()),
            "PW" => Some("p;w".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }
    fn file(&self, path: &str) -> Result<String> {
        self.asked.borrow_mut().push(format!("file {path}"));
        match path {
            "keys/tidegate.p8" => Ok("-----BEGIN KEY-----\nabc\n".to_owned()),
            _ => Err(Error::new(ErrorKind::NotFound, "there is no such file")),
        }
    }
    fn secret(&self, name: &str) -> Result<Option<Secret>> {
        self.asked.borrow_mut().push(format!("secret {name}"));
        Ok((name == "crm-token").then(|| Secret::new("t0ken")))
    }
}

const LAKE: &str = "connections/lake.yaml";

#[test]
fn references_are_read_when_the_connection_is_opened() {
    let world = World::default();
    let project = project_of(LAKE, "access:", "mode: fast\naccess:");
    assert_eq!(project.connections["lake"].settings["url"], "${PG_URL}");
    assert_eq!(world.asked.borrow().len(), 0);
    let resolved = project.connections["lake"].resolve(&world).expect("resolved");
    assert_eq!(resolved.settings, serde_json::json!({"url": "postgres://me:hunter2@db/x", "mode": "fast"}));
    assert_eq!(resolved.secrets, [Secret::new("postgres://me:hunter2@db/x")]);
    assert_eq!(*world.asked.borrow(), ["env PG_URL"]);
    assert!(!format!("{resolved:?}").contains("hunter2"));
}

#[test]
fn a_missing_variable_is_told_with_its_file_and_line() {
    let project = project_of(LAKE, "\"${PG_URL}\"", "\"postgres://${USER_X}:${PW}@db\"");
    let error = project.connections["lake"].resolve(&World::default()).expect_err("missing");
    assert_eq!(error.kind, ErrorKind::Config);
    assert_eq!(error.message, "connections/lake.yaml:3:1: the environment variable USER_X is not set");
    assert!(error.hint.unwrap().contains("export USER_X="));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let project = project_of(LAKE, "\"${PG_URL}\"", "\"${NO_URL}\"\nauth: { token: \"${NO_TOKEN}\" }");
    let error = project.connections["lake"].resolve(&World::default()).expect_err("missing");
    assert!(error.message.contains("lake.yaml:3:1: the environment variable NO_URL is not set; "), "{error}");
    assert!(error.message.contains("lake.yaml:4:9: the environment variable NO_TOKEN is not set"), "{error}");
}

#[test]
fn each_part_and_the_whole_of_a_text_are_secrets() {
    let (text, secrets) = resolve_text("postgres://me:${PW}@db/x", "here", &World::default()).unwrap();
    assert_eq!(text, "postgres://me:p;w@db/x");
    assert_eq!(secrets, [Secret::new("p;w"), Secret::new("postgres://me:p;w@db/x")]);
    let (text, secrets) = resolve_text("a${EMPTY}b", "here", &World::default()).unwrap();
    assert_eq!((text.as_str(), secrets), ("ab", vec![Secret::new("ab")]), "nothing is no secret to strike out");
    let (text, secrets) = resolve_text("no reference $5 {x}", "here", &World::default()).unwrap();
    assert_eq!((text.as_str(), secrets.len()), ("no reference $5 {x}", 0));
    let (text, secrets) = resolve_text("literally $${PW}", "here", &World::default()).unwrap();
    assert_eq!((text.as_str(), secrets.len()), ("literally ${PW}", 0));
}

#[test]
fn files_and_secrets_of_the_store() {
    let world = World::default();
    let (key, secrets) = resolve_text("${file:keys/tidegate.p8}", "here", &world).unwrap();
    assert_eq!(key, "-----BEGIN KEY-----\nabc", "the last line break is the editor's");
    assert_eq!(secrets.len(), 1);
    assert_eq!(resolve_text("secret:crm-token", "here", &world).unwrap().0, "t0ken");
    let error = resolve_text("secret:other", "connections/crm.yaml:3:1", &world).expect_err("absent");
    assert!(error.message.starts_with("connections/crm.yaml:3:1: there is no secret `other`"), "{error}");
    assert!(error.hint.unwrap().contains("tidegate secrets set other"));
    let error = resolve_text("${file:keys/none}", "f.yaml:1:1", &world).expect_err("absent");
    assert!(error.message.starts_with("f.yaml:1:1: ${file:keys/none}: there is no such file"), "{error}");
}

#[test]
fn a_file_outside_of_the_project_is_never_asked_for() {
    for path in ["../x", "/etc/passwd", "a/../../x", "~/x", "C:\\x", "a\\..\\x", ""] {
        let world = World::default();
        let error = resolve_text(&format!("${{file:{path}}}"), "here", &world).expect_err(path);
        assert!(error.message.contains("inside the project"), "{error}");
        assert_eq!(world.asked.borrow().len(), 0);
        let quoted = format!("'${{file:{path}}}'");
        let problems = load(&changed(LAKE, "\"${PG_URL}\"", &quoted), &kinds()).problems;
        assert_eq!((problems.len(), problems[0].line), (1, 3), "{problems:#?}");
    }
}
