//! `DELETE /tokens/{token}`

use tidegate_model::{Error, ErrorKind};

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::delete("/tokens/{token}", Scope::Admin, "remove_token", "Remove a token; it holds no longer").served(
        |call: Call<OfToken, Nothing, Nothing>| async move {
            if call.api.access.store.remove_token(&call.path.token).await? {
                return Ok(Done::yes());
            }
            Err(Error::new(ErrorKind::NotFound, "there is no such token").hint("`GET /api/v1/tokens` lists them"))
        },
    )
}
