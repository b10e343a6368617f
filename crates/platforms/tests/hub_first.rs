//! A first look at the hub on SQLite.
use tidegate_platforms::hub::open_hub;

#[tokio::test]
async fn a_company_is_set_listed_unset_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let hub = open_hub("sqlite:.tidegate/hub.db", dir.path()).unwrap();
    let set =
        ["name=Acme", "custom.ARR=12.50", "domains=acme.com, acme.org", "custom.Health score=0.5"].map(String::from);
    let made = hub.set("company", "c1", &set).await.unwrap();
    println!("{made:#}");
    assert_eq!(made["custom"]["ARR"], "12.50");
    let user = hub.set("enduser", "u1", &["email= Ann@Acme.com".to_owned()]).await.unwrap();
    println!("{user:#}");
    assert_eq!(user["companyExternalId"], "c1");
    assert_eq!(user["email"], "ann@acme.com");
    let gone = hub.unset("company", "c1", &["custom.ARR".to_owned()]).await.unwrap();
    assert!(gone["custom"].get("ARR").is_none());
    hub.delete("company", "c1").await.unwrap();
    assert!(hub.list("company", &[], 10).await.unwrap().is_empty());
    assert!(hub.set("company", "c2", &["nam=X".to_owned()]).await.unwrap_err().to_string().contains("did you mean"));
}
