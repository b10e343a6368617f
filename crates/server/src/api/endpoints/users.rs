//! `GET /users`

use schemars::JsonSchema;
use serde::Serialize;

use super::prelude::*;

/// A person who signs in with a password.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct UserAnswer {
    /// The name.
    user: String,
    /// `viewer`, `operator`, `admin`.
    role: String,
    /// When they were added.
    created_at: String,
}

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/users", Scope::Admin, "users", "People who sign in with a password").served(
        |call: Call<Nothing, Nothing, Nothing>| async move {
            let users = call.api.access.store.users().await?.into_iter().map(|user| UserAnswer {
                user: user.name,
                role: user.role,
                created_at: user.created_at.to_string(),
            });
            Ok(Page { items: users.collect(), next: None })
        },
    )
}
