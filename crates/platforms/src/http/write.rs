//! Writing: one request for each record, several in flight, or one for many.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tidegate_model::change::{Action, Change, FieldReject, Outcome};
use tidegate_model::ports::WriteAsk;
use tidegate_model::{Error, ErrorKind, Result};

use super::fill::{Filling, word};
use super::judge::Verdict;
use super::plan::Door;
use super::template::Address;
use super::{Endpoint, auth};
use crate::rest::{self, Answer};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request without its credentials.
struct Request<'a> {
    door: &'a Door,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Bytes>,
}

/// What a call came to below its outcome.
enum Heard {
    Answer(Answer),
    Failed(Error),
}

impl Endpoint {
    /// Writes a batch.
    pub(super) async fn write_batch(&self, ask: &WriteAsk, changes: &[Change]) -> Result<Vec<Outcome>> {
        match &self.plan.envelope {
            None => self.one_by_one(ask, changes).await,
            Some(_) => self.together(ask, changes).await,
        }
    }

    /// Each record is a request. What makes every request fail ends the call: those that were not sent wait.
    async fn one_by_one(&self, ask: &WriteAsk, changes: &[Change]) -> Result<Vec<Outcome>> {
        let (over, next) = (Mutex::new(None), AtomicUsize::new(0));
        // As many lines as requests may be in flight, each with one after the other: a request that waits for its turn is
        // nothing yet.
        let lines = FuturesUnordered::new();
        for _ in 0..self.plan.parallel.min(changes.len()) {
            lines.push(self.line(ask, changes, &next, &over));
        }
        let mut told: Vec<(usize, Outcome)> = lines.collect::<Vec<_>>().await.into_iter().flatten().collect();
        told.sort_unstable_by_key(|(at, _)| *at);
        let outcomes: Vec<Outcome> = told.into_iter().map(|(_, outcome)| outcome).collect();
        let untouched =
            outcomes.iter().all(|outcome| matches!(outcome, Outcome::Retry(error) if error.kind != ErrorKind::Lost));
        match over.into_inner().unwrap_or_else(PoisonError::into_inner).filter(|_| untouched) {
            // Nothing was taken of any of them.
            Some(error) => Err(error),
            None => Ok(outcomes),
        }
    }

    /// The next change, and the next, until none is left.
    async fn line(
        &self,
        ask: &WriteAsk,
        changes: &[Change],
        next: &AtomicUsize,
        over: &Mutex<Option<Error>>,
    ) -> Vec<(usize, Outcome)> {
        let mut told = Vec::with_capacity(changes.len() / self.plan.parallel + 1);
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(change) = changes.get(at) else { return told };
            told.push((at, self.unless_over(ask, change, over).await));
        }
    }

    async fn unless_over(&self, ask: &WriteAsk, change: &Change, over: &Mutex<Option<Error>>) -> Outcome {
        let ended = over.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(error) = ended {
            return Outcome::Retry(error);
        }
        let outcome = self.one(ask, change).await.unwrap_or_else(Outcome::Retry);
        if let Outcome::Retry(error) = &outcome
            && error.kind != ErrorKind::Lost
        {
            over.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
        outcome
    }

    async fn one(&self, ask: &WriteAsk, change: &Change) -> Result<Outcome> {
        let request = match self.request(ask, change)? {
            Ok(request) => request,
            Err(why) => return Ok(Outcome::Rejected(why)),
        };
        let changes = std::slice::from_ref(change);
        let verdict = match self.send(request).await {
            Heard::Answer(answer) => self.plan.rules.verdict(&answer, changes),
            Heard::Failed(error) if error.kind == ErrorKind::Lost => Verdict::Lost(error),
            Heard::Failed(error) => return Err(error),
        };
        self.plan.rules.single(verdict, change, self.plan.repeatable)
    }

    fn request(&self, ask: &WriteAsk, change: &Change) -> Result<Result<Request<'_>, FieldReject>> {
        let filling = Filling::of(ask.model.as_str(), change, &ask.op);
        let door = match self.door(change.action) {
            Ok(door) => door,
            Err(why) => return Ok(Err(why)),
        };
        let (url, headers) = match self.aim(&filling, &door.address) {
            Ok(aim) => aim,
            Err(why) => return Ok(Err(why)),
        };
        let body = match door.method {
            reqwest::Method::DELETE => None,
            _ => {
                let mut bytes = Vec::with_capacity(256);
                filling.tree(&self.plan.body, &mut bytes)?;
                Some(Bytes::from(bytes))
            }
        };
        Ok(Ok(Request { door, url, headers, body }))
    }

    fn door(&self, action: Action) -> Result<&Door, FieldReject> {
        self.plan.door(action).ok_or_else(|| {
            let word = word(action);
            FieldReject::record(
                "no_address",
                format!("the connection has no address for this: add `{word}:` to its `url`"),
            )
        })
    }

    /// Address and headers.
    fn aim(
        &self,
        filling: &Filling<'_>,
        address: &Address,
    ) -> Result<(String, Vec<(HeaderName, HeaderValue)>), FieldReject> {
        let url = filling.address(address)?;
        let mut headers = Vec::with_capacity(self.plan.headers.len());
        for (name, text) in &self.plan.headers {
            if let Some(value) = filling.header(name.as_str(), text)? {
                headers.push((name.clone(), value));
            }
        }
        Ok((url, headers))
    }

    /// One request for many. A call goes through one door: changes for another wait for the next.
    async fn together(&self, ask: &WriteAsk, changes: &[Change]) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = changes.iter().map(|_| None).collect();
        let mut first: Option<(&Door, Action)> = None;
        let mut sent = Vec::with_capacity(changes.len());
        for (at, change) in changes.iter().enumerate() {
            match self.door(change.action) {
                Err(why) => outcomes[at] = Some(Outcome::Rejected(why)),
                Ok(door) => {
                    let (open, action) = *first.get_or_insert((door, change.action));
                    if open == door && (action == change.action || !self.names_action()) {
                        sent.push(at);
                    }
                }
            }
        }
        if let Some((door, action)) = first {
            let part: Vec<Change> = sent.iter().map(|at| changes[*at].clone()).collect();
            for (at, outcome) in sent.iter().zip(self.part(ask, door, action, &part).await?) {
                outcomes[*at] = Some(outcome);
            }
        }
        let waits = || {
            let why = format!("{} takes records of this kind in another request", self.plan.host);
            Outcome::Retry(Error::new(ErrorKind::Unavailable, why))
        };
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(waits)).collect())
    }

    /// Whether what surrounds a batch says what is done with its records.
    fn names_action(&self) -> bool {
        let mut vars = Vec::new();
        if let Some(envelope) = &self.plan.envelope {
            envelope.vars(&mut vars);
        }
        vars.extend(self.plan.headers.iter().flat_map(|(_, text)| text.vars()));
        let doors = [&self.plan.create, &self.plan.update, &self.plan.delete];
        vars.extend(doors.into_iter().flatten().flat_map(|door| door.address.vars()));
        vars.contains(&&super::template::Var::Action)
    }

    async fn part(&self, ask: &WriteAsk, door: &Door, action: Action, changes: &[Change]) -> Result<Vec<Outcome>> {
        let mut records = Vec::with_capacity(changes.len() * 256);
        records.push(b'[');
        for (at, change) in changes.iter().enumerate() {
            if at > 0 {
                records.push(b',');
            }
            if !Filling::of(ask.model.as_str(), change, &ask.op).tree(&self.plan.body, &mut records)? {
                records.extend_from_slice(b"null");
            }
        }
        records.push(b']');
        let keys: String = changes.iter().flat_map(|change| [change.key.as_str(), "\n"]).collect();
        let filling = Filling {
            model: ask.model.as_str(),
            action: Some(word(action)),
            write: Some((&ask.op, &keys)),
            records: Some(&records),
            ..Filling::default()
        };
        let wrong = |why: FieldReject| Error::config(why.reason);
        let (url, headers) = self.aim(&filling, &door.address).map_err(wrong)?;
        let mut body = Vec::with_capacity(records.len() + 64);
        match &self.plan.envelope {
            Some(envelope) => filling.tree(envelope, &mut body).map(drop)?,
            None => body.extend_from_slice(&records),
        }
        let request = Request { door, url, headers, body: Some(Bytes::from(body)) };
        let verdict = match self.send(request).await {
            Heard::Answer(answer) => self.plan.rules.verdict(&answer, changes),
            Heard::Failed(error) => return Err(error),
        };
        self.plan.rules.batch(verdict, changes)
    }

    async fn send(&self, request: Request<'_>) -> Heard {
        let proven = match self.plan.auth.prove(&self.client).await {
            Ok(proven) => proven,
            Err(error) => return Heard::Failed(error),
        };
        let mut builder = self.client.request(request.door.method.clone(), request.url);
        if let Some((name, value, _)) = &proven {
            builder = builder.header(name, value.clone());
        }
        let typed = request.headers.iter().any(|(name, _)| name == CONTENT_TYPE);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            if !typed {
                builder = builder.header(CONTENT_TYPE, JSON);
            }
            builder = builder.body(body);
        }
        match rest::call(builder, self.plan.rules.what()).await {
            Ok(answer) => match self.plan.auth.heard(&proven, answer.status.as_u16()).await {
                Some(error) => Heard::Failed(error),
                None => Heard::Answer(answer),
            },
            Err(error) => Heard::Failed(error),
        }
    }

    /// A read of one answer: an error if it is no success, `None` if there is nothing.
    pub(super) async fn look(&self, request: reqwest::RequestBuilder) -> Result<Option<Answer>> {
        let proven = self.plan.auth.prove(&self.client).await?;
        let mut builder = request;
        if let Some((name, value, _)) = &proven {
            builder = builder.header(name, value.clone());
        }
        let fixed = Filling::default();
        for (name, text) in self.plan.headers.iter().filter(|(_, text)| text.vars().next().is_none()) {
            if let Ok(Some(value)) = fixed.header(name.as_str(), text) {
                builder = builder.header(name, value);
            }
        }
        // Whatever is lost of a read may be asked again.
        let again = |error: Error| match error.kind {
            ErrorKind::Lost => Error { kind: ErrorKind::Unavailable, ..error },
            _ => error,
        };
        let answer = rest::call(builder, self.plan.rules.what()).await.map_err(again)?;
        if let Some(error) = self.plan.auth.heard(&proven, answer.status.as_u16()).await {
            return Err(error);
        }
        match self.plan.rules.verdict(&answer, &[]) {
            _ if answer.status.is_success() => Ok(Some(answer)),
            Verdict::Gone(_) => Ok(None),
            Verdict::Again(error) | Verdict::Lost(error) | Verdict::Stop(error) => Err(again(error)),
            Verdict::Taken(_) | Verdict::Refused { .. } => Err(again(rest::refused(
                &answer,
                self.plan.rules.what(),
                "",
                self.plan.rules.error.retry_after.as_deref(),
            ))),
        }
    }

    /// Whether our credentials are good, as far as that shows without a request to the endpoint.
    pub(super) async fn prove(&self) -> Result<()> {
        match self.plan.auth.tried(&self.client).await {
            Err(error) if auth::stops(&error) => Err(error),
            other => other,
        }
    }
}
