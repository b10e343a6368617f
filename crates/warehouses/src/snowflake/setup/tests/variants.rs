//! Every combination of what can be asked for, held against the table.

use super::super::*;
use super::checker::{Used, check, keywords};

fn name(text: &str) -> Name {
    Name::typed(text).expect("a name")
}

fn path(text: &str) -> Path {
    Path::typed(text).expect("a path")
}

/// A key as it comes out of openssl; made for this test, of no use to anybody.
pub const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAPUBLICKEYOFNOBODYAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AQIDAQAB
-----END PUBLIC KEY-----
";

/// All ways to log in.
fn logins() -> Vec<(Auth, Option<Person>)> {
    let person = || Some(Person { email: "anna.o'neil@acme.example".to_owned() });
    let key = || Some(PublicKey::parse(PUBLIC_KEY).expect("a key"));
    let oauth = |redirect: &str, single_use_refresh| Auth::OAuth {
        integration: name("TIDEGATE_OAUTH"),
        redirect_uri: redirect.to_owned(),
        single_use_refresh,
    };
    vec![
        (Auth::KeyPair { public_key: None }, None),
        (Auth::KeyPair { public_key: key() }, None),
        (Auth::KeyPair { public_key: key() }, person()),
        (oauth("https://tidegate.example/oauth/callback", false), person()),
        (oauth("http://127.0.0.1:8931/oauth/callback", true), person()),
    ]
}

/// Ways to say what is read.
fn readings() -> Vec<fn(&mut Options)> {
    vec![
        |o| o.schema = Some(name("CRM")),
        |o| o.schemas = vec![path("CRM"), path("OTHER.\"odd.schema\"")],
        |o| {
            o.schema = Some(name("CRM"));
            o.tables = vec![path("COMPANIES"), path("FINANCE.REVENUE")];
            o.views = vec![path("\"order\""), path("OTHER.PUBLIC.\"it's a \"\"view\"\"\"")];
        },
        |o| {
            o.schemas = vec![path("CRM")];
            o.streams = vec![path("CRM.COMPANIES_CHANGES")];
            o.tracked = vec![
                Tracked::Table(path("CRM.COMPANIES")),
                Tracked::View { view: path("CRM.V"), bases: vec![path("CRM.COMPANIES"), path("CRM.PEOPLE")] },
            ];
        },
    ]
}

fn addresses() -> Vec<Vec<Egress>> {
    let parse = |text: &str| Egress::parse(text).expect("an address");
    vec![
        vec![],
        vec![parse("203.0.113.7")],
        vec![parse("203.0.113.0/28"), parse("2001:db8::/48"), parse("198.51.100.1")],
    ]
}

/// Every combination.
pub fn all() -> Vec<Options> {
    let mut all = Vec::new();
    for access in [Access::Read, Access::Write] {
        for (auth, person) in logins() {
            for reading in readings() {
                for egress in addresses() {
                    for (stage, target, owner) in [(false, false, "SYSADMIN"), (true, true, "\"data team\"")] {
                        let mut options = Options::new("lake", access, name("ANALYTICS"));
                        options.auth = auth.clone();
                        options.person = person.clone();
                        if let Some(person) = &person {
                            options.user = Name::exact(&person.email).expect("a name");
                        }
                        reading(&mut options);
                        options.egress = egress.clone();
                        options.owner = name(owner);
                        if access == Access::Write && target {
                            options.targets = vec![path("CRM.SCORES"), path("CRM.COMPANIES")];
                        }
                        if access == Access::Write && stage {
                            options.stage = Some(path("LOADS"));
                        }
                        all.push(options);
                    }
                }
            }
        }
    }
    all
}

/// Every combination of the container job.
pub fn jobs() -> Vec<BatchSync> {
    let sources = [
        Source::Table(path("CRM.PROFILES")),
        Source::View { view: path("CRM.PROFILES_V"), bases: vec![path("CRM.PROFILES")], query: None },
        Source::View {
            view: path("PROFILES_V"),
            bases: vec![path("CRM.PROFILES"), path("CRM.ORDERS")],
            query: Some("SELECT id AS custom_id, 'it''s' AS note FROM crm.profiles".to_owned()),
        },
    ];
    let mut all = Vec::new();
    for source in sources {
        for (dates, urls) in
            [(vec![], vec![]), (vec!["BIRTHDAY".to_owned(), "SINCE".to_owned()], vec!["SITE".to_owned()])]
        {
            for (schedule, stream) in
                [("5m", "PROFILES_STREAM"), ("USING CRON 0 6 * * * Europe/Stockholm", "\"a stream\"")]
            {
                all.push(job(source.clone(), dates.clone(), urls.clone(), schedule, stream));
            }
        }
    }
    all
}

fn job(source: Source, date_columns: Vec<String>, url_columns: Vec<String>, schedule: &str, stream: &str) -> BatchSync {
    let bare = |text: &str| Bare::typed(text).expect("a bare name");
    BatchSync {
        project_key: "project_1a2b".to_owned(),
        source,
        id_column: "CUSTOM_ID".to_owned(),
        date_columns,
        url_columns,
        role: name("TIDEGATE_BATCH_ROLE"),
        warehouse: name("TIDEGATE_WH"),
        size: WarehouseSize::XSmall,
        database: bare("ANALYTICS"),
        schema: bare("TIDEGATE_BATCH"),
        credentials: name("BATCH_API_CREDENTIALS"),
        stream: name(stream),
        task: name("BATCH_SYNC"),
        pool: bare("TIDEGATE_POOL"),
        family: bare("CPU_X64_XS"),
        repository: bare("IMAGES"),
        image: "tidegate:latest".to_owned(),
        integration: bare("TIDEGATE_BATCH_API"),
        schedule: Schedule::parse(schedule).expect("a schedule"),
        owner: name("SYSADMIN"),
    }
}

fn statements(setup: &Setup) -> Vec<&Statement> {
    let steps = setup.steps.iter().filter_map(|step| match step {
        Step::Sql(statement) => Some(statement),
        Step::Do { .. } => None,
    });
    steps.collect()
}

#[test]
fn every_statement_of_every_variant_is_documented() {
    let table = keywords();
    let mut used = Used::new();
    let mut scripts: Vec<Setup> = all().iter().map(|options| snowflake(options).expect("a set-up")).collect();
    scripts.extend(jobs().iter().map(|job| batch_sync(job).expect("a set-up")));
    assert!(scripts.len() > 200, "only {} variants", scripts.len());
    for setup in &scripts {
        let script = print(setup);
        let checked = check(&table, &script, &mut used).unwrap_or_else(|why| panic!("{why}\n\n{script}"));
        let roles = script.lines().filter(|line| line.starts_with("USE ROLE ")).count();
        assert_eq!(checked, statements(setup).len() + roles, "{script}");
    }
    let heads = table.statements.iter().map(|entry| entry.head.clone());
    let kinds = table.privileges.on.keys().map(|kind| format!("GRANT ON {kind}"));
    let unused: Vec<String> = heads.chain(kinds).filter(|entry| !used.contains(entry)).collect();
    assert!(unused.is_empty(), "entries of keywords.json that nothing uses: {unused:?}");
}

#[test]
fn every_entry_names_its_page() {
    let table = keywords();
    let pages = table.statements.iter().map(|entry| &entry.source).chain([&table.privileges.source]);
    for page in pages {
        assert!(page.starts_with("https://docs.snowflake.com/en/sql-reference/"), "{page}");
    }
}

#[test]
fn nothing_is_replaced_dropped_or_given_away() {
    let scripts = all().iter().map(|o| print(&snowflake(o).expect("a set-up"))).collect::<Vec<_>>();
    for script in
        scripts.iter().chain(&jobs().iter().map(|j| print(&batch_sync(j).expect("a set-up"))).collect::<Vec<_>>())
    {
        for word in ["OR REPLACE", "DROP ", "OWNERSHIP", "ALL PRIVILEGES", "WITH GRANT OPTION", "REVOKE", "PASSWORD ="]
        {
            assert!(!script.contains(word), "{word} in\n{script}");
        }
    }
}

#[test]
fn a_reader_gets_no_right_to_write() {
    for options in all().iter().filter(|options| options.access == Access::Read) {
        let setup = snowflake(options).expect("a set-up");
        for statement in statements(&setup).iter().filter(|statement| statement.sql.starts_with("GRANT ")) {
            let rights = statement.sql.split(" ON ").next().expect("rights");
            assert!(
                ["GRANT USAGE", "GRANT SELECT"].contains(&rights) || statement.sql.starts_with("GRANT ROLE"),
                "{statement:?}"
            );
        }
        assert!(!print(&setup).contains("TO ROLE \"SYSADMIN\""));
    }
}

#[test]
fn the_role_alone_gets_rights() {
    for options in all() {
        let role = format!(" TO ROLE {}", options.role.quoted());
        for statement in statements(&snowflake(&options).expect("a set-up")) {
            if statement.sql.starts_with("GRANT ") && !statement.sql.starts_with("GRANT ROLE") {
                assert!(statement.sql.ends_with(&role), "{}", statement.sql);
            }
        }
    }
}

#[test]
fn a_person_is_never_locked_out_of_a_browser() {
    let oauth =
        all().into_iter().filter(|options| matches!(options.auth, Auth::OAuth { .. }) && !options.egress.is_empty());
    for options in oauth {
        let script = print(&snowflake(&options).expect("a set-up"));
        assert!(!script.contains("SET NETWORK_POLICY"), "{script}");
        assert!(script.contains("\n  NETWORK_POLICY = 'TIDEGATE_"), "{script}");
        let (policy, integration) = (script.find("CREATE NETWORK POLICY"), script.find("CREATE SECURITY INTEGRATION"));
        assert!(policy.is_some() && policy < integration, "the policy is there before it is named");
    }
}

#[test]
fn tables_are_tracked_before_the_views_above_them_and_once() {
    let mut options = Options::new("lake", Access::Read, name("DB"));
    readings()[3](&mut options);
    let script = print(&snowflake(&options).expect("a set-up"));
    let at = |text: &str| script.find(text).unwrap_or_else(|| panic!("{text} in {script}"));
    assert!(at("ALTER TABLE \"DB\".\"CRM\".\"PEOPLE\"") < at("ALTER VIEW \"DB\".\"CRM\".\"V\""));
    assert_eq!(script.matches("ALTER TABLE \"DB\".\"CRM\".\"COMPANIES\" SET CHANGE_TRACKING").count(), 1);
}
