//! Signing in to the other system of a connection, with the browser that looks at its page.

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tidegate_model::{Error, ErrorKind};
use tidegate_store::Audit;

use crate::access::Scope;
use crate::api::Api;
use crate::ui::parts::escaped;
use crate::ui::visit::{Failed, Visit};

fn refuse_viewers(visit: &Visit) -> Result<(), Failed> {
    if visit.may(Scope::Edit) {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Forbidden, "signing in to a connection needs the role admin");
    Err(error.hint("ask an admin to do it").into())
}

/// Our own address as the browser knows it.
pub(super) fn here(api: &Api, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("{}://{host}", if api.access.gate.secure { "https" } else { "http" })
}

/// On the way to the other system.
pub(super) async fn begin(
    State(api): State<Api>,
    visit: Visit,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    refuse_viewers(&visit)?;
    let Some(to) = api.desk.begin_sign_in(&name, &here(&api, &headers)).await? else {
        let error = Error::new(ErrorKind::NotFound, format!("nobody signs in to the connection {name}"));
        return Err(error.hint("that is for connections with `auth: {method: oauth, …}`").into());
    };
    Ok((StatusCode::SEE_OTHER, [(LOCATION, to.authorize_url)]).into_response())
}

/// Back from it.
pub(super) async fn end(State(api): State<Api>, visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Failed> {
    refuse_viewers(&visit)?;
    let ended = api.desk.end_sign_in(query.as_deref().unwrap_or_default()).await;
    let line = Audit {
        id: 0,
        at: visit.now,
        who: visit.caller.who.clone(),
        action: "authenticate".to_owned(),
        target: ended.as_ref().map_or("", String::as_str).to_owned(),
        detail: "{}".to_owned(),
        outcome: ended.as_ref().map_or_else(Error::code, |_| "done").to_owned(),
    };
    api.access.store.audit(&line).await?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, format!("/connections/{}", escaped(&ended?)))]).into_response())
}
