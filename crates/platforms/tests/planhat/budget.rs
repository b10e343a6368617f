//! Which calls ask for their place in the connection's budget by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::json;
use tidegate_model::Result;
use tidegate_model::change::Action;
use tidegate_model::ports::{Limits, Need};
use tidegate_model::record::{Key, RecordRef};
use tidegate_model::schema::ModelName;
use tidegate_platforms::Gate;
use tidegate_testkit::platform_suite::{applied, ask, change, company, records, text, write_one};

use crate::lab::{connect_through, tenant};

/// Lets everybody in, and counts.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

#[async_trait]
impl Gate for Counting {
    async fn pass(&self, limits: &Limits) -> Result<()> {
        assert_eq!((limits.requests_per_minute, limits.requests_per_second), (Some(200), Some(150)));
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// The engine books a write once for each batch: everything else that is called of the API is asked for here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_look_ups_ask_for_each_call_and_writes_do_not() {
    let tenant = tenant().await;
    let gate = Arc::new(Counting::default());
    let platform = connect_through(&tenant.twin.url(), json!({}), Some(Arc::clone(&gate) as Arc<dyn Gate>));
    let sent = |writes: bool| {
        let seen = tenant.twin.requests();
        seen.iter().filter(|seen| ["PUT", "DELETE"].contains(&seen.method.as_str()) == writes).count()
    };
    let counted = || gate.0.load(Ordering::SeqCst);
    company(&*platform, "c").await;
    let person = change(Action::Create, "e", &[("email", text("e@example.com")), ("companyId", text("c"))]);
    applied(&write_one(&*platform, &ask("enduser"), person).await);
    let before = counted();
    assert!(sent(true) >= 2 && before >= 2, "{} writes, {before} asked for", sent(true));
    assert_eq!(before, sent(false), "custom fields, and the companies that people name");
    assert_eq!(records(&*platform, "enduser", &["email", "companyId"]).await.len(), 1);
    let refs = [RecordRef::Key(Key::new("e"))];
    platform.fetch(&ModelName("enduser".to_owned()), "externalId", &["email".to_owned()], &refs).await.expect("found");
    platform.count(&ModelName("company".to_owned()), &[]).await.expect("counted");
    assert!(counted() >= before + 4, "pages of a list are calls");
    assert_eq!(counted(), sent(false));
}

/// A run asks for the model several times before its first write. A call counts against what the tenant is permitted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_fields_are_read_once_when_a_run_begins() {
    let tenant = tenant().await;
    let platform = connect_through(&tenant.twin.url(), json!({}), None);
    let asked = || tenant.twin.requests().iter().filter(|seen| seen.target.starts_with("/customfields")).count();
    let company = ModelName("company".to_owned());
    assert!(platform.check(&[Need::Connect]).await.is_empty());
    for _ in 0..3 {
        platform.model(&company).await.expect("a model");
    }
    assert_eq!(asked(), 1);
    assert!(platform.check(&[Need::Connect]).await.is_empty());
    assert_eq!(asked(), 2, "a check sees for itself whether it is let in");
}
