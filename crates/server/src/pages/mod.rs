//! The pages. For now the one where people sign in; what they show stands on [`crate::desk::Desk`], what they do goes
//! through the calls of the API.

mod sign_in;

use axum::Router;
use axum::routing::get;

use crate::api::Api;

/// All pages.
pub(crate) fn routes(api: Api) -> Router {
    Router::new().route("/sign-in", get(sign_in::page)).with_state(api)
}
