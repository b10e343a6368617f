//! The files of the demo's project, as they stand in the folder `demo/` of the repository.

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../demo/", $path)))),+]
    };
}

/// Path and text of each file.
pub const ALL: &[(&str, &str)] = files![
    "tidegate.yaml",
    "connections/lake.yaml",
    "connections/crm.yaml",
    "syncs/companies.yaml",
    "syncs/endusers.yaml",
    "syncs/licenses.yaml",
    "syncs/opportunities.yaml",
    "syncs/activities.yaml",
    "syncs/metrics.yaml",
    "syncs/revenue.yaml",
    "syncs/scores.yaml",
    "syncs/customer_log.yaml",
];

/// The project's own file, by which a demo is known.
const PROJECT: &str = include_str!("../../../../demo/tidegate.yaml");

/// The environment variable that names the database of a demo on Postgres.
pub const PG_URL: &str = "PG_URL";

/// What changes in a file for Postgres: the lines that say where things are.
const ON_POSTGRES: &[(&str, &str, &str)] = &[
    (
        "tidegate.yaml",
        "state: sqlite:.tidegate/state.db      # ledger, runs, cursors; copy the folder and you copy everything",
        "state: \"${PG_URL}\"                    # ledger, runs, cursors, in the schema tidegate",
    ),
    ("connections/lake.yaml", "type: sqlite\npath: warehouse.db", "type: postgres\nurl: \"${PG_URL}\""),
    (
        "connections/lake.yaml",
        "# The warehouse. For Postgres write `type: postgres` and `url: \"${PG_URL}\"`.",
        "# The warehouse.",
    ),
    ("connections/crm.yaml", "url: sqlite:.tidegate/hub.db", "url: \"${PG_URL}\""),
    ("connections/crm.yaml", " For Postgres write `url: \"${HUB_URL}\"`.", " Its tables start with hub_."),
];

/// A file of the project, for a SQLite warehouse or for Postgres.
pub fn text(path: &str, text: &str, on_postgres: bool) -> String {
    let mut text = text.to_owned();
    for (_, from, to) in ON_POSTGRES.iter().filter(|(of, ..)| on_postgres && *of == path) {
        text = text.replace(from, to);
    }
    text
}

/// Whether this is the project's own file of a demo.
pub fn is_project(text: &str) -> bool {
    [false, true].iter().any(|on_postgres| self::text("tidegate.yaml", PROJECT, *on_postgres) == text)
}

/// The warehouse's file, as `connections/lake.yaml` names it.
pub const WAREHOUSE: &str = "warehouse.db";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_in_the_binary() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
        let mut found = 0;
        for part in ["", "connections", "syncs"] {
            for entry in std::fs::read_dir(folder.join(part)).expect("listed") {
                let entry = entry.expect("an entry");
                if entry.file_type().expect("a type").is_file() {
                    let path = std::path::Path::new(part).join(entry.file_name());
                    assert!(ALL.iter().any(|(known, _)| path == std::path::Path::new(known)), "{}", path.display());
                    found += 1;
                }
            }
        }
        assert_eq!(found, ALL.len());
    }

    #[test]
    fn the_project_is_well_formed() {
        for on_postgres in [false, true] {
            let file = |(path, text): &(&str, &str)| tidegate_model::config::SourceFile {
                path: (*path).to_owned(),
                text: super::text(path, text, on_postgres),
            };
            let files: Vec<_> = ALL.iter().map(file).collect();
            let loaded = tidegate_model::config::load(&files, &crate::project::kinds());
            assert_eq!(loaded.problems, []);
            let found = tidegate_model::config::check(&loaded.project.expect("a project"));
            assert_eq!(found, []);
        }
    }

    #[test]
    fn each_change_for_postgres_is_one() {
        for (path, from, _) in ON_POSTGRES {
            let (_, text) = ALL.iter().find(|(known, _)| known == path).expect("a file");
            assert_eq!(text.matches(from).count(), 1, "{path}: {from}");
        }
        assert!(is_project(PROJECT) && is_project(&text("tidegate.yaml", PROJECT, true)) && !is_project("version: 1"));
    }
}
