//! Signing in to a connection from its page, as `tidegate auth` does it from a terminal.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::http::Http;
use tidegate_net::oauth::Attempt;
use tidegate_net::targets::Targets;
use tidegate_server::desk::SignInAnswer;

use super::{ProjectDesk, known};
use crate::addresses::is_signed_in_to;
use crate::cmd::auth::CALLBACK;

/// Attempts that are remembered: whoever begins more at once has to begin the oldest again.
const ATTEMPTS_MAX: usize = 32;

/// Who is on the way, oldest first, by connection.
pub type Attempts = Mutex<VecDeque<(String, Attempt)>>;

/// Where the browser comes back to: at `serve.public_url`, else at the address that it uses now.
pub fn redirect_uri(desk: &ProjectDesk, here: &str) -> String {
    let shop = desk.shop();
    let base = shop.project.serve.public_url.as_deref().unwrap_or(here);
    format!("{}{CALLBACK}", base.trim_end_matches('/'))
}

/// Begins an attempt. `None`: nobody signs in to this connection.
pub fn begin(desk: &ProjectDesk, connection: &str, here: &str) -> Result<Option<SignInAnswer>> {
    let shop = desk.shop();
    let found = known(shop.connection(connection))?;
    if !is_signed_in_to(found) {
        return Ok(None);
    }
    let login = shop.login(connection)?;
    // The address may come from a connection that was written in the pages.
    let targets = targets(desk);
    targets.check(&login.client().authorize_url)?;
    targets.check(&login.client().token_url)?;
    let attempt = Attempt::begin(&redirect_uri(desk, here));
    let authorize_url = attempt.authorize_url(login.client())?.to_string();
    let redirect_uri = attempt.redirect_uri().to_owned();
    let mut attempts = desk.attempts.lock().unwrap_or_else(PoisonError::into_inner);
    if attempts.len() >= ATTEMPTS_MAX {
        attempts.pop_front();
    }
    attempts.push_back((connection.to_owned(), attempt));
    Ok(Some(SignInAnswer { authorize_url, redirect_uri }))
}

/// Ends the attempt that an answer belongs to; each is good for one answer.
pub async fn end(desk: &ProjectDesk, query: &str) -> Result<String> {
    let (connection, attempt, code) = taken(desk, query)?;
    let http = Http { targets: Some(targets(desk)), ..Http::default() }.client()?;
    desk.shop().login(&connection)?.sign_in(&http, &attempt, &code?).await?;
    Ok(connection)
}

/// Where a sign-in may call: out, and to what `serve.private_targets` lists.
fn targets(desk: &ProjectDesk) -> Targets {
    Targets::public_and(&desk.shop().project.serve.private_targets)
}

type Taken = (String, Attempt, Result<tidegate_model::secret::Secret>);

fn taken(desk: &ProjectDesk, query: &str) -> Result<Taken> {
    let mut attempts = desk.attempts.lock().unwrap_or_else(PoisonError::into_inner);
    for at in 0..attempts.len() {
        let Some((_, attempt)) = attempts.get(at) else { break };
        // What belongs to another attempt is `Forbidden`; everything else is this one's answer.
        let code = attempt.code(query);
        if !matches!(&code, Err(error) if error.kind == ErrorKind::Forbidden)
            && let Some((connection, attempt)) = attempts.remove(at)
        {
            return Ok((connection, attempt, code));
        }
    }
    Err(Error::new(ErrorKind::NotFound, "this answer belongs to no attempt to sign in that is known here")
        .hint("begin again on the page of the connection"))
}
