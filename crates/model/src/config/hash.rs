//! Hashes of what a sync is: they outlive versions of this program, the order of keys and the layout of the files.

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::canonical::canonical_json;
use super::project::Project;
use crate::sync::Sync;

/// Bytes of a hash that are kept: 128 bits.
const BYTES: usize = 16;

fn hash(value: &Json) -> String {
    let digest = Sha256::digest(canonical_json(value).as_bytes());
    digest.iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect()
}

fn json_of(sync: &Sync) -> Json {
    // A sync is plain data: it has no form that JSON lacks.
    serde_json::to_value(sync).unwrap_or(Json::Null)
}

/// Changes with anything that changes what a run does: the sync but for when it runs by itself, and the settings of its
/// two connections as written (references by name, never their values).
pub fn config_hash(project: &Project, sync: &str) -> String {
    let Some(sync) = project.syncs.get(sync) else { return hash(&Json::Null) };
    let mut own = json_of(sync);
    if let Some(map) = own.as_object_mut() {
        for key in ["schedule", "automation", "after"] {
            map.remove(key);
        }
    }
    let connection = |name: &str| match project.connections.get(name) {
        Some(found) => json!({
            "kind": found.kind,
            "settings": found.settings,
            "access_write": found.access_write,
            "work_schema": found.work_schema,
        }),
        None => Json::Null,
    };
    hash(&json!([own, connection(&sync.warehouse_connection), connection(&sync.platform_connection)]))
}

/// Changes with what may not change without `reset`: key, relation, model and connections.
pub fn shape_hash(project: &Project, sync: &str) -> String {
    let Some(sync) = project.syncs.get(sync) else { return hash(&Json::Null) };
    let own = json_of(sync);
    let part = |key: &str| own.get(key).cloned().unwrap_or(Json::Null);
    hash(&json!([
        part("key"),
        part("source"),
        part("model"),
        part("warehouse_connection"),
        part("platform_connection")
    ]))
}
