//! `PUT /tokens/{token}`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tidegate_model::Error;
use tidegate_store::Token;

use super::prelude::*;
use crate::access::new_token;

/// What a token may do, and for how long.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenAsk {
    /// `read`, `run`, `edit`.
    scope: String,
    /// For so many days; left out: until it is removed.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3650))]
    days: Option<u32>,
}

impl Noted for TokenAsk {
    fn noted(&self) -> Json {
        json!({ "scope": self.scope, "days": self.days })
    }
}

/// A new token.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct NewToken {
    /// Its name.
    token: String,
    /// What it says: shown this once.
    secret: String,
}

/// The call.
pub(super) fn endpoint() -> Endpoint {
    Spec::put("/tokens/{token}", Scope::Admin, "add_token", "Make a token; what it says is shown this once")
        .served(|call: Call<OfToken, Nothing, TokenAsk>| async move { add(call).await })
}

async fn add(call: Call<OfToken, Nothing, TokenAsk>) -> Result<NewToken> {
    let scope = Scope::of_token(&call.body.scope)
        .ok_or_else(|| Error::config("there is no such scope of a token").hint("it is one of read, run, edit"))?;
    let now = call.api.access.clock.now();
    let days = call.body.days.map(|days| i64::from(days.clamp(1, 3_650)));
    let token = Token {
        name: call.path.token.clone(),
        scope: scope.as_str().to_owned(),
        created_by: call.caller.who.clone(),
        created_at: now,
        expires_at: days.map(|days| now.plus_millis(days * 86_400_000)),
        used_at: None,
    };
    let (secret, hash) = new_token()?;
    if !call.api.access.store.add_token(&token, &hash).await? {
        return Err(Error::config(format!("there is a token `{}` already", token.name))
            .hint("remove it first, or take another name"));
    }
    Ok(NewToken { token: token.name, secret: secret.expose().to_owned() })
}
