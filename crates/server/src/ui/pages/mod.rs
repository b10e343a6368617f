//! One file per page.

mod authenticate;
mod conflicts;
mod connection;
mod connections;
mod editor;
mod hub;
mod logs;
mod overview;
mod plan;
mod record;
mod rejects;
mod run;
mod runs;
mod settings;
mod sign_in;
mod sync;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tidegate_model::{Error, ErrorKind};

use super::visit::Failed;
use crate::api::Api;

/// The routes of all pages.
pub(super) fn routes(router: Router<Api>) -> Router<Api> {
    router
        .route("/", get(overview::page))
        .route("/sign-in", get(sign_in::page))
        .route("/runs", get(runs::page))
        .route("/logs", get(logs::page))
        .route("/runs/{run}", get(run::page))
        .route("/syncs/new", get(editor::new).post(editor::draft_new))
        .route("/syncs/{sync}", get(sync::page))
        .route("/syncs/{sync}/plan", get(plan::page))
        .route("/syncs/{sync}/edit", get(editor::edit).post(editor::draft))
        .route("/conflicts", get(conflicts::page))
        .route("/rejects", get(rejects::page))
        .route("/record", get(record::page))
        .route("/hub", get(hub::page))
        .route("/connections", get(connections::page))
        .route("/connections/new", get(connection::new).post(connection::draft_new))
        .route("/connections/{connection}", get(connection::page).post(connection::draft))
        .route("/connections/{connection}/authenticate", get(authenticate::begin))
        .route("/oauth/callback", get(authenticate::end))
        .route("/settings", get(settings::page))
        .fallback(nothing)
}

async fn nothing() -> Response {
    Failed(Error::new(ErrorKind::NotFound, "nothing has this address").hint("go on from the overview")).into_response()
}
