//! The checker must be able to fail: each of these has one mistake in it.

use super::checker::{Used, check, keywords};

fn fails(sql: &str, why: &str) {
    let answer = check(&keywords(), sql, &mut Used::new());
    let Err(told) = answer else { panic!("passed: {sql}") };
    assert!(told.contains(why), "{told}, expected {why}");
}

#[test]
fn a_planted_unknown_option_fails() {
    let good = "CREATE USER IF NOT EXISTS \"U\" TYPE = SERVICE COMMENT = 'c'";
    assert_eq!(check(&keywords(), good, &mut Used::new()), Ok(1));
    fails(&good.replace("COMMENT", "REMARK"), "has no option REMARK");
    fails(&good.replace("TYPE = SERVICE", "TYPE = ROBOT"), "TYPE does not take that value");
    fails(&format!("{good} COMMENT = 'again'"), "COMMENT twice");
}

#[test]
fn an_unknown_privilege_fails() {
    let good = "GRANT SELECT, INSERT ON TABLE \"D\".\"S\".\"T\" TO ROLE \"R\"";
    assert_eq!(check(&keywords(), good, &mut Used::new()), Ok(1));
    fails(&good.replace("INSERT", "WRITE"), "TABLE has no privilege \"WRITE\"");
    fails(&good.replace("INSERT", "ALL PRIVILEGES"), "ALL PRIVILEGES");
    fails(&good.replace("TABLE", "TABEL"), "nothing that rights can be on");
    fails(&format!("{good} WITH GRANT OPTION"), "something stands behind the grant");
    fails("GRANT SELECT ON FUTURE PIPES IN SCHEMA \"D\".\"S\" TO ROLE \"R\"", "in bulk");
    fails("GRANT INSERT ON ALL VIEWS IN SCHEMA \"D\".\"S\" TO ROLE \"R\"", "VIEW has no privilege \"INSERT\"");
}

#[test]
fn what_cannot_be_run_again_fails() {
    fails("CREATE ROLE \"R\"", "cannot be run again");
    fails("CREATE OR REPLACE ROLE \"R\"", "no such statement");
    fails("DROP ROLE \"R\"", "no such statement");
}

#[test]
fn missing_and_misplaced_words_fail() {
    fails("CREATE OR ALTER NETWORK RULE \"R\" TYPE = IPV4 MODE = INGRESS", "needs VALUE_LIST");
    fails("ALTER TASK \"T\" START", "needs RESUME or SUSPEND");
    fails("CREATE STREAM IF NOT EXISTS \"S\" SHOW_INITIAL_ROWS = TRUE", "needs ON TABLE or ON VIEW");
    fails(
        "CREATE TASK IF NOT EXISTS \"T\" WAREHOUSE = \"W\" SCHEDULE = '1 HOURS' AS DROP TABLE \"T\"",
        "no such statement",
    );
    fails("EXECUTE JOB SERVICE IN COMPUTE POOL P FROM SPECIFICATION $$spec$$ QUERY_WAREHOUSE = W", "the last thing");
    fails("CREATE TABLE IF NOT EXISTS \"T\" (A TEXTUAL)", "no type of a column");
    fails("CREATE ROLE IF NOT EXISTS \"R\" COMMENT = 'it''s", "is not closed");
    fails("SELECT SYSTEM$SHOW_OAUTH_CLIENT_SECRETS('A', 'B')", "takes 1 arguments");
    fails("SELECT CURRENT_ORGANIZATION_NAME(), 1", "must be");
}

#[test]
fn a_name_cannot_break_out_of_its_quotes() {
    let sly = super::super::Name::exact("T\" TO ROLE \"PUBLIC\"; DROP TABLE \"X").expect("a name");
    let sql = format!("GRANT SELECT ON TABLE {} TO ROLE \"R\"", sly.quoted());
    assert_eq!(check(&keywords(), &sql, &mut Used::new()), Ok(1));
    let sly = super::super::name::literal("it's \\' ; --");
    let sql = format!("CREATE ROLE IF NOT EXISTS \"R\" COMMENT = {sly}");
    assert_eq!(check(&keywords(), &sql, &mut Used::new()), Ok(1));
}
