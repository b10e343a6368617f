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
pub const PROJECT: &str = include_str!("../../../../demo/tidegate.yaml");

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
        let files: Vec<_> = ALL
            .iter()
            .map(|(path, text)| tidegate_model::config::SourceFile {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        let loaded = tidegate_model::config::load(&files, &crate::project::kinds());
        assert_eq!(loaded.problems, []);
        let found = tidegate_model::config::check(&loaded.project.expect("a project"));
        assert_eq!(found, []);
    }
}
