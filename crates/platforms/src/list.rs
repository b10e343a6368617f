//! The platforms: a plain list. A connector is one folder and one line.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_model::ports::{Limits, Platform};
use tidegate_model::{Error, Result};
use tidegate_net::targets::Targets;

/// Where a connector asks before calls that the engine does not see as such: pages of a list, look-ups. (A write is
/// granted by the engine before it is handed over.) All syncs and workers of a state draw from one budget per account.
#[async_trait]
pub trait Gate: std::fmt::Debug + Send + Sync {
    /// Waits until the account's budget grants a call, within these limits of the platform's and the connection's quota.
    async fn pass(&self, limits: &Limits) -> Result<()>;
}

/// What a connector is told besides its configuration.
#[derive(Debug, Clone, Default)]
pub struct OpenContext {
    /// The project's folder; relative paths start here.
    pub project_dir: PathBuf,
    /// The connection's name.
    pub name: String,
    /// Hosts inside the network that an address of the user's own may lead to (`serve.private_targets`).
    pub private_targets: Vec<String>,
    /// Where its calls may go, if not everywhere. (`http` goes nowhere inside in any case.)
    pub targets: Option<Targets>,
    /// What grants calls, if the account has a budget.
    pub gate: Option<Arc<dyn Gate>>,
}

/// One kind of platform.
pub struct Connector {
    /// `type:` of its connections.
    pub kind: &'static str,
    /// JSON Schema of its configuration.
    pub schema: fn() -> serde_json::Value,
    /// Opens it. Nothing is reached before the first call.
    pub open: fn(&serde_json::Value, &OpenContext) -> Result<Arc<dyn Platform>>,
}

/// All of them.
pub const LIST: &[Connector] = &[
    Connector { kind: "hub", schema: crate::hub::config_schema, open: crate::hub::open_platform },
    Connector { kind: "planhat", schema: crate::planhat::config_schema, open: crate::planhat::open_platform },
    Connector { kind: "http", schema: crate::http::config_schema, open: crate::http::open_platform },
    Connector { kind: "batch", schema: crate::batch::config_schema, open: crate::batch::open_platform },
];

/// Opens a platform by its type and configuration (secrets filled in, `type` and common keys may be among it).
pub fn open(kind: &str, config: &serde_json::Value, context: &OpenContext) -> Result<Arc<dyn Platform>> {
    let connector = LIST.iter().find(|connector| connector.kind == kind).ok_or_else(|| {
        Error::config(format!("the connection {} has the type {kind:?}, which is no platform", context.name))
            .hint(format!("platforms are: {}", kinds().join(", ")))
    })?;
    (connector.open)(config, context)
}

/// The types of platforms.
pub fn kinds() -> Vec<&'static str> {
    LIST.iter().map(|connector| connector.kind).collect()
}
