//! What is asked, what is refused before anything moves, and what is cleared.

use serde_json::json;

use super::bench::tidegate;
use super::lab::{Lab, PROJECT, profile};

#[test]
fn what_was_cleared_in_the_warehouse_is_cleared_at_batch() {
    let lab = Lab::new("CUSTOM_ID VARCHAR, PLAN VARCHAR, SEEN DATE, SITE VARCHAR, NOTE VARCHAR");
    lab.sql("INSERT INTO LAB.CRM.PROFILES SELECT 'A', 'pro', '2026-01-01'::DATE, 'https://a.example', 'x'");
    assert_eq!(lab.run(&["--url-columns=SITE"]).exit, 0);
    assert_eq!(lab.profile("A").as_object().map(serde_json::Map::len), Some(4));
    lab.sql("UPDATE LAB.CRM.PROFILES SET PLAN = NULL, SEEN = NULL, SITE = NULL, NOTE = ''");
    let told = lab.run(&["--url-columns=SITE"]);
    let nulls = json!({ "plan": null, "date(seen)": null, "url(site)": null, "note": null });
    assert_eq!((told.sent, told.exit), (vec![json!([profile("A", nulls)])], 0));
    assert_eq!(lab.profile("A"), json!({}), "empty text is no text at Batch: it deletes as well");
}

#[test]
fn ids_that_are_numbers_and_columns_in_quotes() {
    let lab = Lab::new("CUSTOM_ID NUMBER(38,0), \"Plan\" VARCHAR, ACTIVE BOOLEAN, RATIO FLOAT");
    lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES (42, 'pro', TRUE, 0.5)");
    let told = lab.run(&["--id-column", "custom_id"]);
    assert_eq!(told.sent, [json!([profile("42", json!({ "plan": "pro", "active": true, "ratio": 0.5 }))])]);
}

#[test]
fn a_stream_on_a_view_and_another_table_of_keys() {
    let lab = Lab::new("ID VARCHAR, PLAN VARCHAR, SECRET_NOTE VARCHAR");
    lab.sql("CREATE VIEW LAB.CRM.V AS SELECT ID AS CUSTOM_ID, PLAN AS TARIFF FROM LAB.CRM.PROFILES");
    lab.sql("CREATE STREAM LAB.CRM.\"view stream\" ON VIEW LAB.CRM.V");
    lab.sql("CREATE TABLE LAB.CRM.KEYS AS SELECT * FROM LAB.JOB.BATCH_API_CREDENTIALS");
    lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES ('A', 'pro', 'never sent')");
    let more = ["--source-stream", "lab.crm.\"view stream\"", "--api-credentials-table=crm.keys"];
    let told = lab.run(&more);
    assert_eq!(told.sent, [json!([profile("A", json!({ "tariff": "pro" }))])]);
    assert_eq!(lab.account.count("SELECT 1 FROM LAB.CRM.\"view stream\""), 0);
    assert_eq!(lab.account.count("SELECT 1 FROM LAB.JOB.TIDEGATE_RUNS WHERE SYNC = 'LAB.CRM.view stream'"), 1);
}

#[test]
fn a_stream_that_shows_its_first_rows_delivers_them_once_and_then_what_changes() {
    let lab = Lab::new("CUSTOM_ID VARCHAR, PLAN VARCHAR");
    lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES ('A', 'pro'), ('B', 'free')");
    lab.sql("CREATE OR REPLACE STREAM LAB.JOB.PROFILES_STREAM ON TABLE LAB.CRM.PROFILES SHOW_INITIAL_ROWS = TRUE");
    lab.sql("UPDATE LAB.CRM.PROFILES SET PLAN = 'max' WHERE CUSTOM_ID = 'B'");
    let sent = |id: &str, plan: &str| profile(id, json!({ "plan": plan }));
    let first: Vec<_> = lab.run(&[]).sent.into_iter().map(super::lab::by_id).collect();
    assert_eq!(first, [json!([sent("A", "pro"), sent("B", "free")])]);
    assert_eq!(lab.run(&[]).sent, [json!([sent("B", "max")])]);
    assert_eq!(lab.run(&[]).sent.len(), 0);
}

#[test]
fn what_cannot_work_is_refused_before_anything_moves() {
    let lab = Lab::new("CUSTOM_ID VARCHAR, \"Plan Name\" VARCHAR");
    lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES ('A', 'pro')");
    lab.job(&[]).expect(2).says(&["no attribute \"plan name\"", "AS plan_name"]);
    lab.job(&["--id-column=CUSTOMID"]).expect(2).says(&["no column CUSTOMID", "did you mean CUSTOM_ID"]);
    lab.job(&["--source-stream=LAB.CRM.PROFILES"]).expect(2).says(&["is no stream", "CREATE STREAM"]);
    lab.job(&["--source-stream=LAB.CRM.NOWHERE"]).expect(1).says(&["NOWHERE"]);
    lab.job(&["--connection-parameters={\"pasword\": 1}"]).expect(2).says(&["`pasword`, which is not known"]);
    assert_eq!((lab.stream(), lab.sent().len()), (1, 0));
    assert_eq!(lab.runs("failed"), 4, "each is written down");
    let lab = Lab::new("CUSTOM_ID VARCHAR, DOC VARIANT");
    lab.job(&[]).expect(2).says(&["DOC", "no attribute of Batch can hold", "cast it in the view"]);
    let lab =
        Lab::new(&format!("CUSTOM_ID VARCHAR{}", (0..51).map(|at| format!(", A{at} VARCHAR")).collect::<String>()));
    lab.job(&[]).expect(2).says(&["51 attributes are mapped, and an update takes 50"]);
}

#[test]
fn arguments_are_those_of_the_published_job() {
    let help = tidegate().args(["batch-sync", "--help"]).output().expect("started");
    let text = String::from_utf8(help.stdout).expect("text");
    for flag in [
        "--project-key",
        "--source-stream",
        "--id-column",
        "--date-columns",
        "--url-columns",
        "--api-credentials-table",
        "--connection-parameters",
    ] {
        assert!(text.contains(flag), "{flag}");
    }
    let missing = tidegate().args(["batch-sync", "--project-key", "k"]).output().expect("started");
    assert_eq!(missing.status.code(), Some(2));
    let nowhere = tidegate()
        .args(["batch-sync", "--project-key=k", "--source-stream=S", "--id-column=ID"])
        .env_clear()
        .output()
        .expect("started");
    let told = String::from_utf8(nowhere.stderr).expect("text");
    assert!(nowhere.status.code() == Some(2) && told.contains("nothing says how to log in"), "{told}");
}

/// The arguments that stand in the specification of the task.
fn of_the_task(sql: &str) -> Vec<String> {
    let quoted = sql.lines().filter_map(|line| line.trim().strip_prefix("- \"--"));
    quoted.map(|rest| serde_json::from_str(&format!("\"--{rest}")).expect("a text in quotes")).collect()
}

#[test]
fn the_task_that_setup_prints_runs_this_job() {
    let lab = Lab::new("CUSTOM_ID VARCHAR, SITE VARCHAR, NOTED VARCHAR");
    lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES ('A', 'https://a.example', '2026-01-02')");
    let mut setup = tidegate();
    setup.args(["setup", "batch-sync", "--project-key", PROJECT, "--database", "LAB", "--schema", "JOB"]);
    setup.args([
        "--table",
        "CRM.PROFILES",
        "--id-column",
        "CUSTOM_ID",
        "--date-columns",
        "NOTED",
        "--url-columns",
        "SITE",
    ]);
    let printed = String::from_utf8(setup.output().expect("started").stdout).expect("text");
    let args = of_the_task(&printed);
    assert_eq!(args.len(), 6, "{args:?}\n{printed}");
    // The stream as it is printed, on what stands there.
    let from = printed.find("CREATE STREAM").expect("a stream");
    let stream = printed[from..].split(';').next().expect("a statement");
    lab.sql("DROP STREAM LAB.JOB.PROFILES_STREAM");
    lab.sql(stream);
    let mut words: Vec<&str> =
        args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--project-key")).collect();
    words.retain(|arg| !arg.is_empty());
    let mut command = lab.command(&[]);
    let own: Vec<String> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let keep = |arg: &&String| !arg.starts_with("--source-stream") && !arg.starts_with("--id-column");
    let again = tidegate_with(&mut command, own.iter().filter(keep).map(String::as_str).chain(words));
    assert_eq!(again, 0);
    let ours = json!({ "url(site)": "https://a.example", "date(noted)": "2026-01-02T00:00:00Z" });
    assert_eq!(lab.sent(), [json!([profile("A", ours)])]);
}

/// Runs a command's twin with other arguments; its exit code.
fn tidegate_with<'a>(like: &mut std::process::Command, args: impl Iterator<Item = &'a str>) -> i32 {
    let mut command = tidegate();
    command.env_clear().args(args);
    for (name, value) in like.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    let done = command.output().expect("started");
    println!("{}", String::from_utf8_lossy(&done.stderr));
    done.status.code().unwrap_or(-1)
}
