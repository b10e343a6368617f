//! Writing records: one bulk upsert a call, deletes one by one, and one outcome for each.

use std::borrow::Cow;
use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Map, Value as Json};
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::ports::WriteAsk;
use tidegate_model::record::{RecordRef, RemoteId};
use tidegate_model::{Error, ErrorKind, Result};

use super::Planhat;
use super::answer::{self, Asked, Asks, Said};
use super::directory::{Age, Parent};
use super::items::{self, CANNOT_CLEAR, Item, Parents, Upsert};
use super::line::{Answer, Call, Host, whole};
use super::members::Members;
use super::models::{CUSTOM, Layout};
use super::read::Look;
use super::told::Told;
use crate::names::names;
use crate::room::room;

/// Refused updates that are looked up, in case their record is gone: the first of a call.
const GONE_LOOKS_MAX: usize = 20;

/// The outcomes of a batch as they come.
struct Batch<'a> {
    changes: &'a [Change],
    outcomes: Vec<Option<Outcome>>,
}

/// Changes made ready for their call.
#[derive(Default)]
struct Built {
    /// The items as they are sent.
    body: Vec<u8>,
    /// Places of the changes in the body.
    sent: Vec<usize>,
    deletes: Vec<(usize, RemoteId)>,
    refused: Vec<(usize, FieldReject)>,
    /// Fields that are emptied: a change's place, and the member's.
    cleared: Vec<(usize, usize)>,
    /// What was left out of changes that are sent.
    dropped: HashMap<usize, Vec<FieldReject>>,
}

impl Built {
    /// Makes items of the changes that are still open.
    fn of(upsert: &Upsert<'_>, open: impl Fn(usize) -> bool) -> Result<Self> {
        let all = upsert.changes.len();
        let mut built = Self { body: vec![b'['], sent: Vec::with_capacity(all), ..Self::default() };
        let mut item = Item::default();
        for at in (0..all).filter(|at| open(*at)) {
            if upsert.changes[at].action == Action::Delete {
                built.deletes.extend(upsert.remote(at).map(|remote| (at, remote.clone())));
                continue;
            }
            match upsert.make(at, &mut item) {
                Ok(()) => built.add(upsert, at, &mut item)?,
                Err(why) => built.refused.push((at, why)),
            }
        }
        built.body.push(b']');
        Ok(built)
    }

    fn add(&mut self, upsert: &Upsert<'_>, at: usize, item: &mut Item<'_>) -> Result<()> {
        if !self.sent.is_empty() {
            self.body.push(b',');
        }
        upsert
            .write(item, &mut self.body)
            .map_err(|error| Error::internal("the body of a bulk upsert").cause(error))?;
        self.sent.push(at);
        self.cleared.extend(item.cleared.iter().map(|member| (at, *member)));
        if !item.dropped.is_empty() {
            self.dropped.insert(at, std::mem::take(&mut item.dropped));
        }
        room(&mut self.body, self.sent.len(), upsert.changes.len());
        Ok(())
    }
}

impl Planhat {
    /// Writes a batch.
    pub(super) async fn write_batch(&self, ask: &WriteAsk, changes: &[Change]) -> Result<Vec<Outcome>> {
        let fields = names(changes.iter());
        let layout = self.writable(ask, &fields).await?;
        let mut batch = Batch { changes, outcomes: changes.iter().map(|_| None).collect() };
        let seen = self.look_first(&layout, &ask.key, &mut batch).await?;
        let parents = self.parents(&layout, &fields, changes).await?;
        let (key, members) = (ask.key.as_str(), Members::of(&layout, &ask.key, &fields));
        let upsert = Upsert { layout: &layout, key, changes, members, seen, parents, clear_as: self.clear_as };
        let mut built = Built::of(&upsert, |at| batch.outcomes[at].is_none())?;
        for (at, why) in std::mem::take(&mut built.refused) {
            batch.outcomes[at] = Some(Outcome::Rejected(why));
        }
        let deletes = std::mem::take(&mut built.deletes);
        self.put(&upsert, built, &mut batch).await?;
        self.delete(&layout, &deletes, &mut batch).await?;
        let unsaid = || Outcome::Retry(Error::internal("a change was left without an answer"));
        Ok(batch.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unsaid)).collect())
    }

    /// The model, with the custom fields that the batch needs: those that are missing are defined.
    async fn writable(&self, ask: &WriteAsk, names: &[&str]) -> Result<Layout> {
        let mut layout = self.directory.layout(ask.model.as_str(), Age::Any).await?;
        let lacks = |layout: &Layout| {
            names.iter().filter(|name| name.starts_with(CUSTOM)).any(|name| layout.field(name).is_none())
        };
        if !lacks(&layout) {
            return Ok(layout);
        }
        layout = self.directory.layout(ask.model.as_str(), Age::Now).await?;
        for (name, logical) in ask.new_fields.iter().filter(|(name, _)| layout.field(name).is_none()) {
            let why = |error: Error| {
                let hint =
                    format!("define it at Planhat by hand, under the name {:?}", name.trim_start_matches(CUSTOM));
                Error { hint: Some(hint), ..error.at(format!("the field {name}")) }
            };
            self.directory.define(ask.model.as_str(), name, *logical).await.map_err(why)?;
        }
        self.directory.layout(ask.model.as_str(), Age::Now).await
    }

    async fn parents(&self, layout: &Layout, names: &[&str], changes: &[Change]) -> Result<Parents> {
        let mut parents = Parents::new();
        for (model, names) in items::references(layout, names, changes) {
            parents.insert(model.clone(), self.directory.resolve(&model, &names).await?);
        }
        Ok(parents)
    }

    /// An upsert makes what it does not find and changes what it finds. What must not be made, and what must not be
    /// there yet, is looked up before; the window between is one call.
    async fn look_first(&self, layout: &Layout, key: &str, batch: &mut Batch<'_>) -> Result<HashMap<usize, RemoteId>> {
        let unlinked = |change: &Change| change.remote.is_none() && change.action != Action::Create;
        let fresh = |change: &Change| change.action == Action::Create && change.expect.is_some();
        let asked: Vec<usize> =
            (0..batch.changes.len()).filter(|at| unlinked(&batch.changes[*at]) || fresh(&batch.changes[*at])).collect();
        let mut remotes = HashMap::new();
        if asked.is_empty() {
            return Ok(remotes);
        }
        let refs: Vec<RecordRef> = asked.iter().map(|at| RecordRef::Key(batch.changes[*at].key.clone())).collect();
        let new = asked.iter().map(|at| &batch.changes[*at]).filter(|change| fresh(change));
        let mut fields: Vec<String> = names(new).into_iter().map(str::to_owned).collect();
        fields.sort_unstable();
        let found = self.look_up(layout, key, &fields, &refs).await?;
        for at in asked {
            let change = &batch.changes[at];
            let Some(Look { remote, fields }) = found.get(&change.key) else {
                batch.outcomes[at] = match change.action {
                    Action::Create => None,
                    Action::Delete if change.expect.is_none() => Some(Outcome::Unchanged { remote: None }),
                    _ => Some(Outcome::Missed { now: None, remote: None }),
                };
                continue;
            };
            if fresh(change) {
                let now = change.fields.iter().filter_map(|(name, _)| Some((name.clone(), fields.get(name)?.clone())));
                let now = Some(now.collect());
                batch.outcomes[at] = Some(Outcome::Missed { now, remote: Some(remote.clone()) });
            } else {
                remotes.insert(at, remote.clone());
            }
        }
        Ok(remotes)
    }

    /// Sends the items in one call.
    async fn put(&self, upsert: &Upsert<'_>, built: Built, batch: &mut Batch<'_>) -> Result<()> {
        let Built { body, sent, cleared, mut dropped, .. } = built;
        // A change of which nothing is left to be sent names its record alone.
        if sent.is_empty() {
            return Ok(());
        }
        let layout = upsert.layout;
        let doing = format!("write {} of {}", sent.len(), layout.def.endpoint);
        let path = [layout.def.endpoint.as_str()];
        let answer = self
            .line
            .call(Call {
                host: Host::Main,
                method: Method::PUT,
                path: &path,
                query: &[],
                body: Some(body),
                token: true,
                doing: &doing,
            })
            .await?;
        let told = told(&answer, &doing)?;
        let said = said(&told, Asks { asked: upsert, sent: &sent }, &doing)?;
        self.note(upsert, &sent, &said).await;
        for (at, said) in sent.iter().zip(said) {
            let dropped = if dropped.is_empty() { Vec::new() } else { dropped.remove(at).unwrap_or_default() };
            batch.outcomes[*at] = Some(outcome(upsert, *at, said, dropped));
        }
        self.updates_of_gone(upsert, &sent, batch).await?;
        self.prove_clears(upsert, &cleared, batch).await
    }

    /// Notes what others may refer to.
    async fn note(&self, upsert: &Upsert<'_>, sent: &[usize], said: &[Said<'_>]) {
        let model = &upsert.layout.def.name;
        if !self.directory.notes(model).await {
            return;
        }
        let parent = |at: usize, id: &str| {
            let keys = upsert.keys(at);
            let own = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
            Parent { id: id.to_owned(), external: own(keys.external), source: own(keys.source) }
        };
        let mut parents = Vec::new();
        for (at, said) in sent.iter().zip(said) {
            match said {
                Said::Created(_) if upsert.updates(*at) => {}
                Said::Created(id) => parents.extend(id.as_ref().map(|id| parent(*at, id))),
                Said::Updated(Some(id)) => parents.push(parent(*at, id)),
                Said::Updated(None) => parents.extend(upsert.id(*at).map(|id| parent(*at, id.as_str()))),
                Said::Same(_) | Said::Refused { .. } | Said::Silent(_) => {}
            }
        }
        self.directory.note(model, parents).await;
    }

    /// Whether refused updates were refused because their record is gone.
    async fn updates_of_gone(&self, upsert: &Upsert<'_>, sent: &[usize], batch: &mut Batch<'_>) -> Result<()> {
        if !upsert.layout.def.single {
            return Ok(());
        }
        let refused = sent.iter().filter(|at| {
            upsert.updates(**at)
                && matches!(&batch.outcomes[**at], Some(Outcome::Rejected(why)) if why.rule == "refused")
        });
        let some: Vec<(usize, RemoteId)> =
            refused.filter_map(|at| Some((*at, upsert.id(*at)?))).take(GONE_LOOKS_MAX).collect();
        for (at, id) in some {
            if self.single(upsert.layout, id.as_str()).await?.is_none() {
                batch.outcomes[at] = Some(Outcome::Missed { now: None, remote: None });
            }
        }
        Ok(())
    }

    /// The first time that a field is emptied, the record is read back. Where the old value stands, none of the
    /// batch's records lost it: their images must not say so.
    async fn prove_clears(&self, upsert: &Upsert<'_>, cleared: &[(usize, usize)], batch: &mut Batch<'_>) -> Result<()> {
        let layout = upsert.layout;
        let mut open: Vec<(&str, Vec<usize>)> = Vec::new();
        for (at, member) in cleared {
            if matches!(batch.outcomes[*at], Some(Outcome::Applied { .. } | Outcome::Unchanged { .. })) {
                let field = upsert.members.all[*member].name;
                match open.iter_mut().find(|(name, _)| *name == field) {
                    Some((_, all)) => all.push(*at),
                    None => open.push((field, vec![*at])),
                }
            }
        }
        open.retain(|(field, _)| !self.clears_are_proven(&layout.def.name, field));
        for (field, all) in open {
            let Some(id) = all.first().and_then(|at| remote(batch.outcomes[*at].as_ref()?)) else { continue };
            let Some(record) = self.read_back(layout, &id).await? else { continue };
            if !stands(&record, field) {
                self.prove(&layout.def.name, field);
                continue;
            }
            for at in all {
                let why = FieldReject::field(field, CANNOT_CLEAR, STANDS);
                if let Some(outcome) = batch.outcomes[at].take() {
                    batch.outcomes[at] = Some(with_dropped(outcome, why));
                }
            }
        }
        Ok(())
    }

    async fn delete(&self, layout: &Layout, deletes: &[(usize, RemoteId)], batch: &mut Batch<'_>) -> Result<()> {
        let mut slow: Option<Error> = None;
        for (at, remote) in deletes {
            let outcome = match &slow {
                Some(error) => Err(error.clone()),
                None => self.delete_one(layout, remote.as_str()).await,
            };
            batch.outcomes[*at] = Some(match outcome {
                Ok(outcome) => outcome,
                // The first call's answer is the batch's: nothing was taken.
                Err(error) if *at == deletes[0].0 && batch.outcomes.iter().all(Option::is_none) => return Err(error),
                Err(error) if error.kind == ErrorKind::Lost => {
                    // A delete that was carried out before finds nothing to do.
                    Outcome::Retry(Error { kind: ErrorKind::Unavailable, ..error })
                }
                Err(error) => {
                    slow = Some(error.clone());
                    Outcome::Retry(error)
                }
            });
        }
        Ok(())
    }

    async fn delete_one(&self, layout: &Layout, id: &str) -> Result<Outcome> {
        let doing = format!("delete one of {}", layout.def.endpoint);
        let path = [layout.def.endpoint.as_str(), id];
        let answer = self
            .line
            .call(Call {
                host: Host::Main,
                method: Method::DELETE,
                path: &path,
                query: &[],
                body: None,
                token: true,
                doing: &doing,
            })
            .await?;
        let none = answer.json().is_some_and(|json| json["deletedCount"] == 0);
        match answer.status {
            404 => Ok(Outcome::Unchanged { remote: None }),
            200..=299 => {
                self.directory.forget(&layout.def.name, id).await;
                let remote = Some(RemoteId::new(id));
                let (effect, dropped, stored) = (Effect::Deleted, Vec::new(), None);
                Ok(if none {
                    Outcome::Unchanged { remote }
                } else {
                    Outcome::Applied { remote, effect, dropped, stored }
                })
            }
            400 => Ok(Outcome::Rejected(FieldReject::record("refused", "Planhat refuses to delete the record"))),
            _ => Err(whole(&answer, &doing)),
        }
    }
}

const STANDS: &str = "Planhat keeps the old value although the field was emptied; empty it there by hand, or try another `clear_as` of the connection";

/// The answer of a call that says what became of records, or the error of the whole call: then nothing was taken.
fn told<'a>(answer: &'a Answer, doing: &str) -> Result<Told<'a>> {
    match Told::read(&answer.body) {
        Some(told) if answer::speaks(&told) => Ok(told),
        None if answer.good() => Err(Error::new(ErrorKind::Lost, format!("{doing}: Planhat's answer cannot be read"))
            .hint("a proxy in between may have replaced it")),
        _ => Err(whole(answer, doing)),
    }
}

/// What an answer says of each record, or the error of the whole call.
fn said<'a>(told: &'a Told<'_>, asks: Asks<'a>, doing: &str) -> Result<Vec<Said<'a>>> {
    answer::read(told, asks).ok_or_else(|| {
        Error::new(
            ErrorKind::BadRequest,
            format!("{doing}: Planhat refuses the request and does not say for which record"),
        )
    })
}

/// The outcome of a change of which this was said.
fn outcome(upsert: &Upsert<'_>, at: usize, said: Said<'_>, dropped: Vec<FieldReject>) -> Outcome {
    let update = upsert.updates(at);
    let remote = |id: Option<Cow<'_, str>>| id.map(RemoteId::new).or_else(|| upsert.id(at));
    let applied = |id, effect, dropped| Outcome::Applied { remote: remote(id), effect, dropped, stored: None };
    match said {
        // A linked record that was made was gone: what was sent of it is not all of it.
        Said::Created(_) if update => Outcome::Missed { now: None, remote: None },
        Said::Created(id) => applied(id, Effect::Created, dropped),
        Said::Same(id) if dropped.is_empty() => Outcome::Unchanged { remote: remote(id) },
        Said::Updated(id) | Said::Same(id) => applied(id, Effect::Updated, dropped),
        Said::Refused { insert: true, .. } if update => Outcome::Missed { now: None, remote: None },
        Said::Refused { permission, why, .. } => {
            let rule = if permission { "permission" } else { "refused" };
            let why = upsert.scrubbed(at, &why);
            let why = if why.is_empty() { "it gave no reason".to_owned() } else { why };
            Outcome::Rejected(FieldReject::record(rule, format!("Planhat refused the record: {why}")))
        }
        Said::Silent(why) => {
            let why = upsert.scrubbed(at, &why);
            let why = if why.is_empty() { String::new() } else { format!(" It said of some record: {why}") };
            let reason = format!("Planhat's answer does not say what became of the record.{why}");
            Outcome::Rejected(FieldReject::record("not_told", reason))
        }
    }
}

fn remote(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Applied { remote, .. } | Outcome::Unchanged { remote } => {
            remote.as_ref().map(|remote| remote.as_str().to_owned())
        }
        _ => None,
    }
}

/// Whether a field of a record as Planhat shows it holds something.
fn stands(record: &Map<String, Json>, field: &str) -> bool {
    let value = match field.strip_prefix(CUSTOM) {
        Some(own) => record.get("custom").and_then(|custom| custom.get(own)),
        None => record.get(field),
    };
    value.is_some_and(|value| !value.is_null() && *value != "" && *value != serde_json::json!([]))
}

fn with_dropped(outcome: Outcome, why: FieldReject) -> Outcome {
    match outcome {
        Outcome::Applied { remote, effect, mut dropped, stored } => {
            dropped.push(why);
            Outcome::Applied { remote, effect, dropped, stored }
        }
        Outcome::Unchanged { remote } => {
            Outcome::Applied { remote, effect: Effect::Updated, dropped: vec![why], stored: None }
        }
        other => other,
    }
}
