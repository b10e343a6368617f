//! One look at a page: who looks, at what, and the frame around it.

use axum::extract::FromRequestParts;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use tidegate_model::{Error, ErrorKind, Instant};

use super::assets::mark;
use super::parts::link;
use crate::access::{Caller, Scope, Via};
use crate::api::Api;
use crate::desk::{Desk, ProjectAnswer, SyncAnswer};

/// Where in the frame a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Runs,
    Logs,
    Conflicts,
    Rejects,
    Hub,
    Connections,
    Settings,
}

const PLACES: [(Place, &str, &str); 8] = [
    (Place::Overview, "/", "Overview"),
    (Place::Runs, "/runs", "Runs"),
    (Place::Logs, "/logs", "Logs"),
    (Place::Conflicts, "/conflicts", "Conflicts"),
    (Place::Rejects, "/rejects", "Rejects"),
    (Place::Hub, "/hub", "Hub"),
    (Place::Connections, "/connections", "Connections"),
    (Place::Settings, "/settings", "Settings"),
];

/// A look at a page.
pub(super) struct Visit {
    pub(super) api: Api,
    pub(super) caller: Caller,
    pub(super) project: ProjectAnswer,
    pub(super) syncs: Vec<SyncAnswer>,
    pub(super) now: Instant,
    /// The address of the page, to come back to.
    pub(super) here: String,
}

/// What a page answers.
pub(super) type Shown = Result<Html<String>, Failed>;

/// A page that cannot be shown.
pub(super) struct Failed(pub(super) Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Config | ErrorKind::BadRequest => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = self.0.code(), "a page failed: {}", self.0);
        }
        let title = if status == StatusCode::NOT_FOUND { "There is no such page" } else { "This page cannot be shown" };
        let body = html! {
            main.main {
                h1 { (title) }
                div.note.is-failed { p { (self.0.to_string()) } @if let Some(hint) = &self.0.hint { p { (hint) } } }
                p { a href="/" { "Go to the overview" } }
            }
        };
        (status, Html(document(title, &body).into_string())).into_response()
    }
}

impl FromRequestParts<Api> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_else(Caller::nobody);
        let here = parts.uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned();
        if !caller.may(Scope::Read) {
            return Err(sign_in_first(&parts.uri));
        }
        let read = async { Ok::<_, Error>((api.desk.project().await?, api.desk.syncs().await?)) };
        let (project, syncs) = read.await.map_err(|error| Failed(error).into_response())?;
        let now = api.access.clock.now();
        Ok(Self { api: api.clone(), caller, project, syncs, now, here })
    }
}

fn sign_in_first(uri: &Uri) -> Response {
    let back = uri.path_and_query().map_or("/", |whole| whole.as_str());
    (StatusCode::SEE_OTHER, [(LOCATION, link("/sign-in", &[("back", back)]))]).into_response()
}

impl Visit {
    /// What is asked.
    pub(super) fn desk(&self) -> &dyn Desk {
        self.api.desk.as_ref()
    }
    /// Whether the caller may do what needs this.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.caller.may(scope)
    }
    /// Whether the caller may change files here.
    pub(super) fn edits(&self) -> bool {
        self.may(Scope::Edit) && !self.project.read_only
    }
    /// The page, in its frame.
    pub(super) fn page(&self, place: Place, title: &str, body: &Markup) -> Html<String> {
        let whole = html! {
            a.skip href="#content" { "Skip to the content" }
            div.frame {
                (self.side(place))
                main.main id="content" tabindex="-1" {
                    @if !self.project.problems.is_empty() { (self.problems()) }
                    (body)
                }
            }
            div.toast id="toast" role="status" aria-live="polite" {}
        };
        Html(document(&format!("{title} · {}", self.project.name), &whole).into_string())
    }

    fn side(&self, place: Place) -> Markup {
        let conflicts: u64 = self.syncs.iter().map(|sync| sync.conflicts).sum();
        let rejects: u64 = self.syncs.iter().map(|sync| sync.rejects).sum();
        let count = |of: Place| match of {
            Place::Conflicts => conflicts,
            Place::Rejects => rejects,
            _ => 0,
        };
        html! {
            header.side {
                a.brand href="/" { (gate()) span { "tidegate" span { (self.project.name) } } }
                nav aria-label="Pages" {
                    ul.nav id="nav" data-live="5000" {
                        @for (of, to, name) in PLACES {
                            li {
                                a href=(to) aria-current=[(of == place).then_some("page")] {
                                    (name)
                                    @let many = count(of);
                                    @if many > 0 { span.count { (many) span.hidden-text { " open" } } }
                                }
                            }
                        }
                    }
                }
                div.foot {
                    button.small type="button" data-theme-switch { "Light or dark" }
                    @if let Via::Session { .. } = &self.caller.via {
                        form.inline method="post" action="/sign-out" {
                            input type="hidden" name="_csrf" value=(self.caller.csrf());
                            span { (self.caller.who) } button.small { "Sign out" }
                        }
                    }
                    span.version { "version " (self.project.version) }
                    @if self.project.read_only { span { "Files are read-only here" } }
                }
            }
        }
    }

    fn problems(&self) -> Markup {
        html! {
            div.note.is-failed role="alert" {
                h2 { "Something is wrong with the project's files" }
                p { "What was read last without a problem is served until it is mended." }
                ul {
                    @for problem in &self.project.problems {
                        li { code { (problem.file) ":" (problem.line) } " " (problem.message)
                            @if let Some(hint) = &problem.hint { " – " (hint) } }
                    }
                }
            }
        }
    }
}

/// The mark of tidegate.
pub(super) fn gate() -> Markup {
    html! {
        svg width="26" height="26" viewBox="0 0 24 24" aria-hidden="true" {
            path d="M6 4v10M12 4v10M18 4v10M4 8h16M3 19q2.2-2.2 4.5 0t4.5 0 4.5 0 4.5 0" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" {}
        }
    }
}

/// A whole document.
pub(super) fn document(title: &str, body: &Markup) -> Markup {
    let style = link("/ui/style.css", &[("v", mark())]);
    let script = link("/ui/script.js", &[("v", mark())]);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · tidegate" }
                link rel="icon" href="/ui/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href=(style);
                // Not deferred: the chosen colours are to be there before the first paint. It is small, and kept.
                script src=(script) {}
            }
            body { (body) }
        }
    }
}
