//! `PUT /secrets/{secret}`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::put("/secrets/{secret}", Scope::Edit, "set_secret", "Keep a secret, encrypted").served(
        |call: Call<OfSecret, Nothing, SecretValue>| async move {
            let value = tidegate_model::secret::Secret::new(call.body.value.as_str());
            Ok(SecretDone::and_gone(call.desk().set_secret(&call.path.secret, &value).await?))
        },
    )
}
