//! References between records.

use tidegate_model::change::{Action, Outcome};
use tidegate_model::ports::Platform;
use tidegate_model::value::Value;

use super::{applied, ask, change, company, enduser, expecting, records, refused, text, write_one};

/// A reference may be given in several forms; syncs read the parent's externalId, or its id if it has none.
pub async fn references_come_back_as_they_were_given(platform: &dyn Platform) {
    let id = company(platform, "acme").await;
    let source = change(Action::Update, "acme", &[("sourceId", text("S-1"))]);
    applied(&write_one(platform, &ask("company"), source).await);
    for (at, form) in ["acme", "S-1", id.as_str(), "extid-acme", "srcid-S-1"].into_iter().enumerate() {
        enduser(platform, &format!("u{at}"), &format!("u{at}@x.com"), form).await;
    }
    for row in records(platform, "enduser", &["companyId"]).await {
        assert_eq!(row["companyId"], text("acme"));
    }
    // The form that syncs read is a before-image that holds, and writing it again changes nothing.
    let same = expecting(change(Action::Update, "u1", &[("companyId", text("acme"))]), &[("companyId", text("acme"))]);
    assert!(matches!(write_one(platform, &ask("enduser"), same).await, Outcome::Unchanged { .. }));
    let mut nameless = ask("company");
    nameless.key = "sourceId".to_owned();
    let other = applied(&write_one(platform, &nameless, change(Action::Create, "S-2", &[("name", text("O"))])).await);
    enduser(platform, "v", "v@x.com", "S-2").await;
    let rows = records(platform, "enduser", &["companyId"]).await;
    assert_eq!(rows.last().unwrap()["companyId"], text(other.as_str()));
    // A company that gets another externalId takes its end users along.
    let mut rename = change(Action::Update, "acme", &[("externalId", text("acme2"))]);
    rename.remote = Some(id);
    applied(&write_one(platform, &ask("company"), rename).await);
    assert_eq!(records(platform, "enduser", &["companyId"]).await[0]["companyId"], text("acme2"));
}

/// A parent that is not there yet refuses the child; once it is there the child is taken. Nothing is lost.
pub async fn a_reference_that_is_not_there_is_refused_until_it_is(platform: &dyn Platform) {
    let child = change(
        Action::Create,
        "l1",
        &[("companyId", text("late")), ("_currency", text("SEK")), ("fromDate", Value::Date(0))],
    );
    let why = refused(&write_one(platform, &ask("license"), child.clone()).await);
    assert_eq!((why.rule.as_str(), why.field.as_deref()), ("unresolved_reference", Some("companyId")));
    assert!(!why.reason.contains("late"), "the value is not in the message: {}", why.reason);
    company(platform, "late").await;
    applied(&write_one(platform, &ask("license"), child).await);
    assert_eq!(records(platform, "license", &["companyId"]).await[0]["companyId"], text("late"));
}

/// A deleted parent cannot be named any more, but those that point to it read as before: that is no edit of theirs.
pub async fn a_deleted_parent_does_not_change_its_children(platform: &dyn Platform) {
    company(platform, "c").await;
    enduser(platform, "u", "u@x.com", "c").await;
    let mark = platform.mark(&super::named("enduser")).await.unwrap();
    applied(&write_one(platform, &ask("company"), change(Action::Delete, "c", &[])).await);
    let rows = records(platform, "enduser", &["companyId"]).await;
    assert_eq!(rows[0]["companyId"], text("c"));
    let mut since = super::asking("enduser", "externalId", &["companyId"]);
    since.mode = tidegate_model::ports::PlatformRead::Since(mark);
    assert!(super::read(platform, since).await.is_empty());
    let child = change(Action::Create, "v", &[("email", text("v@x.com")), ("companyId", text("c"))]);
    assert_eq!(refused(&write_one(platform, &ask("enduser"), child).await).rule, "unresolved_reference");
    company(platform, "c").await;
    let same = change(Action::Update, "u", &[("companyId", text("c"))]);
    assert!(matches!(write_one(platform, &ask("enduser"), same).await, Outcome::Unchanged { .. }));
}

/// An end user without a company goes to the one company that has the domain of the address.
pub async fn end_users_find_their_company_by_domain(platform: &dyn Platform) {
    let domains = |list: &[&str]| Value::List(list.iter().map(|domain| text(domain)).collect());
    let make =
        |key: &str, list: &[&str]| change(Action::Create, key, &[("name", text(key)), ("domains", domains(list))]);
    let user = |key: &str, email: &str| change(Action::Create, key, &[("email", text(email))]);
    let early = refused(&write_one(platform, &ask("enduser"), user("u1", "a@acme.com")).await);
    assert_eq!(early.rule, "unresolved_reference");
    applied(&write_one(platform, &ask("company"), make("acme", &["Acme.com", "acme.org"])).await);
    applied(&write_one(platform, &ask("company"), make("two", &["shared.com"])).await);
    applied(&write_one(platform, &ask("company"), make("three", &["shared.com"])).await);
    applied(&write_one(platform, &ask("enduser"), user("u1", "a@acme.com")).await);
    applied(&write_one(platform, &ask("enduser"), user("u2", "B@ACME.ORG")).await);
    let both = refused(&write_one(platform, &ask("enduser"), user("u3", "c@shared.com")).await);
    assert_eq!(both.rule, "unresolved_reference", "two companies have the domain");
    let moved = change(Action::Update, "three", &[("domains", domains(&[]))]);
    applied(&write_one(platform, &ask("company"), moved).await);
    applied(&write_one(platform, &ask("enduser"), user("u3", "c@shared.com")).await);
    let rows = records(platform, "enduser", &["companyId"]).await;
    let companies: Vec<&Value> = rows.iter().map(|row| &row["companyId"]).collect();
    assert_eq!(companies, [&text("acme"), &text("acme"), &text("two")]);
    let cleared = change(Action::Update, "u1", &[("companyId", Value::Null)]);
    assert!(matches!(write_one(platform, &ask("enduser"), cleared).await, Outcome::Unchanged { .. }));
}
