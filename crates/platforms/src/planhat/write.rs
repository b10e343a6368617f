//! Writing records: one bulk upsert a call, deletes one by one, and one outcome for each.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Map, Value as Json};
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::ports::WriteAsk;
use tidegate_model::record::{RecordRef, RemoteId};
use tidegate_model::{Error, ErrorKind, Result};

use super::Planhat;
use super::answer::{self, Said, Sent};
use super::directory::Parent;
use super::items::{self, CANNOT_CLEAR, Item, Parents};
use super::line::{Answer, Call, Host, whole};
use super::models::{CUSTOM, Layout};
use super::read::Look;
use crate::pieces::in_pieces;

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
    items: Vec<(usize, Item)>,
    /// The items as they are sent, with commas between them.
    body: Vec<u8>,
    deletes: Vec<(usize, RemoteId)>,
    refused: Vec<(usize, FieldReject)>,
}

impl Built {
    fn add(&mut self, at: usize, item: Item) -> Result<()> {
        if !self.items.is_empty() {
            self.body.push(b',');
        }
        serde_json::to_writer(&mut self.body, &item.json)
            .map_err(|error| Error::internal("the body of a bulk upsert").cause(error))?;
        self.items.push((at, item));
        Ok(())
    }
}

impl Planhat {
    /// Writes a batch.
    pub(super) async fn write_batch(&self, ask: &WriteAsk, changes: &[Change]) -> Result<Vec<Outcome>> {
        let layout = self.writable(ask, changes).await?;
        let mut batch = Batch { changes, outcomes: changes.iter().map(|_| None).collect() };
        let seen = self.look_first(&layout, &ask.key, &mut batch).await?;
        let parents = self.parents(&layout, changes).await?;
        let build = |from: usize, part: &[Change]| {
            let mut built = Built::default();
            let open = part.iter().zip(from..).filter(|(_, at)| batch.outcomes[*at].is_none());
            for (change, at) in open {
                let remote = seen.get(&at).or(change.remote.as_ref());
                if change.action == Action::Delete {
                    built.deletes.extend(remote.map(|remote| (at, remote.clone())));
                    continue;
                }
                match items::item(&layout, &ask.key, (change, remote), &parents, self.clear_as) {
                    Ok(item) => built.add(at, item)?,
                    Err(why) => built.refused.push((at, why)),
                }
            }
            Ok(built)
        };
        let built: Vec<Result<Built>> = in_pieces(changes, build);
        let (mut items, mut deletes, mut body) = (Vec::with_capacity(changes.len()), Vec::new(), vec![b'[']);
        for built in built {
            let built = built?;
            if !items.is_empty() && !built.items.is_empty() {
                body.push(b',');
            }
            body.extend_from_slice(&built.body);
            items.extend(built.items);
            deletes.extend(built.deletes);
            for (at, why) in built.refused {
                batch.outcomes[at] = Some(Outcome::Rejected(why));
            }
        }
        body.push(b']');
        self.put(&layout, items, body, &mut batch).await?;
        self.delete(&layout, &deletes, &mut batch).await?;
        let unsaid = || Outcome::Retry(Error::internal("a change was left without an answer"));
        Ok(batch.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unsaid)).collect())
    }

    /// The model, with the custom fields that the batch needs: those that are missing are defined.
    async fn writable(&self, ask: &WriteAsk, changes: &[Change]) -> Result<Layout> {
        let mut layout = self.directory.layout(ask.model.as_str(), false).await?;
        let lacks = |layout: &Layout| {
            let names = changes.iter().flat_map(|change| change.fields.iter().map(|(name, _)| name));
            names.filter(|name| name.starts_with(CUSTOM)).any(|name| layout.field(name).is_none())
        };
        if !lacks(&layout) {
            return Ok(layout);
        }
        layout = self.directory.layout(ask.model.as_str(), true).await?;
        for (name, logical) in ask.new_fields.iter().filter(|(name, _)| layout.field(name).is_none()) {
            let why = |error: Error| {
                let hint =
                    format!("define it at Planhat by hand, under the name {:?}", name.trim_start_matches(CUSTOM));
                Error { hint: Some(hint), ..error.at(format!("the field {name}")) }
            };
            self.directory.define(ask.model.as_str(), name, *logical).await.map_err(why)?;
        }
        self.directory.layout(ask.model.as_str(), true).await
    }

    async fn parents(&self, layout: &Layout, changes: &[Change]) -> Result<Parents> {
        let mut parents = Parents::new();
        for (model, names) in items::references(layout, changes) {
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
        let mut fields: Vec<String> = Vec::new();
        for at in asked.iter().filter(|at| fresh(&batch.changes[**at])) {
            fields.extend(batch.changes[*at].fields.iter().map(|(name, _)| name.to_string()));
        }
        fields.sort_unstable();
        fields.dedup();
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
    async fn put(
        &self,
        layout: &Layout,
        items: Vec<(usize, Item)>,
        body: Vec<u8>,
        batch: &mut Batch<'_>,
    ) -> Result<()> {
        // A change of which nothing is left to be sent names its record alone.
        if items.is_empty() {
            return Ok(());
        }
        let doing = format!("write {} of {}", items.len(), layout.def.endpoint);
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
        let sent: Vec<&Sent> = items.iter().map(|(_, item)| &item.sent).collect();
        let said = said(&answer, &sent, &doing)?;
        for ((at, item), said) in items.iter().zip(said) {
            batch.outcomes[*at] = Some(self.outcome(layout, item, said).await);
        }
        self.updates_of_gone(layout, &items, batch).await?;
        self.prove_clears(layout, &items, batch).await
    }

    async fn outcome(&self, layout: &Layout, item: &Item, said: Said) -> Outcome {
        let applied = |id: Option<String>, effect| Outcome::Applied {
            remote: id.or_else(|| item.sent.id.clone()).map(RemoteId::new),
            effect,
            dropped: item.dropped.clone(),
            stored: None,
        };
        match said {
            // A linked record that was made was gone: what was sent of it is not all of it.
            Said::Created(_) if item.sent.update => Outcome::Missed { now: None, remote: None },
            Said::Created(id) => {
                self.noted(layout, item, id.as_ref()).await;
                applied(id, Effect::Created)
            }
            Said::Updated(id) => {
                self.noted(layout, item, id.as_ref().or(item.sent.id.as_ref())).await;
                applied(id, Effect::Updated)
            }
            Said::Same(id) if item.dropped.is_empty() => {
                Outcome::Unchanged { remote: id.or_else(|| item.sent.id.clone()).map(RemoteId::new) }
            }
            Said::Same(id) => applied(id, Effect::Updated),
            Said::Refused { insert: true, .. } if item.sent.update => Outcome::Missed { now: None, remote: None },
            Said::Refused { permission, why, .. } => {
                let rule = if permission { "permission" } else { "refused" };
                let why = items::scrubbed(&why, item.json.values());
                let why = if why.is_empty() { "it gave no reason".to_owned() } else { why };
                Outcome::Rejected(FieldReject::record(rule, format!("Planhat refused the record: {why}")))
            }
            Said::Silent(why) => {
                let why = items::scrubbed(&why, item.json.values());
                let why = if why.is_empty() { String::new() } else { format!(" It said of some record: {why}") };
                let reason = format!("Planhat's answer does not say what became of the record.{why}");
                Outcome::Rejected(FieldReject::record("not_told", reason))
            }
        }
    }

    async fn noted(&self, layout: &Layout, item: &Item, id: Option<&String>) {
        if let Some(id) = id {
            let (external, source) = (item.sent.external.clone(), item.sent.source.clone());
            self.directory.note(&layout.def.name, Parent { id: id.clone(), external, source }).await;
        }
    }

    /// Whether refused updates were refused because their record is gone.
    async fn updates_of_gone(&self, layout: &Layout, items: &[(usize, Item)], batch: &mut Batch<'_>) -> Result<()> {
        if !layout.def.single {
            return Ok(());
        }
        let refused = items.iter().filter(|(at, item)| {
            item.sent.update && matches!(&batch.outcomes[*at], Some(Outcome::Rejected(why)) if why.rule == "refused")
        });
        let some: Vec<(usize, String)> =
            refused.filter_map(|(at, item)| Some((*at, item.sent.id.clone()?))).take(GONE_LOOKS_MAX).collect();
        for (at, id) in some {
            if self.single(layout, &id).await?.is_none() {
                batch.outcomes[at] = Some(Outcome::Missed { now: None, remote: None });
            }
        }
        Ok(())
    }

    /// The first time that a field is emptied, the record is read back. Where the old value stands, none of the
    /// batch's records lost it: their images must not say so.
    async fn prove_clears(&self, layout: &Layout, items: &[(usize, Item)], batch: &mut Batch<'_>) -> Result<()> {
        let mut open: Vec<(String, Vec<usize>)> = Vec::new();
        for (at, item) in items {
            let taken = matches!(batch.outcomes[*at], Some(Outcome::Applied { .. } | Outcome::Unchanged { .. }));
            for field in item.cleared.iter().filter(|_| taken) {
                match open.iter_mut().find(|(name, _)| name == field) {
                    Some((_, all)) => all.push(*at),
                    None => open.push((field.clone(), vec![*at])),
                }
            }
        }
        open.retain(|(field, _)| !self.clears_are_proven(&layout.def.name, field));
        for (field, all) in open {
            let Some(id) = all.first().and_then(|at| remote(batch.outcomes[*at].as_ref()?)) else { continue };
            let Some(record) = self.read_back(layout, &id).await? else { continue };
            if !stands(&record, &field) {
                self.prove(&layout.def.name, &field);
                continue;
            }
            for at in all {
                let why = FieldReject::field(&field, CANNOT_CLEAR, STANDS);
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

/// What an answer says of each record, or the error of the whole call: then nothing was taken.
fn said(answer: &Answer, sent: &[&Sent], doing: &str) -> Result<Vec<Said>> {
    let Some(Json::Object(object)) = answer.json() else {
        if answer.good() {
            return Err(Error::new(ErrorKind::Lost, format!("{doing}: Planhat's answer cannot be read"))
                .hint("a proxy in between may have replaced it"));
        }
        return Err(whole(answer, doing));
    };
    if !answer::speaks(&object) {
        return Err(whole(answer, doing));
    }
    answer::read(&object, sent).ok_or_else(|| {
        Error::new(
            ErrorKind::BadRequest,
            format!("{doing}: Planhat refuses the request and does not say for which record"),
        )
    })
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
