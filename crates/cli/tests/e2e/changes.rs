//! What a project and its tables become over time: columns come, syncs go.

use super::bench::Bench;

fn logged(bench: &Bench) -> String {
    let run = bench.run(&["run", "--json"]).expect(0).json()[0]["run"].as_str().expect("an id").to_owned();
    bench.run(&["logs", &run]).expect(0).stdout
}

#[test]
fn an_added_column_is_noted_once() {
    let bench = Bench::with_companies();
    let note = "new column `segment`; no field maps it";
    assert!(!logged(&bench).contains("new column"));
    bench.lake("ALTER TABLE companies ADD COLUMN segment TEXT");
    let log = logged(&bench);
    assert!(log.contains(note), "{log}");
    assert!(!logged(&bench).contains("new column"));
}

#[test]
fn the_state_of_a_removed_sync_is_listed_as_orphaned_until_it_is_reset() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.run(&["check"]).expect(0);
    std::fs::remove_file(bench.path("syncs/companies.yaml")).expect("removed");
    let listed = bench.run(&["check", "--json"]).expect(0).json();
    let orphaned: Vec<_> = listed.iter().filter(|line| line["finding"] == "orphaned_state").collect();
    assert_eq!(orphaned.len(), 1, "{listed:?}");
    assert_eq!((&orphaned[0]["sync"], &orphaned[0]["severity"]), (&"companies".into(), &"info".into()));
    let told = bench.run(&["check"]).expect(0).stdout;
    for words in ["orphaned state", "3 linked records", "tidegate reset companies --yes"] {
        assert!(told.contains(words), "{told}");
    }
    bench.run(&["reset", "companies"]).expect(2).says(&["3 linked records"]);
    let done = bench.run(&["reset", "companies", "--yes", "--json"]).expect(0).json();
    assert_eq!(done[0]["dropped"], 3);
    let left = bench.run(&["check", "--json"]).expect(0).json();
    assert!(left.iter().all(|line| line["finding"] != "orphaned_state"), "{left:?}");
    bench.run(&["reset", "companies", "--yes"]).expect(2).says(&["companies"]);
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company"), ["3"], "the target keeps its records");
}
