//! `POST /connections/{connection}/sign-in`

use tidegate_model::{Error, ErrorKind};

use super::prelude::*;
use crate::desk::SignInAnswer;

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/connections/{connection}/sign-in",
        Scope::Edit,
        "begin_sign_in",
        "Begin to sign in to a connection with `auth: {method: oauth}`: the address that a person opens in a browser",
    )
    .served(|call: Call<OfConnection, Nothing, Nothing>| async move { begin(call).await })
}

async fn begin(call: Call<OfConnection, Nothing, Nothing>) -> Result<SignInAnswer> {
    let name = &call.path.connection;
    call.desk().begin_sign_in(name, &call.api.access.gate.url).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("nobody signs in to the connection {name}"))
            .hint("that is for connections with `auth: {method: oauth, …}`")
    })
}
