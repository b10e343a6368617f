//! `POST /sign-in/answers`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::prelude::*;

/// What a browser brought back.
// It holds a code that is good for tokens: neither shown nor noted.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnswerAsk {
    /// The whole address that the browser came back to, or what stands behind its `?`.
    answer: String,
}

impl Noted for AnswerAsk {}

/// Whose sign-in it ended.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct SignedIn {
    /// The connection.
    connection: String,
}

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::post(
        "/sign-in/answers",
        Scope::Edit,
        "end_sign_in",
        "End a sign-in to a connection with what the browser brought back, where it could not reach this server itself",
    )
    .served(|call: Call<Nothing, Nothing, AnswerAsk>| async move {
        Ok(SignedIn { connection: call.desk().end_sign_in(&call.body.answer).await? })
    })
}
