//! The connection's settings.

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_model::secret::{Secret, redact_url};
use tidegate_model::{Error, Result};

use crate::list::OpenContext;

/// The version that Batch's own documentation names first.
const VERSION: &str = "2.11";
/// Where Batch's API is.
const URL: &str = "https://api.batch.com";
/// Most characters of a `custom_id`. From Batch's general documentation, not confirmed for this call.
const CUSTOM_ID_MAX: u32 = 512;

/// `type: batch`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct BatchConfig {
    /// The project's key, as Batch's dashboard shows it (`project_…`).
    pub project_key: String,
    /// The REST API key. It opens the whole company's account.
    #[schemars(with = "String")]
    pub rest_api_key: Secret,
    /// Where the API is; `https://api.batch.com` if it is left out.
    #[serde(default = "url")]
    pub url: String,
    /// The API's version, such as `2.11`.
    #[serde(default = "version")]
    pub api_version: String,
    /// Most characters of a `custom_id`; 512 if it is left out. Batch's limit for this call is not confirmed.
    #[serde(default = "custom_id_max")]
    pub custom_id_max: u32,
    /// How the deletion of a date or an address is written: under the attribute's `typed` name (`date(x)`), or the
    /// `plain` one (`x`). Batch's documentation shows plain attributes only.
    #[serde(default)]
    pub null_key: NullKey,
}

/// How the deletion of a typed attribute names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NullKey {
    /// `date(x)`: the same name as when it was written.
    #[default]
    Typed,
    /// `x`.
    Plain,
}

fn url() -> String {
    URL.to_owned()
}

fn version() -> String {
    VERSION.to_owned()
}

fn custom_id_max() -> u32 {
    CUSTOM_ID_MAX
}

impl BatchConfig {
    /// Reads and checks the settings of a connection.
    pub fn read(config: &serde_json::Value, context: &OpenContext) -> Result<Self> {
        let place = |error: Error| error.at(format!("connection {}", context.name));
        let read: Self = serde_json::from_value(config.clone()).map_err(|error| {
            Error::config(format!("the connection {} is not one to Batch", context.name))
                .hint("it takes: project_key, rest_api_key, url?, api_version?, custom_id_max?, null_key?")
                .cause(error)
        })?;
        read.check().map_err(place)
    }

    /// Settings that could never work are refused before the first call.
    pub fn check(mut self) -> Result<Self> {
        self.url.truncate(self.url.trim_end_matches('/').len());
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        let known = self.url.starts_with("https://") || local.iter().any(|start| self.url.starts_with(start));
        if !known {
            return Err(Error::config(format!("url {} is not https", redact_url(&self.url)))
                .hint("the REST API key would travel in the clear; http is for a twin on this machine only"));
        }
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !self.api_version.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor)) {
            return Err(Error::config(format!("api_version {:?} is no version", self.api_version))
                .hint(format!("write it as \"{VERSION}\", in quotes, or leave it out")));
        }
        for (name, text) in [("project_key", self.project_key.as_str()), ("rest_api_key", self.rest_api_key.expose())] {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(Error::config(format!(
                    "{name} is empty or holds blanks or other signs that a key has not"
                ))
                .hint("copy it again from Batch's dashboard; a line end at its end is a frequent guest"));
            }
        }
        Ok(self)
    }
}
