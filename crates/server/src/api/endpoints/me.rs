//! `GET /me`

use super::prelude::*;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get("/me", Scope::Read, "me", "Who calls, and what they may do").served(
        |call: Call<Nothing, Nothing, Nothing>| async move {
            Ok(Me {
                who: call.caller.who.clone(),
                scope: call.caller.scope.map_or("", Scope::as_str).to_owned(),
                csrf: call.caller.csrf().to_owned(),
            })
        },
    )
}
