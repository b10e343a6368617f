//! `DELETE /secrets/{secret}`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::delete("/secrets/{secret}", Scope::Edit, "remove_secret", "Remove a secret").served(
        |call: Call<OfSecret, Nothing, Nothing>| async move {
            Ok(SecretDone::and_gone(call.desk().remove_secret(&call.path.secret).await?))
        },
    )
}
