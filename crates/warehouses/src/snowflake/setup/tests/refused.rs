//! What is refused, and what is said of it.

use super::super::*;
use super::variants::{PUBLIC_KEY, jobs};

fn base() -> Options {
    let mut options = Options::new("lake", Access::Read, Name::typed("db").expect("a name"));
    options.schema = Some(Name::typed("crm").expect("a name"));
    options
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T>, message: &str, hint: &str) {
    let error = answer.expect_err("refused");
    assert!(error.message.contains(message), "{}", error.message);
    assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{:?}", error.hint);
}

#[test]
fn names_are_read_as_sql_reads_them() {
    let typed = |text: &str| Name::typed(text).map(|name| name.quoted()).map_err(|error| error.message);
    assert_eq!(typed("analytics").as_deref(), Ok("\"ANALYTICS\""));
    assert_eq!(typed("\"my Db\"").as_deref(), Ok("\"my Db\""));
    assert_eq!(typed("\"a \"\"b\"\"\"").as_deref(), Ok("\"a \"\"b\"\"\""));
    for wrong in ["my-db", "1st", "", "\"\"", "\"a\"b\"", "a b", "\"a\nb\""] {
        assert!(typed(wrong).is_err(), "{wrong}");
    }
    let path = Path::typed("db.\"a.b\".t").expect("a path");
    assert_eq!(path.quoted(), "\"DB\".\"a.b\".\"T\"");
    refused(Path::typed("a.b.c.d"), "up to three parts", "DATABASE.SCHEMA.NAME");
}

#[test]
fn services_take_plain_names_only() {
    assert_eq!(Bare::typed("pool_1").expect("a name").to_string(), "POOL_1");
    for wrong in ["\"pool\"", "\"my pool\"", "a$b", "order"] {
        refused(Bare::typed(wrong), "cannot be a name", "without quotes");
    }
}

#[test]
fn writing_needs_access_to_write() {
    let mut options = base();
    options.targets = vec![Path::typed("scores").expect("a path")];
    refused(snowflake(&options), "DB.CRM.SCORES is to be written", "--access write");
    let mut options = base();
    options.stage = Some(Path::typed("loads").expect("a path"));
    refused(snowflake(&options), "a stage is for writing", "--access write");
}

#[test]
fn something_to_read_and_its_whole_name_are_needed() {
    let mut options = base();
    options.schema = None;
    refused(snowflake(&options), "nothing to read or write", "--schema");
    options.tables = vec![Path::typed("companies").expect("a path")];
    refused(snowflake(&options), "COMPANIES does not say its schema", "--schema");
}

#[test]
fn oauth_needs_a_person_and_an_address_to_come_back_to() {
    let oauth = |redirect: &str, email: Option<&str>| {
        let mut options = base();
        let integration = Name::typed("i").expect("a name");
        options.auth = Auth::OAuth { integration, redirect_uri: redirect.to_owned(), single_use_refresh: false };
        options.person = email.map(|email| Person { email: email.to_owned() });
        snowflake(&options)
    };
    refused(oauth("https://t.example/cb", None), "needs a person", "--email");
    refused(oauth("http://t.example/cb", Some("a@b.c")), "must be https", "/oauth/callback");
    refused(oauth("https://t.example/cb?x=1", Some("a@b.c")), "must be https", "/oauth/callback");
    refused(oauth("http://127.0.0.1.evil.example/cb", Some("a@b.c")), "must be https", "/oauth/callback");
    refused(oauth("https://t.example/cb", Some("a'b")), "not an address", "NAME@HOST");
    oauth("http://localhost:8931/cb", Some("a@b.c")).expect("a set-up");
}

#[test]
fn a_private_key_is_never_taken_for_a_public_one() {
    let private = PUBLIC_KEY.replace("PUBLIC KEY-", "PRIVATE KEY-");
    let error = PublicKey::parse(&private).expect_err("refused");
    assert!(error.message.contains("private key") && !format!("{error:?}").contains("MIIB"), "{error:?}");
    refused(PublicKey::parse("MIIBIjAN"), "not an RSA key", "openssl rsa");
    refused(PublicKey::parse("'; DROP"), "not an RSA key", "openssl rsa");
    let key = PublicKey::parse(PUBLIC_KEY).expect("a key");
    assert_eq!(PublicKey::parse(key.as_str()).expect("the base64 alone"), key);
}

#[test]
fn addresses_are_read_strictly() {
    for wrong in ["", "203.0.113", "203.0.113.7/33", "0.0.0.0/0", "::/0", "tidegate.example", "203.0.113.7'"] {
        refused(Egress::parse(wrong), "not an IP address", "203.0.113.7");
    }
    assert_eq!(Egress::parse(" 203.0.113.0/28 ").expect("a range").to_string(), "203.0.113.0/28");
}

#[test]
fn schedules_are_read_as_people_write_them() {
    for (text, is) in [
        ("5m", "5 MINUTES"),
        ("1 hour", "1 HOURS"),
        ("30 SECONDS", "30 SECONDS"),
        ("using cron */5 * * * * UTC", "USING CRON */5 * * * * UTC"),
    ] {
        let job = BatchSync { schedule: Schedule::parse(text).expect("a schedule"), ..jobs().remove(0) };
        let script = print(&batch_sync(&job).expect("a set-up"));
        assert!(script.contains(&format!("SCHEDULE = '{is}'")), "{script}");
    }
    for wrong in ["", "m", "0m", "5 weeks", "USING CRON * * * * UTC", "USING CRON 1 2 3 4 5 'x", "99999999999m"] {
        refused(Schedule::parse(wrong), "not a schedule", "5 MINUTES");
    }
}

#[test]
fn a_job_that_cannot_work_is_refused() {
    let with = |change: fn(&mut BatchSync)| {
        let mut job = jobs().remove(0);
        change(&mut job);
        batch_sync(&job)
    };
    refused(with(|job| job.project_key = "a b".to_owned()), "--project-key", "dashboard");
    refused(with(|job| job.date_columns = vec!["a,b".to_owned()]), "cannot be an argument", "another name");
    refused(with(|job| job.stream = Name::exact("a$$b").expect("a name")), "`$$` ends", "without `$$`");
    let view = Path::typed("v").expect("a path");
    let bare = Source::View { view: view.clone(), bases: vec![], query: None };
    refused(batch_sync(&BatchSync { source: bare, ..jobs().remove(0) }), "tables below it", "--base");
    let two = Source::View { view: view.clone(), bases: vec![view], query: Some("SELECT 1; DROP TABLE x".to_owned()) };
    refused(batch_sync(&BatchSync { source: two, ..jobs().remove(0) }), "one SELECT", "--view alone");
}

/// The connection's file names a stage so that the connection reads it as it was meant.
#[test]
fn a_stage_whose_name_has_a_dot_stands_in_quotes() {
    let mut options = Options::new("lake", Access::Write, Name::typed("db").expect("a name"));
    options.targets = vec![Path::typed("crm.scores").expect("a path")];
    for (stage, line) in [
        ("loads", "stage: DB.TIDEGATE.LOADS"),
        ("\"big.files\"", r#"stage: "DB.TIDEGATE.\"big.files\"""#),
        ("crm.\"a \"\"b\"\"\"", r#"stage: "DB.CRM.\"a \"\"b\"\"\"""#),
    ] {
        options.stage = Some(Path::typed(stage).expect("a path"));
        let (_, text) = snowflake(&options).expect("a set-up").file.expect("a file");
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}
