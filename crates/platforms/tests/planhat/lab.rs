//! A tenant of the twin, and the connector on it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidegate_model::ports::Platform;
use tidegate_platforms::{Gate, OpenContext, open};
use tidegate_twins::planhat::{Planhat, TENANT, TOKEN};
use tidegate_twins::{Knobs, Limits, Running, Start, start};

/// A tenant.
pub struct Tenant {
    pub twin: Running,
    platform: Arc<dyn Platform>,
}

/// The knobs of most tests: no limits, nothing goes wrong.
pub fn quiet() -> Knobs {
    Knobs { limits: Limits::Off, ..Knobs::default() }
}

/// Quiet, with one choice among what is not known of Planhat.
pub fn unsure(name: &str, choice: &str) -> Knobs {
    Knobs { unsure: [(name.to_owned(), choice.to_owned())].into(), ..quiet() }
}

/// A new tenant.
pub async fn tenant() -> Tenant {
    Tenant::with(quiet(), json!({})).await
}

impl Tenant {
    /// A new tenant with these knobs, and a connection with these settings more.
    pub async fn with(knobs: Knobs, settings: Json) -> Self {
        let twin = Arc::new(Planhat::new(TOKEN, TENANT));
        let twin = start(twin, Start { knobs, ..Start::default() }).await.expect("a twin");
        let platform = connect(&twin.url(), settings);
        Self { twin, platform }
    }
    /// The connector as the engine sees it.
    pub fn port(&self) -> &dyn Platform {
        &*self.platform
    }
    /// Another connection to the same tenant.
    pub fn again(&self, settings: Json) -> Arc<dyn Platform> {
        connect(&self.twin.url(), settings)
    }
    /// What the twin holds of a model.
    pub fn holds(&self, name: &str) -> Vec<Json> {
        let shelves = self.twin.holds(10_000).expect("what it holds");
        shelves.into_iter().filter(|shelf| shelf.name == name).flat_map(|shelf| shelf.newest).collect()
    }
}

/// A connection.
pub fn connect(url: &str, settings: Json) -> Arc<dyn Platform> {
    connect_through(url, settings, None)
}

/// A connection whose calls are granted by somebody.
pub fn connect_through(url: &str, settings: Json, gate: Option<Arc<dyn Gate>>) -> Arc<dyn Platform> {
    let mut config = json!({ "token": TOKEN, "tenant": TENANT, "url": url, "analytics_url": url });
    for (key, value) in settings.as_object().expect("settings") {
        config[key] = value.clone();
    }
    let context =
        OpenContext { project_dir: PathBuf::from("."), name: "crm".to_owned(), gate, ..OpenContext::default() };
    open("planhat", &config, &context).expect("a connection")
}
