//! The demo, from an empty folder; looked at with SQL of its own.

use super::bench::{Done, rows, tidegate};

#[test]
fn the_demo_tells_its_story_and_its_project_holds_what_it_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let project = dir.path().join("demo");
    let done: Done = tidegate().arg("demo").arg(&project).output().expect("started").into();
    let done = done.expect(0);
    for word in ["First run", "Second run", "Conflicts", "Rejects", "Try next", "unresolved_reference", "decided"] {
        assert!(done.stdout.contains(word), "the story lacks {word:?}:\n{}", done.stdout);
    }
    assert!(!done.stdout.contains("failed") && !done.stderr.contains("error:"), "{}\n{}", done.stdout, done.stderr);
    let (lake, hub) = (project.join("warehouse.db"), project.join(".tidegate/hub.db"));

    // Two-way: equal on both sides wherever nothing is held.
    let names = "SELECT company_id, name, phase FROM companies ORDER BY company_id";
    let theirs = rows(&hub, "SELECT externalId, name, phase FROM hub_r_company WHERE deleted = 0 ORDER BY externalId");
    let ours: Vec<String> = rows(&lake, names)
        .iter()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|").replace("|trial", "|Trial"))
        .collect();
    assert_eq!(ours.len(), theirs.len());
    let differing: Vec<_> = ours.iter().zip(&theirs).filter(|(a, b)| a != b).collect();
    assert!(differing.is_empty(), "{differing:?}");
    assert_eq!(
        rows(&lake, "SELECT name, phase FROM companies WHERE company_id = 'CRM-1'"),
        ["Born in the CRM Ltd|Onboarding"]
    );

    // The person whose company came late is linked; the held ones are as each side has them.
    let late = "SELECT c.externalId FROM hub_r_enduser u JOIN hub_r_company c ON c.id = u.companyId WHERE u.externalId = 'U003000'";
    assert_eq!(rows(&hub, late), ["GONE-3000"]);
    let held = "SELECT position FROM hub_r_enduser WHERE externalId BETWEEN 'U000201' AND 'U000203'";
    assert_eq!(rows(&hub, held), ["Chief of Everything"; 3]);
    let held = "SELECT position FROM end_users WHERE user_id BETWEEN 'U000201' AND 'U000203'";
    assert_eq!(rows(&lake, held), ["Data Lead"; 3]);

    // Usage: every event of a known person once.
    let known = "SELECT count(*) FROM usage_events WHERE email <> 'nobody@nowhere.example'";
    assert_eq!(rows(&hub, "SELECT count(*) FROM hub_activity"), rows(&lake, known));
    assert_eq!(rows(&hub, "SELECT count(*) FROM hub_metric"), rows(&lake, "SELECT count(*) FROM seats"));
    // Exports.
    let customers = rows(&hub, "SELECT count(*) FROM hub_r_company WHERE status = 'customer' AND deleted = 0");
    assert_eq!(rows(&lake, "SELECT count(*) FROM crm_scores"), customers);
    assert_eq!(rows(&lake, "SELECT count(*) FROM crm_customer_log"), customers);

    // What it proposes works, and a run after it has nothing to write but the table that is rewritten as a whole.
    let inside =
        |args: &[&str]| -> Done { tidegate().current_dir(&project).args(args).output().expect("started").into() };
    let quiet = inside(&["run", "--json"]).expect(3).json();
    assert_eq!(quiet.len(), 9);
    for run in quiet.iter().filter(|run| run["mode"] != "replace") {
        assert_eq!(run["created"].as_u64().unwrap() + run["updated"].as_u64().unwrap(), 0, "{run}");
        assert!(run["error"].is_null(), "{run}");
    }
    // Thousands of events wait for people who never come: every run tries them again, and no guard minds.
    let again = inside(&["run", "activities", "--json"]).expect(3).json();
    assert!(again[0]["error"].is_null() && again[0]["rejected"].as_u64().unwrap() > 3_000, "{}", again[0]);
    inside(&["retry", "activities", "--quiet"]).expect(3);
    inside(&["check", "activities", "--rows"]).expect(0);
    inside(&["why", "endusers", "U000201"]).expect(0);
    inside(&["conflicts", "resolve", "endusers", "U000201", "--field", "position", "--use", "platform"]).expect(0);
    inside(&["run", "endusers", "--quiet"]).expect(3);
    assert_eq!(rows(&lake, "SELECT position FROM end_users WHERE user_id = 'U000201'"), ["Chief of Everything"]);
    let again: Done = tidegate().arg("demo").arg(&project).output().expect("started").into();
    again.expect(2).says(&["is in", "already", "rm -r"]);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("mine.txt"), "mine").expect("written");
    let done: Done = tidegate().arg("demo").arg(dir.path()).output().expect("started").into();
    done.expect(2).says(&["is not empty"]);
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
}
