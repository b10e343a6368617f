//! Settings of a connection.

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_model::secret::Secret;

/// A Postgres database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "postgres")]
pub(crate) struct Config {
    /// Where it is: `postgres://user:password@host:5432/database`, with `sslmode` and `sslrootcert` as libpq knows them.
    #[schemars(with = "String")]
    pub(crate) url: Secret,
}
