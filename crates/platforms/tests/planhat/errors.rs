//! Errors of the line: whose move it is, whether it helps to try again, and no secret in any of them.

use std::time::Duration;

use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_model::change::Action;
use tidegate_model::error::Party;
use tidegate_platforms::{OpenContext, open};
use tidegate_testkit::platform_suite::{ask, asking, change, named, text};
use tidegate_twins::{Fault, Knobs, Step};

use crate::lab::{Tenant, connect, quiet};

async fn error_of(fault: Fault, method: &str) -> tidegate_model::Error {
    let script = vec![Step::next(method, "/companies", fault)];
    let tenant = Tenant::with(Knobs { script, retry_after_s: Some(9), ..quiet() }, json!({})).await;
    if method == "GET" {
        let mut pages = tenant.port().read(asking("company", "externalId", &["name"])).await.expect("a read");
        return pages.next().await.expect_err("refused");
    }
    let batch = [change(Action::Create, "a", &[("name", text("A"))])];
    tenant.port().write(&ask("company"), &batch).await.expect_err("refused")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_kind() {
    let cases = [
        ("PUT", Fault::Status(401), ErrorKind::Unauthorized),
        ("PUT", Fault::Status(429), ErrorKind::RateLimited),
        ("PUT", Fault::Status(500), ErrorKind::Lost),
        ("PUT", Fault::Status(503), ErrorKind::Lost),
        ("PUT", Fault::Lost, ErrorKind::Lost),
        ("PUT", Fault::Dropped, ErrorKind::Lost),
        ("PUT", Fault::Cut, ErrorKind::Lost),
        ("PUT", Fault::Instead(200, "<html>".to_owned()), ErrorKind::Lost),
        ("GET", Fault::Status(503), ErrorKind::Unavailable),
        ("GET", Fault::Cut, ErrorKind::Unavailable),
        ("GET", Fault::Status(403), ErrorKind::Unauthorized),
    ];
    for (method, fault, kind) in cases {
        let error = error_of(fault.clone(), method).await;
        assert_eq!(error.kind, kind, "{method} {fault:?}: {error}");
        assert!(error.hint.is_some() || kind == ErrorKind::Lost, "{method} {fault:?}: {error:?}");
        if kind == ErrorKind::RateLimited {
            assert_eq!(error.retry_after, Some(Duration::from_secs(9)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_told_with_the_regions() {
    let tenant = Tenant::with(quiet(), json!({ "token": "hunter2-token" })).await;
    let findings = tenant.port().check(&[tidegate_model::ports::Need::Connect]).await;
    assert_eq!(findings[0].finding, "connect");
    assert!(findings[0].fix.contains("region"), "{findings:?}");
    let error = tenant.port().count(&named("company"), &[]).await.expect_err("refused");
    assert_eq!((error.kind, error.party()), (ErrorKind::Unauthorized, Party::User));
    assert!(!format!("{error:?} {findings:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_unavailable_and_names_no_secret() {
    let port = connect("http://127.0.0.1:9", json!({ "token": "hunter2-token" }));
    let error = port.count(&named("company"), &[]).await.expect_err("nobody");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn settings_that_cannot_work_are_refused_without_repeating_them() {
    let context = OpenContext { project_dir: ".".into(), name: "crm".to_owned(), ..OpenContext::default() };
    for config in [
        json!({ "token": "hunter2", "url": "http://api.planhat.com" }),
        json!({ "token": "hunter2", "url": "ftp://x" }),
        json!({ "token": "hunter2", "url": "https://me:hunter2@api.planhat.com" }),
        json!({ "token": "hunter2", "clear_as": "hunter2" }),
        json!({ "token": "" }),
        json!({}),
    ] {
        let error = open("planhat", &config, &context).err().expect("refused");
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.hint.is_some() && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
