//! `PUT /secrets/{secret}`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::put("/secrets/{secret}", Scope::Edit, "set_secret", "Keep a secret, encrypted").served(
        |call: Call<OfSecret, Nothing, SecretValue>| async move {
            call.desk()
                .set_secret(&call.path.secret, &tidegate_model::secret::Secret::new(call.body.value.as_str()))
                .await?;
            Ok(Done::yes())
        },
    )
}
