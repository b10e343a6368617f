//! The scripts as they were last agreed. `TIDEGATE_GOLDEN=write` writes them anew; read the difference then.

use super::super::*;
use super::variants::{PUBLIC_KEY, jobs};

fn name(text: &str) -> Name {
    Name::typed(text).expect("a name")
}

fn path(text: &str) -> Path {
    Path::typed(text).expect("a path")
}

fn same(file: &str, setup: &Setup) {
    let told = print(setup);
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snowflake/setup/tests/golden").join(file);
    if std::env::var_os("TIDEGATE_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&place, &told).expect("written");
        return;
    }
    let agreed = std::fs::read_to_string(&place).unwrap_or_default();
    assert!(told == agreed, "{file} is another now; look at it, then run with TIDEGATE_GOLDEN=write:\n{told}");
}

fn addresses() -> Vec<Egress> {
    ["203.0.113.7", "198.51.100.0/28"].iter().map(|text| Egress::parse(text).expect("an address")).collect()
}

#[test]
fn a_reader_of_two_schemas_by_key_pair() {
    let mut options = Options::new("lake", Access::Read, name("analytics"));
    options.schemas = vec![path("crm"), path("finance")];
    same("read_key_pair.sql", &snowflake(&options).expect("a set-up"));
}

#[test]
fn a_writer_with_everything() {
    let mut options = Options::new("lake", Access::Write, name("analytics"));
    options.account = Some("acme-prod".to_owned());
    options.auth = Auth::KeyPair { public_key: Some(PublicKey::parse(PUBLIC_KEY).expect("a key")) };
    options.schema = Some(name("crm"));
    options.tables = vec![path("companies")];
    options.views = vec![path("active_companies")];
    options.streams = vec![path("companies_changes")];
    options.targets = vec![path("companies"), path("crm_scores")];
    options.tracked =
        vec![Tracked::View { view: path("active_companies"), bases: vec![path("companies"), path("contracts")] }];
    options.stage = Some(path("loads"));
    options.egress = addresses();
    options.owner = name("data_team");
    same("write_everything.sql", &snowflake(&options).expect("a set-up"));
}

#[test]
fn a_reader_by_oauth() {
    let mut options = Options::new("lake", Access::Read, name("analytics"));
    options.schema = Some(name("crm"));
    options.person = Some(Person { email: "anna@acme.example".to_owned() });
    options.user = Name::exact("ANNA@ACME.EXAMPLE").expect("a name");
    options.auth = Auth::OAuth {
        integration: name("tidegate_oauth"),
        redirect_uri: "http://127.0.0.1:8931/oauth/callback".to_owned(),
        single_use_refresh: true,
    };
    options.egress = addresses();
    same("read_oauth.sql", &snowflake(&options).expect("a set-up"));
}

#[test]
fn the_container_job_on_a_table_and_on_a_view() {
    let all = jobs();
    same("batch_sync_table.sql", &batch_sync(all.first().expect("one")).expect("a set-up"));
    same("batch_sync_view.sql", &batch_sync(all.last().expect("one")).expect("a set-up"));
}
