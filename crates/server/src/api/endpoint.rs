//! What a call of the API is: one path, one scope, typed parameters, a typed answer. All that is the same for every call
//! is done here: who may, CSRF, reading, errors, the audit log, going back to a page.

use std::future::Future;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json_;
use tidegate_model::Result;
use tidegate_store::Audit;

use super::{Api, fail, form};
use crate::access::{Caller, Scope, Via};
use crate::desk::Desk;

/// Most bytes of a body: a project's file with its escapes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a body says in the audit log: no secret, no value of a record.
pub(crate) trait Noted {
    /// As JSON; nothing by default.
    fn noted(&self) -> Json_ {
        Json_::Object(serde_json::Map::default())
    }
}

/// No parameters, no body.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

impl Noted for Nothing {}

/// A file to keep.
#[derive(Debug)]
pub(crate) struct Download {
    /// Its name, without the ending; what a header cannot carry is left out.
    pub(crate) name: String,
    /// What is in it, as it is made.
    pub(crate) body: Body,
}

/// One call as its handler gets it.
pub(crate) struct Call<P, Q, B> {
    /// Everything that serves it.
    pub(crate) api: Api,
    /// Who calls.
    pub(crate) caller: Caller,
    /// Parameters in the path.
    pub(crate) path: P,
    /// Parameters behind the `?`.
    pub(crate) query: Q,
    /// The body.
    pub(crate) body: B,
}

impl<P, Q, B> Call<P, Q, B> {
    /// What is asked.
    pub(crate) fn desk(&self) -> &dyn Desk {
        self.api.desk.as_ref()
    }
}

/// How a call is named, and what it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// The method.
    pub(crate) method: &'static str,
    /// The path below `/api/v1`.
    pub(crate) path: &'static str,
    /// What the caller has to have.
    pub(crate) scope: Scope,
    /// Its name, in the OpenAPI document and in the audit log.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
    /// What it answers with, where that is a file to keep and not JSON.
    pub(crate) file: Option<&'static str>,
    /// Its body is whatever the caller's system sends, and is not read.
    pub(crate) any_body: bool,
    /// It changes nothing although it is no GET: no line in the audit log.
    pub(crate) quiet: bool,
}

/// A part of the OpenAPI document.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A call of the API.
pub(crate) struct Endpoint {
    /// How it is named.
    pub(crate) spec: Spec,
    /// Parameters in the path.
    pub(crate) path: SchemaOf,
    /// Parameters behind the `?`.
    pub(crate) query: SchemaOf,
    /// The body.
    pub(crate) body: SchemaOf,
    /// The answer.
    pub(crate) answer: SchemaOf,
    /// What serves it.
    pub(crate) route: MethodRouter<Api>,
}

impl Spec {
    /// A call that looks.
    pub(crate) const fn get(path: &'static str, scope: Scope, name: &'static str, about: &'static str) -> Self {
        Self { method: "GET", path, scope, name, about, file: None, any_body: false, quiet: false }
    }
    /// A call that does something.
    pub(crate) const fn post(path: &'static str, scope: Scope, name: &'static str, about: &'static str) -> Self {
        Self { method: "POST", ..Self::get(path, scope, name, about) }
    }
    /// A call that puts something in a place.
    pub(crate) const fn put(path: &'static str, scope: Scope, name: &'static str, about: &'static str) -> Self {
        Self { method: "PUT", ..Self::get(path, scope, name, about) }
    }
    /// A call that removes something.
    pub(crate) const fn delete(path: &'static str, scope: Scope, name: &'static str, about: &'static str) -> Self {
        Self { method: "DELETE", ..Self::get(path, scope, name, about) }
    }

    /// The call, with what serves it.
    pub(crate) fn served<P, Q, B, A, F, Fut>(self, work: F) -> Endpoint
    where
        P: DeserializeOwned + JsonSchema + Send + 'static,
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        B: DeserializeOwned + JsonSchema + Noted + Send + 'static,
        A: Serialize + JsonSchema + Send + 'static,
        F: Fn(Call<P, Q, B>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<A>> + Send,
    {
        self.answered(work, |generator| generator.subschema_for::<A>(), |_, answer| Json(answer).into_response())
    }

    /// The same, where the answer is a file.
    pub(crate) fn gives<P, Q, F, Fut>(self, work: F) -> Endpoint
    where
        P: DeserializeOwned + JsonSchema + Send + 'static,
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        F: Fn(Call<P, Q, Nothing>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Download>> + Send,
    {
        self.answered(work, |generator| generator.subschema_for::<String>(), given)
    }

    fn answered<P, Q, B, A, F, Fut>(self, work: F, answer: SchemaOf, written: fn(Spec, A) -> Response) -> Endpoint
    where
        P: DeserializeOwned + JsonSchema + Send + 'static,
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        B: DeserializeOwned + JsonSchema + Noted + Send + 'static,
        A: Send + 'static,
        F: Fn(Call<P, Q, B>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<A>> + Send,
    {
        let filter = match self.method {
            "POST" => MethodFilter::POST,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        let route = on(filter, move |State(api): State<Api>, request: Request| {
            let work = work.clone();
            // Boxed: its state is large, and stands in a table with all the others.
            Box::pin(async move {
                let done = serve(self, api, request, work).await;
                match done {
                    Ok(Served::Answer(answer)) => written(self, answer),
                    Ok(Served::Back(response)) => response,
                    Err(refused) => *refused,
                }
            })
        });
        Endpoint {
            spec: self,
            path: P::json_schema,
            query: Q::json_schema,
            body: |generator| generator.subschema_for::<B>(),
            answer,
            route,
        }
    }
}

/// What became of a call that was not refused.
enum Served<A> {
    /// What was asked for.
    Answer(A),
    /// The way back to a page.
    Back(Response),
}

type Answered<A> = std::result::Result<Served<A>, Box<Response>>;

fn refuse(error: &tidegate_model::Error) -> Box<Response> {
    Box::new(fail::answer(error))
}

async fn serve<P, Q, B, A, F, Fut>(spec: Spec, api: Api, request: Request, work: F) -> Answered<A>
where
    P: DeserializeOwned + Send + 'static,
    Q: DeserializeOwned + Send,
    B: DeserializeOwned + Noted + Send,
    A: Send,
    F: Fn(Call<P, Q, B>) -> Fut + Send,
    Fut: Future<Output = Result<A>> + Send,
{
    let (mut parts, body) = request.into_parts();
    let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_else(Caller::nobody);
    allowed(spec, &caller)?;
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Box::new(too_large()))?;
    let changes = parts.method != Method::GET;
    if changes {
        form::check_csrf(&caller, &parts.headers, &body)?;
    }
    let target = path_text(&parts.uri, spec.path);
    let path = path_of::<P>(&mut parts).await?;
    let query = form::read_pairs::<Q>(parts.uri.query().unwrap_or("")).map_err(|error| refuse(&error))?;
    let given: &[u8] = if spec.any_body || !changes { b"" } else { &body };
    let read = form::read::<B>(&parts.headers, given).map_err(|error| refuse(&error))?;
    let noted = read.noted();
    let call = Call { api: api.clone(), caller: caller.clone(), path, query, body: read };
    let done = work(call).await;
    if changes && !spec.quiet {
        note(spec, &api, &caller, target, &noted, done.as_ref().err()).await.map_err(|error| refuse(&error))?;
    }
    let answer = done.map_err(|error| refuse(&error))?;
    if changes && form::is_form(&parts.headers) && form::has_back(&body) {
        return Ok(Served::Back((StatusCode::SEE_OTHER, [(LOCATION, form::back(&body))]).into_response()));
    }
    Ok(Served::Answer(answer))
}

fn too_large() -> Response {
    fail::plain(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 8 MB", "send less at once")
}

fn allowed(spec: Spec, caller: &Caller) -> std::result::Result<(), Box<Response>> {
    if caller.may(spec.scope) {
        return Ok(());
    }
    let answer = match caller.via {
        Via::Nobody => fail::plain(
            StatusCode::UNAUTHORIZED,
            "not_signed_in",
            "this call needs somebody who has signed in, or a token",
            "sign in at /sign-in, or send `Authorization: Bearer TOKEN` (`tidegate tokens add NAME`)",
        ),
        Via::Local | Via::Token | Via::Session { .. } => fail::plain(
            StatusCode::FORBIDDEN,
            "not_allowed",
            &format!("{} may not do this: it needs the scope `{}`", caller.who, spec.scope),
            "use a token with that scope, or a user with another role",
        ),
    };
    Err(Box::new(answer))
}

async fn path_of<P: DeserializeOwned + Send>(parts: &mut Parts) -> std::result::Result<P, Box<Response>> {
    let empty = || serde_json::from_value(Json_::Object(serde_json::Map::default()));
    match Path::<P>::from_request_parts(parts, &()).await {
        Ok(Path(path)) => Ok(path),
        Err(_) if empty().is_ok_and(|_: P| true) => {
            empty().map_err(|error| refuse(&tidegate_model::Error::internal("a path cannot be read").cause(error)))
        }
        Err(error) => Err(Box::new(fail::plain(
            StatusCode::UNPROCESSABLE_ENTITY,
            "config",
            &format!("the address does not fit: {}", error.body_text()),
            "/api/v1/openapi.json says what each call takes",
        ))),
    }
}

/// What a call is about: the path without what every such call has in it.
fn path_text(uri: &axum::http::Uri, pattern: &str) -> String {
    let given: Vec<&str> = uri.path().strip_prefix(super::PREFIX).unwrap_or("").split('/').collect();
    let named = pattern.split('/').zip(&given).filter(|(part, _)| part.starts_with('{'));
    let all: Vec<String> = named.map(|(_, text)| (*text).chars().take(200).collect()).collect();
    all.join(" ")
}

async fn note(
    spec: Spec,
    api: &Api,
    caller: &Caller,
    target: String,
    noted: &Json_,
    failed: Option<&tidegate_model::Error>,
) -> Result<()> {
    let line = Audit {
        id: 0,
        at: api.access.clock.now(),
        who: caller.who.clone(),
        action: spec.name.to_owned(),
        target,
        detail: noted.to_string(),
        outcome: failed.map_or("done", tidegate_model::Error::code).to_owned(),
    };
    api.access.store.audit(&line).await
}

fn given(spec: Spec, file: Download) -> Response {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = file.name.chars().map(safe).collect();
    let ending = spec.path.rsplit('.').next().unwrap_or_default();
    let kept = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\""));
    let mut answer = file.body.into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(spec.file.unwrap_or("application/octet-stream")));
    headers.insert(CONTENT_DISPOSITION, kept.unwrap_or(HeaderValue::from_static("attachment")));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Shared by all calls.
pub(crate) type Shared = Arc<dyn Desk>;
