//! `GET /connections/{connection}/setup`

use schemars::JsonSchema;
use serde::Serialize;

use super::prelude::*;
use crate::desk::SetupAsk;

/// What sets the other side up.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct SetupAnswer {
    /// SQL or commands, for an administrator to read and run; `null`: there is nothing to set up there.
    text: Option<String>,
}

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::get(
        "/connections/{connection}/setup",
        Scope::Read,
        "setup",
        "SQL or commands that set the other side of a connection up, filled in from its file and its syncs",
    )
    .served(|call: Call<OfConnection, SetupAsk, Nothing>| async move {
        Ok(SetupAnswer { text: call.desk().setup(&call.path.connection, &call.query).await? })
    })
}
