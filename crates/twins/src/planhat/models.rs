//! Planhat's models, as far as the twin has to know them.

use std::sync::LazyLock;

use serde::Deserialize;

/// A model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    /// Its name.
    pub(super) model: String,
    /// The first part of its path.
    pub(super) endpoint: String,
    /// What a new record needs.
    pub(super) required: Vec<String>,
    /// Fields by which it is found, in order of precedence.
    pub(super) keys: Vec<String>,
    /// The field that names its company.
    pub(super) company: Option<String>,
    /// How many a list gives when nobody says, and at most.
    pub(super) page: (usize, usize),
    /// Whether single records can be made, read and changed.
    #[serde(default = "yes")]
    pub(super) single: bool,
    /// Whether an array can be put.
    #[serde(default = "yes")]
    pub(super) bulk: bool,
}

fn yes() -> bool {
    true
}

// A file of our own that cannot be read leaves the twin without models: its test says so.
static ALL: LazyLock<Vec<Model>> =
    LazyLock::new(|| serde_json::from_str(include_str!("models.json")).unwrap_or_default());

/// All of them.
pub(super) fn all() -> &'static [Model] {
    &ALL
}

/// The model at an endpoint.
pub(super) fn at(endpoint: &str) -> Option<&'static Model> {
    ALL.iter().find(|model| model.endpoint == endpoint)
}

/// The model of this name.
pub(super) fn named(name: &str) -> Option<&'static Model> {
    ALL.iter().find(|model| model.model == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_models_is_sound() {
        assert_eq!(all().len(), 24);
        assert!(all().iter().all(|model| model.keys[0] == "_id" && model.page.0 <= model.page.1));
        assert!(at("companies").is_some_and(|model| model.required == ["name"]));
        assert!(named("customfield").is_some_and(|model| !model.bulk));
    }
}
