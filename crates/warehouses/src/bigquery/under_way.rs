//! A job that somebody waits for. When nobody does any more (the run was stopped, or gave up), it is cancelled: it
//! would go on, and be billed.

use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_model::{Error, Result};
use tokio::task::JoinHandle;

use super::rest::{Rest, Told};
use super::server::job_of;

/// How far a job is.
enum Stage {
    /// It was asked for; the answer will say what it is called.
    Asked(JoinHandle<Result<Told>>),
    /// It runs, under a name and at a place.
    Running(String, Option<String>),
    /// There is nothing to cancel.
    Over,
}

/// A job that is cancelled when this is dropped before it is over.
pub(super) struct UnderWay {
    rest: Arc<Rest>,
    project: String,
    stage: Stage,
}

impl UnderWay {
    /// Asks a query. The call is made beside us: whoever drops this has it end, for its answer names the job.
    pub(super) fn asked(rest: &Arc<Rest>, project: &str, body: Json, doing: &str) -> Self {
        let (asking, at, doing) = (Arc::clone(rest), project.to_owned(), doing.to_owned());
        let call = tokio::spawn(async move { asking.post(&["projects", &at, "queries"], &body, &doing).await });
        Self { rest: Arc::clone(rest), project: project.to_owned(), stage: Stage::Asked(call) }
    }

    /// A job that was started.
    pub(super) fn running(rest: &Arc<Rest>, project: &str, (job, location): (String, Option<String>)) -> Self {
        Self { rest: Arc::clone(rest), project: project.to_owned(), stage: Stage::Running(job, location) }
    }

    /// The first answer.
    pub(super) async fn told(&mut self) -> Result<Told> {
        let Stage::Asked(call) = &mut self.stage else {
            return Err(Error::internal("a query is answered a second time"));
        };
        let told = call.await.map_err(|error| Error::internal("the call of a query broke off").cause(error))?;
        self.stage = told.as_ref().ok().and_then(|told| told.as_ref().ok()).map_or(Stage::Over, unfinished);
        told
    }

    /// It has ended.
    pub(super) fn over(&mut self) {
        self.stage = Stage::Over;
    }
}

/// What an answer leaves to be cancelled.
fn unfinished(json: &Json) -> Stage {
    let (job, location) = job_of(json);
    if json["jobComplete"] == true || job.is_empty() { Stage::Over } else { Stage::Running(job, location) }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if matches!(stage, Stage::Over) {
            return;
        }
        let (rest, project) = (Arc::clone(&self.rest), std::mem::take(&mut self.project));
        tidegate_net::farewell::say(async move {
            let stage = match stage {
                Stage::Asked(call) => match call.await {
                    Ok(Ok(Ok(json))) => unfinished(&json),
                    // No answer, no name: nothing can be said any more.
                    _ => Stage::Over,
                },
                known => known,
            };
            if let Stage::Running(job, location) = stage {
                let told = rest.cancel(&project, &job, location.as_deref()).await;
                tracing::debug!(job, heard = matches!(told, Ok(Ok(_))), "cancelled: nobody waits for it");
            }
        });
    }
}
