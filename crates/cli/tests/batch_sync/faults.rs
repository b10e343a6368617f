//! Lost answers, storms of 429, refused profiles, dead credentials: nothing is lost, and the exit code tells.

use serde_json::json;
use tidegate_twins::{Fault, Knobs, Step};

use super::lab::{Lab, faults, quiet};

const ROWS: usize = 600;

fn converges(seed: u64, lost: f64) {
    let lab = Lab::of("CUSTOM_ID VARCHAR, PLAN VARCHAR, VISITS NUMBER(9,0)", "project_lab", faults(seed, lost));
    lab.sql(&format!(
        "INSERT INTO LAB.CRM.PROFILES SELECT 'P' || SEQ4(), 'pro', SEQ4() FROM TABLE(GENERATOR(ROWCOUNT => {ROWS}))"
    ));
    let mut rejected = 0;
    for round in 0..4 {
        let done = lab.job(&[]);
        assert!([0, 1, 3].contains(&done.code), "seed {seed}: {}", done.stderr);
        rejected += done.json()[0]["dropped_fields"].as_u64().expect("a number");
        lab.sql(&format!("UPDATE LAB.CRM.PROFILES SET VISITS = VISITS + 1000 WHERE CUSTOM_ID LIKE 'P{round}%'"));
    }
    assert!(rejected > 0, "seed {seed}: nothing was refused on purpose");
    assert_eq!(lab.account.count("SELECT 1 FROM LAB.JOB.TIDEGATE_REJECTS"), rejected, "seed {seed}: each is listed");
    // What was refused on purpose is in the list; touched once more, it arrives.
    lab.twin.turn(quiet());
    lab.sql("UPDATE LAB.CRM.PROFILES SET VISITS = VISITS + 1");
    for _ in 0..4 {
        if lab.run(&[]).exit == 0 {
            break;
        }
    }
    assert_eq!((lab.profiles(), lab.stream(), lab.outbox()), (ROWS as i64, 0, 0), "seed {seed}");
    for number in [0_usize, 7, 123, 400, 599] {
        let held = lab.profile(&format!("P{number}"));
        let more = if number.to_string().starts_with(['0', '1', '2', '3']) { 1_000 } else { 0 };
        assert_eq!(
            (&held["string:plan"], &held["integer:visits"]),
            (&json!("pro"), &json!(number + more + 1)),
            "{held}"
        );
    }
}

#[test]
fn five_percent_of_lost_answers_converge() {
    converges(1, 5.0);
}

#[test]
fn thirty_percent_of_lost_answers_converge() {
    converges(2, 30.0);
}

#[test]
fn a_bad_profile_is_found_and_the_others_arrive() {
    let lab = Lab::new("CUSTOM_ID VARCHAR, PLAN VARCHAR");
    lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES ('A', 'pro'), ('B', 'free'), ('C', 'max'), ('D', 'one')");
    let refused = |at: u64| Step { after: at, ..Step::next("POST", "", Fault::Status(422)) };
    // The whole, its first half, and the first of that: one of four is bad.
    lab.twin.turn(Knobs { script: vec![refused(0), refused(0), refused(0)], ..quiet() });
    let told = lab.run(&[]);
    assert_eq!((told.exit, told.stream, lab.profiles(), lab.outbox()), (3, 0, 3, 0));
    assert_eq!(
        lab.account.count("SELECT 1 FROM LAB.JOB.TIDEGATE_REJECTS WHERE RULE = 'refused' AND KEY IS NOT NULL"),
        1
    );
}

#[test]
fn dead_credentials_fail_the_job_and_keep_everything() {
    let lab = Lab::new("CUSTOM_ID VARCHAR, PLAN VARCHAR");
    lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES ('A', 'pro')");
    lab.sql("UPDATE LAB.JOB.BATCH_API_CREDENTIALS SET REST_API_KEY = 'revoked'");
    lab.job(&[]).expect(1).says(&["refuses our credentials", "hint:"]);
    assert_eq!((lab.outbox(), lab.runs("failed")), (1, 1));
    lab.sql("DELETE FROM LAB.JOB.BATCH_API_CREDENTIALS");
    lab.job(&[]).expect(2).says(&["has no key for the project project_lab", "INSERT INTO"]);
    lab.sql(&format!("INSERT INTO LAB.JOB.BATCH_API_CREDENTIALS VALUES ('project_lab', '{}')", super::lab::KEY));
    assert_eq!((lab.run(&[]).exit, lab.profiles(), lab.outbox()), (0, 1, 0));
}

#[test]
fn a_stream_that_went_stale_is_said_with_what_to_do() {
    let lab = Lab::new("CUSTOM_ID VARCHAR, PLAN VARCHAR");
    lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES ('A', 'pro')");
    lab.run(&[]);
    lab.sql("UPDATE LAB.CRM.PROFILES SET PLAN = 'max'");
    lab.sql("CALL STAND_IN$ADVANCE(1300000)");
    lab.job(&[]).expect(1).says(&["is stale", "SHOW_INITIAL_ROWS = TRUE"]);
}
