//! `PUT /users/{user}`

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tidegate_model::Error;
use tidegate_model::secret::Secret;
use tidegate_store::User;

use super::prelude::*;
use crate::access::{Role, hash_password};

/// What somebody is, and their password.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserAsk {
    /// `viewer`, `operator`, `admin`.
    role: String,
    /// At least 12 characters.
    #[schemars(length(min = 12, max = 1024))]
    password: String,
}

impl Noted for UserAsk {
    fn noted(&self) -> Json {
        json!({ "role": self.role })
    }
}

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::put("/users/{user}", Scope::Admin, "put_user", "Add somebody, or give them another role and password")
        .served(|call: Call<OfUser, Nothing, UserAsk>| async move { put(call).await })
}

async fn put(call: Call<OfUser, Nothing, UserAsk>) -> Result<Done> {
    let role = Role::parse(&call.body.role)
        .ok_or_else(|| Error::config("there is no such role").hint("it is one of viewer, operator, admin"))?;
    let password = Secret::new(call.body.password.as_str());
    let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
    let hashed = hashed.map_err(|error| Error::internal("hashing a password panicked").cause(error))??;
    let user = User {
        name: call.path.user.clone(),
        role: role.as_str().to_owned(),
        password: hashed,
        created_at: call.api.access.clock.now(),
    };
    call.api.access.store.put_user(&user).await?;
    Ok(Done::yes())
}
