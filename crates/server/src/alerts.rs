//! Telling somebody that a sync started to fail, or works again: one message per change, whoever of several processes
//! sees it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tidegate_model::secret::Secret;
use tidegate_model::{Instant, Result};
use tidegate_net::http::Http;
use tidegate_net::oauth::Vault;
use tidegate_net::targets::Targets;
use tokio::sync::mpsc;

use crate::ports::StateView;

/// Tries to deliver a message: a receiver that restarts is back by then.
const TRIES: u32 = 4;
/// The wait after the first try; it grows fourfold.
const WAIT: Duration = Duration::from_secs(1);
/// A receiver that does not answer within this time is away.
const PATIENCE: Duration = Duration::from_secs(15);

/// The right to tell ends by itself after this time, should its holder die: later than all tries.
const CLAIM: Duration = Duration::from_secs(120);
/// Messages that wait for their receiver.
const WAITING_MAX: usize = 1_000;

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

    /// Begins to deliver, in the order in which it is told. What was delivered last stands in the state, for all
    /// processes and the next start.
    pub(crate) fn begin(self, state: Arc<dyn StateView>, claims: Arc<dyn Vault>, holder: String) -> Courier {
        if self.to.is_none() {
            return Courier(None);
        }
        let (tell, mut told) = mpsc::channel::<(News, Instant)>(WAITING_MAX);
        tokio::spawn(async move {
            while let Some((news, at)) = told.recv().await {
                if let Err(error) = self.carry(state.as_ref(), claims.as_ref(), &holder, &news, at).await {
                    let sync = news.sync.as_str();
                    tracing::warn!(
                        sync,
                        code = error.code(),
                        "{sync}: the state could not say whether an alert is due: {error}"
                    );
                }
            }
        });
        Courier(Some(tell))
    }

    /// Delivers it if that is a change. It counts as told once it was taken: what could not be delivered is told anew by
    /// the sync's next run that ends the same way.
    async fn carry(
        &self,
        state: &dyn StateView,
        claims: &dyn Vault,
        holder: &str,
        news: &News,
        at: Instant,
    ) -> Result<()> {
        let Some((url, client)) = &self.to else { return Ok(()) };
        let name = format!("alert:{}", news.sync);
        let claim = format!("alert_at_work.{}", news.sync);
        if told(state, &name).await? == news.failing {
            return Ok(());
        }
        // One process at a time: two that saw the same change would both tell it.
        while !claims.claim(&claim, holder, CLAIM).await? {
            tokio::time::sleep(WAIT).await;
        }
        let done = async {
            if told(state, &name).await? != news.failing && send(client, url, &self.body(news, at), &news.sync).await {
                state.set_setting(&name, news.failing.then_some("failing")).await?;
            }
            Ok(())
        };
        let done = done.await;
        claims.release(&claim, holder).await?;
        done
    }

    fn body(&self, news: &News, now: Instant) -> Json {
        let text = if news.failing {
            format!("{} started failing: {}", news.sync, news.message)
        } else {
            format!("{} has recovered", news.sync)
        };
        let link = self.pages.as_ref().map(|pages| format!("{}/syncs/{}", pages.trim_end_matches('/'), news.sync));
        // `text` is what chat services show of a message they do not know.
        json!({
            "text": text,
            "sync": news.sync,
            "state": if news.failing { "failing" } else { "recovered" },
            "run": news.run,
            "code": news.code,
            "message": news.message,
            "hint": news.hint,
            "at": now.to_string(),
            "url": link,
        })
    }
}

/// Whether it was told last that the sync fails.
async fn told(state: &dyn StateView, name: &str) -> Result<bool> {
    Ok(state.settings(name).await?.get(name).is_some_and(|text| text == "failing"))
}

/// Takes what is to be told.
pub(crate) struct Courier(Option<mpsc::Sender<(News, Instant)>>);

impl Courier {
    /// Tells it, once those before are delivered.
    pub(crate) fn tell(&self, news: News, at: Instant) {
        let Some(tell) = &self.0 else { return };
        if let Err(error) = tell.try_send((news, at)) {
            let (mpsc::error::TrySendError::Full((news, _)) | mpsc::error::TrySendError::Closed((news, _))) = error;
            tracing::error!(
                sync = news.sync,
                "{}: too many alerts wait for their receiver; this one is left out",
                news.sync
            );
        }
    }
}

/// Whether it was taken.
async fn send(client: &reqwest::Client, url: &Secret, body: &Json, sync: &str) -> bool {
    let mut wait = WAIT;
    for attempt in 1..=TRIES {
        let why = match client.post(url.expose()).json(body).timeout(PATIENCE).send().await {
            Ok(answer) if answer.status().is_success() => return true,
            Ok(answer) => format!("it answered {}", answer.status()),
            // The address may hold a token: reqwest's own words name it.
            Err(error) => error.without_url().to_string(),
        };
        if attempt == TRIES {
            tracing::error!(sync, "{sync}: the alert could not be delivered, {TRIES} tries: {why}");
            return false;
        }
        tokio::time::sleep(wait).await;
        wait *= 4;
    }
    false
}
