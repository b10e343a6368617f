//! What the desk answers about syncs that are not saved yet, about usage, and about signing in to other systems.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

/// Rows through a mapping.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct PreviewAnswer {
    /// The mapped fields, in the order of the cells.
    pub fields: Vec<PreviewField>,
    /// The rows.
    pub rows: Vec<PreviewRow>,
}

/// A mapped field.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PreviewField {
    /// Where its values come from: a column, a field of the platform, or `always`.
    pub column: String,
    /// Where they go.
    pub field: String,
}

/// A row.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PreviewRow {
    /// Its key; `null`: it has none that can be used.
    pub key: Option<String>,
    /// Its cells. Values of fields under `redact:` are `***`.
    pub cells: Vec<PreviewCell>,
}

/// A value and what becomes of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PreviewCell {
    /// As it stands at the source.
    pub from: Json,
    /// As it would be written.
    pub to: Json,
    /// Why it does not fit, if it does not.
    pub misfit: Option<String>,
}

/// A day of a series.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UsageAnswer {
    /// `2026-05-01`
    pub day: String,
    /// How much there was.
    pub value: f64,
}

/// Where to sign in.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SignInAnswer {
    /// The page of the other system.
    pub authorize_url: String,
    /// Where it sends the browser back to: the client there has to know it to the letter.
    pub redirect_uri: String,
}
