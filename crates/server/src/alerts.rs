//! Telling somebody that a sync started to fail, or works again: one message per change, whoever of several processes
//! sees it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tidegate_model::secret::Secret;
use tidegate_model::{Instant, Result};
use tidegate_net::http::Http;
use tidegate_net::targets::Targets;

use crate::ports::StateView;

/// Tries to deliver a message: a receiver that restarts is back by then.
const TRIES: u32 = 4;
/// The wait after the first try; it grows fourfold.
const WAIT: Duration = Duration::from_secs(1);
/// A receiver that does not answer within this time is away.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is told of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) sync: String,
    pub(crate) failing: bool,
    pub(crate) run: Option<String>,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Where messages go.
pub(crate) struct Alerts {
    to: Option<(Secret, reqwest::Client)>,
    /// The address of the pages, for a link.
    pages: Option<String>,
}

impl Alerts {
    /// To this address, if there is one.
    pub(crate) fn new(to: Option<Secret>, targets: &Targets, pages: Option<String>) -> Result<Self> {
        let to = match to {
            Some(url) => {
                targets.check(url.expose()).map_err(|error| error.at("alerts.webhook"))?;
                let http = Http { targets: Some(targets.clone()), read_timeout: PATIENCE, ..Http::default() };
                Some((url, http.client()?))
            }
            None => None,
        };
        Ok(Self { to, pages })
    }

    /// Tells it, if that is a change: what was told last stands in the state, for all processes and the next start.
    pub(crate) async fn tell(&self, state: &dyn StateView, news: News, now: Instant) -> Result<()> {
        let Some((url, client)) = &self.to else { return Ok(()) };
        let name = format!("alert:{}", news.sync);
        let before = state.settings(&name).await?.get(&name).is_some_and(|text| text == "failing");
        if before == news.failing {
            return Ok(());
        }
        // Noted before it is sent: a message too few is in the log, one too many wakes people.
        state.set_setting(&name, news.failing.then_some("failing")).await?;
        let (url, client, body) = (url.clone(), client.clone(), self.body(&news, now));
        tokio::spawn(async move { send(&client, &url, &body, &news.sync).await });
        Ok(())
    }

    fn body(&self, news: &News, now: Instant) -> Arc<Json> {
        let text = if news.failing {
            format!("{} started failing: {}", news.sync, news.message)
        } else {
            format!("{} has recovered", news.sync)
        };
        let link = self.pages.as_ref().map(|pages| format!("{}/syncs/{}", pages.trim_end_matches('/'), news.sync));
        // `text` is what chat services show of a message they do not know.
        Arc::new(json!({
            "text": text,
            "sync": news.sync,
            "state": if news.failing { "failing" } else { "recovered" },
            "run": news.run,
            "code": news.code,
            "message": news.message,
            "hint": news.hint,
            "at": now.to_string(),
            "url": link,
        }))
    }
}

async fn send(client: &reqwest::Client, url: &Secret, body: &Json, sync: &str) {
    let mut wait = WAIT;
    for attempt in 1..=TRIES {
        let why = match client.post(url.expose()).json(body).timeout(PATIENCE).send().await {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => format!("it answered {}", answer.status()),
            // The address may hold a token: reqwest's own words name it.
            Err(error) => error.without_url().to_string(),
        };
        if attempt == TRIES {
            tracing::error!(sync, "{sync}: the alert could not be delivered, {TRIES} tries: {why}");
            return;
        }
        tokio::time::sleep(wait).await;
        wait *= 4;
    }
}
