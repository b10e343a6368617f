//! The hub's configuration.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_model::{Error, Result};

use super::db::pool::Place;
use super::db::postgres::Server;

/// `type: hub`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct HubConfig {
    /// Where the hub keeps its records: `sqlite:PATH`, relative to the project, or `postgres://user:password@host/database`.
    #[serde(default = "default_url")]
    pub url: String,
}

fn default_url() -> String {
    "sqlite:.tidegate/hub.db".to_owned()
}

/// Where a URL points to.
pub fn place(url: &str, project: &Path) -> Result<Place> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Place::Server(Box::new(Server::parse(url, project)?)));
    }
    let Some(path) = url.strip_prefix("sqlite:") else {
        // The url may hold a password: it is not repeated.
        return Err(Error::config("the hub's url is neither sqlite:PATH nor postgres://…")
            .hint("leave it out for the default, sqlite:.tidegate/hub.db"));
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(Error::config("the hub's url names no file").hint("write url: sqlite:.tidegate/hub.db"));
    }
    Ok(Place::File(project.join(path)))
}
