//! `DELETE /users/{user}`

use tidegate_model::{Error, ErrorKind};

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::delete("/users/{user}", Scope::Admin, "remove_user", "Remove somebody and end their sessions")
        .served(|call: Call<OfUser, Nothing, Nothing>| async move { remove(call).await })
}

async fn remove(call: Call<OfUser, Nothing, Nothing>) -> Result<Done> {
    let store = &call.api.access.store;
    let users = store.users().await?;
    let name = &call.path.user;
    // Without users a server of this machine asks nobody to sign in: that must not come as a surprise.
    let last = users.iter().all(|user| user.name == *name || user.role != "admin") && users.len() > 1;
    if last && users.iter().any(|user| user.name == *name && user.role == "admin") {
        return Err(Error::config(format!("{name} is the last admin")).hint("make somebody else an admin first"));
    }
    if store.remove_user(name).await? {
        return Ok(Done::yes());
    }
    Err(Error::new(ErrorKind::NotFound, "there is no such user").hint("`GET /api/v1/users` lists them"))
}
