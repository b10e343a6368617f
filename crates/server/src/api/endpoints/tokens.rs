//! `GET /tokens`

use schemars::JsonSchema;
use serde::Serialize;

use super::prelude::*;

/// A token, by name; what it says was shown once, when it was made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct TokenAnswer {
    /// Its name.
    token: String,
    /// `read`, `run`, `edit`.
    scope: String,
    /// Who made it.
    created_by: String,
    /// When.
    created_at: String,
    /// Until when it holds.
    expires_at: Option<String>,
    /// When it was used last, to the minute.
    used_at: Option<String>,
}

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/tokens", Scope::Admin, "tokens", "All tokens, by name").served(
        |call: Call<Nothing, Nothing, Nothing>| async move {
            let tokens = call.api.access.store.tokens().await?.into_iter().map(|token| TokenAnswer {
                token: token.name,
                scope: token.scope,
                created_by: token.created_by,
                created_at: token.created_at.to_string(),
                expires_at: token.expires_at.map(|at| at.to_string()),
                used_at: token.used_at.map(|at| at.to_string()),
            });
            Ok(Page { items: tokens.collect(), next: None })
        },
    )
}
