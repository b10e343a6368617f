//! `POST /conflicts/resolve`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post("/conflicts/resolve", Scope::Run, "resolve", "Decide a conflict; the next run writes it").served(
        |call: Call<Nothing, Nothing, ResolveAsk>| async move {
            call.desk().resolve(&call.body).await?;
            Ok(Done::yes())
        },
    )
}
