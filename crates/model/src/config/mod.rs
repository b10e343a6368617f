//! A project's files: read, checked, and made into [`crate::sync::Sync`]s and connections (docs/reference).
//!
//! Nothing is fetched here: the caller hands in the texts, and [`Lookups`] when a connection is opened. No connector is
//! named here: the caller hands in which types there are as [`KindInfo`]s.

mod canonical;
mod check;
mod connection;
mod hash;
mod json_schema;
mod positions;
mod problem;
mod project;
mod reference;
mod settings;
mod shape;
mod sync;
mod units;
mod validate;
mod yaml;

pub use canonical::canonical_json;
pub use check::{Found, Sides, check, check_with};
pub use connection::{Connection, KindInfo, Quota, Side};
pub use hash::{config_hash, shape_hash};
pub use json_schema::json_schema;
pub use positions::Positions;
pub use problem::{At, Place, Problem, did_you_mean};
pub use project::{Loaded, Oidc, PROJECT_FILE, Project, Retention, Serve, SourceFile, load};
pub use reference::{Lookups, Resolved, resolve_settings, resolve_text};
pub use units::{parse_duration_ms, parse_zone};
