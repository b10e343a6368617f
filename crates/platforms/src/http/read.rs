//! Reading: lists page by page, single records by key.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, LINK};
use serde_json::Value as Json;
use tidegate_model::cells::PageBuilder;
use tidegate_model::page::{Page, PageStream, Pages, REMOTE_ID, UPDATED_AT};
use tidegate_model::ports::{PlatformAsk, PlatformRead};
use tidegate_model::record::{Key, RecordRef, RemoteId};
use tidegate_model::schema::ModelName;
use tidegate_model::sync::Condition;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, ErrorKind, Result};

use super::config::Next;
use super::fill::Filling;
use super::list::{List, decode, instant};
use super::template::Var;
use super::{Endpoint, Inner, KEY};
use crate::conditions::Test;
use crate::rest::Answer;

/// Most pages of one read: a list that never ends is told instead of being read for ever.
const PAGES_MAX: u64 = 1_000_000;

/// Makes rows of records.
struct Shaper {
    inner: Arc<Inner>,
    /// Fields in order: name, type, where it stands.
    columns: Vec<(String, Type, String)>,
    tests: Vec<(String, Type, Test)>,
}

fn list(inner: &Inner) -> Result<&List> {
    inner.plan.list.as_ref().ok_or_else(|| {
        Error::config(format!("records of {} cannot be read back", inner.plan.host))
            .hint("write direction: to_platform, or say in `paging` of the connection how they are read")
    })
}

fn wrong(what: &str, host: &str, key: &str) -> Error {
    Error::new(ErrorKind::Data, format!("the answer of {host} has no {what}"))
        .hint(format!("compare `{key}` of the connection with an answer of the endpoint"))
}

fn text(json: Option<&Json>) -> Option<String> {
    match json? {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Shaper {
    fn new(inner: &Arc<Inner>, fields: &[String], filter: &[Condition]) -> Result<Self> {
        let list = list(inner)?;
        let column = |name: &str| match (name == KEY, list.field(name)) {
            (true, _) => Ok((name.to_owned(), Type::Text, list.key.clone())),
            (_, Some(field)) => Ok((name.to_owned(), field.logical, field.at.clone())),
            _ => Err(Error::config(format!("the connection does not say how the field {name} is read"))
                .hint(format!("add it to `paging.fields`: {name}: text"))),
        };
        let columns = fields.iter().map(|name| column(name)).collect::<Result<_>>()?;
        let test = |condition: &Condition| {
            let (_, logical, at) = column(&condition.field)?;
            Ok((at, logical, Test::new(&condition.field, logical, condition)?))
        };
        let tests = filter.iter().map(test).collect::<Result<_>>()?;
        Ok(Self { inner: Arc::clone(inner), columns, tests })
    }

    fn builder(&self) -> PageBuilder {
        let mut columns = vec![(REMOTE_ID.to_owned(), Type::Text), (KEY.to_owned(), Type::Text)];
        columns.extend(self.columns.iter().map(|(name, logical, _)| (name.clone(), *logical)));
        columns.push((UPDATED_AT.to_owned(), Type::TimestampTz));
        PageBuilder::new(&columns)
    }

    fn passes(&self, record: &Json) -> bool {
        self.tests.iter().all(|(at, logical, test)| test.passes(&decode(*logical, record.pointer(at))))
    }

    fn id(&self, record: &Json) -> Result<String> {
        let list = list(&self.inner)?;
        let at = list.id.as_ref().unwrap_or(&list.key);
        let key = if list.id.is_some() { "paging.id" } else { "paging.key" };
        text(record.pointer(at))
            .ok_or_else(|| wrong(&format!("{at} in one of its records"), &self.inner.plan.host, key))
    }

    fn push(&self, builder: &mut PageBuilder, record: &Json) -> Result<()> {
        let list = list(&self.inner)?;
        builder.push(&Value::text(self.id(record)?));
        builder.push(&text(record.pointer(&list.key)).map_or(Value::Null, Value::text));
        for (_, logical, at) in &self.columns {
            builder.push(&decode(*logical, record.pointer(at)));
        }
        let updated = list.updated_at.as_ref().and_then(|at| record.pointer(at)?.as_str()).and_then(instant);
        builder.push(&updated.map_or(Value::Null, Value::TimestampTz));
        builder.end_row();
        Ok(())
    }
}

/// Where a list is.
enum At {
    First,
    Cursor(String),
    Link(Url),
    Offset(u64),
    Page(u64),
    Over,
}

/// A list as pages of the size that was asked for.
struct Feed {
    endpoint: Endpoint,
    shaper: Shaper,
    model: ModelName,
    at: At,
    pages: u64,
    waiting: VecDeque<Json>,
    rows: usize,
    /// Ids that were handed out: a list that shifts while it is read shows some records twice.
    seen: HashSet<String>,
}

impl Feed {
    /// The next records; `None` after the last.
    async fn more(&mut self) -> Result<Option<Vec<Json>>> {
        if matches!(self.at, At::Over) {
            return Ok(None);
        }
        self.pages += 1;
        if self.pages > PAGES_MAX {
            let why = format!("the list of {} did not end after {PAGES_MAX} pages", self.endpoint.plan.host);
            return Err(Error::new(ErrorKind::Data, why).hint("does `paging.next` say when a page is the last?"));
        }
        let list = list(&self.endpoint.0)?;
        let answer = self.endpoint.look(self.request(list)?).await?;
        let host = &self.endpoint.plan.host;
        let Some(answer) = answer else {
            return Err(Error::new(ErrorKind::NotFound, format!("{host} has no such list (404)"))
                .hint("compare `paging.url` of the connection with the endpoint's documentation"));
        };
        let body: Json = serde_json::from_slice(&answer.body).map_err(|_| wrong("JSON", host, "paging.url"))?;
        let records = body.pointer(&list.items).and_then(Json::as_array).cloned();
        let records = records.ok_or_else(|| wrong(&format!("list at {:?}", list.items), host, "paging.items"))?;
        self.at = self.after(list, &answer, &body, records.len() as u64)?;
        Ok(Some(records))
    }

    fn request(&self, list: &List) -> Result<reqwest::RequestBuilder> {
        let mut filling =
            Filling { model: self.model.as_str(), limit: Some(u64::from(list.size)), ..Filling::default() };
        let first = match &list.next {
            Some(Next::Page { first }) => first.unwrap_or(1),
            _ => 0,
        };
        (filling.offset, filling.page) = (Some(0), Some(first));
        match &self.at {
            At::Cursor(cursor) => filling.cursor = Some(cursor),
            At::Offset(offset) => filling.offset = Some(*offset),
            At::Page(page) => filling.page = Some(*page),
            At::Link(url) => return Ok(self.endpoint.client.get(url.clone())),
            At::First | At::Over => {}
        }
        let url = filling.address(&list.address).map_err(|why| Error::config(why.reason).at("paging.url"))?;
        let request = self.endpoint.client.request(list.method.clone(), url);
        let Some(tree) = &list.body else { return Ok(request) };
        let mut body = Vec::new();
        filling.tree(tree, &mut body)?;
        Ok(request.header(CONTENT_TYPE, "application/json").body(body))
    }

    /// Where the list goes on.
    fn after(&self, list: &List, answer: &Answer, body: &Json, count: u64) -> Result<At> {
        Ok(match &list.next {
            None => At::Over,
            Some(Next::Cursor { at }) => match text(body.pointer(at)) {
                Some(next) if matches!(&self.at, At::Cursor(now) if *now == next) => {
                    return Err(Error::new(
                        ErrorKind::Data,
                        format!("{} names the same cursor again: its list does not move", self.endpoint.plan.host),
                    )
                    .hint("compare `paging.next.at` with the endpoint's documentation"));
                }
                Some(next) => At::Cursor(next),
                None => At::Over,
            },
            // A page that is not full is not taken for the last one: the endpoint may give fewer than it is asked for.
            Some(Next::Offset {} | Next::Page { .. }) if count == 0 => At::Over,
            Some(Next::Offset {}) => match self.at {
                At::Offset(offset) => At::Offset(offset + count),
                _ => At::Offset(count),
            },
            Some(Next::Page { first }) => match self.at {
                At::Page(page) => At::Page(page + 1),
                _ => At::Page(first.unwrap_or(1) + 1),
            },
            Some(Next::Link { at }) => {
                let named = match at {
                    Some(at) => body.pointer(at).and_then(Json::as_str).map(str::to_owned),
                    None => {
                        answer.headers.get_all(LINK).iter().filter_map(|value| next_link(value.to_str().ok()?)).next()
                    }
                };
                match named.filter(|link| !link.is_empty()) {
                    Some(link) => At::Link(self.beside(list, &link)?),
                    None => At::Over,
                }
            }
        })
    }

    /// The next page's address: on the host of the list, or our credentials would go elsewhere.
    fn beside(&self, list: &List, link: &str) -> Result<Url> {
        let host = &self.endpoint.plan.host;
        let filling = Filling {
            model: self.model.as_str(),
            limit: Some(1),
            offset: Some(0),
            page: Some(0),
            ..Filling::default()
        };
        let base = filling.address(&list.address).map_err(|why| Error::config(why.reason))?;
        let base = Url::parse(&base).map_err(|_| wrong("usable address", host, "paging.url"))?;
        let next = base.join(link).map_err(|_| wrong("usable link to the next page", host, "paging.next"))?;
        if next.origin() != base.origin() {
            return Err(Error::new(
                ErrorKind::Data,
                format!("{host} links the next page on another host, which is not called"),
            )
            .hint("our credentials would go there too; page by cursor or offset if the endpoint can"));
        }
        Ok(next)
    }
}

/// The address with rel="next" of a header `Link`.
fn next_link(header: &str) -> Option<String> {
    header.split(',').find_map(|part| {
        let (url, rest) = part.trim().strip_prefix('<')?.split_once('>')?;
        let next = rest.split(';').any(|one| ["rel=\"next\"", "rel=next"].contains(&one.trim()));
        next.then(|| url.to_owned())
    })
}

#[async_trait]
impl PageStream for Feed {
    async fn next(&mut self) -> Result<Option<Page>> {
        while self.waiting.len() < self.rows {
            let Some(records) = self.more().await? else { break };
            for record in records {
                if self.shaper.passes(&record) && self.seen.insert(self.shaper.id(&record)?) {
                    self.waiting.push_back(record);
                }
            }
        }
        if self.waiting.is_empty() {
            return Ok(None);
        }
        let mut builder = self.shaper.builder();
        let rows = self.rows.min(self.waiting.len());
        for record in self.waiting.drain(..rows) {
            self.shaper.push(&mut builder, &record)?;
        }
        builder.take().map(Some)
    }
}

impl Endpoint {
    fn feed(&self, model: &ModelName, fields: &[String], filter: &[Condition], rows: usize) -> Result<Feed> {
        Ok(Feed {
            endpoint: self.clone(),
            shaper: Shaper::new(&self.0, fields, filter)?,
            model: model.clone(),
            at: At::First,
            pages: 0,
            waiting: VecDeque::new(),
            rows,
            seen: HashSet::new(),
        })
    }

    /// Reads all records that pass the filter.
    pub(super) fn read_all(&self, ask: &PlatformAsk) -> Result<Pages> {
        if !matches!(ask.mode, PlatformRead::Full) {
            return Err(Error::config(format!("{} has no list of changes", self.plan.host))
                .hint("it is read as a whole and compared"));
        }
        Ok(Box::new(self.feed(&ask.model, &ask.fields, &ask.filter, ask.page_rows.max(1))?))
    }

    /// Counts the records that pass a filter.
    pub(super) async fn count_all(&self, model: &ModelName, filter: &[Condition]) -> Result<u64> {
        let mut feed = self.feed(model, &[], filter, usize::MAX)?;
        let mut count = 0;
        while let Some(records) = feed.more().await? {
            for record in records {
                count += u64::from(feed.shaper.passes(&record) && feed.seen.insert(feed.shaper.id(&record)?));
            }
        }
        Ok(count)
    }

    /// Records by reference: one by one, and out of a list of all where the address of one needs what is not known of it.
    pub(super) async fn fetch_some(&self, model: &ModelName, fields: &[String], refs: &[RecordRef]) -> Result<Page> {
        let shaper = Shaper::new(&self.0, fields, &[])?;
        let list = list(&self.0)?;
        let mut builder = shaper.builder();
        let (mut seen, mut others) = (HashSet::new(), HashSet::new());
        for one in refs {
            let Some(url) = self.address_of_one(list, model, one) else {
                others.insert(one.clone());
                continue;
            };
            let Some(answer) = self.look(self.client.get(url)).await? else { continue };
            let body: Json =
                serde_json::from_slice(&answer.body).map_err(|_| wrong("JSON", &self.plan.host, "paging.one"))?;
            let at = list.one.as_ref().map_or("", |(_, at)| at.as_str());
            let Some(record) = body.pointer(at).filter(|record| record.is_object()) else { continue };
            if seen.insert(shaper.id(record)?) {
                shaper.push(&mut builder, record)?;
            }
        }
        let mut feed = self.feed(model, fields, &[], usize::MAX)?;
        while !others.is_empty() {
            let Some(records) = feed.more().await? else { break };
            for record in records {
                let id = shaper.id(&record)?;
                let key = text(record.pointer(&list.key)).map(|key| RecordRef::Key(Key::new(key)));
                let by_key = key.is_some_and(|key| others.remove(&key));
                let asked = others.remove(&RecordRef::Remote(RemoteId::new(id.as_str()))) || by_key;
                if asked && seen.insert(id) {
                    shaper.push(&mut builder, &record)?;
                }
            }
        }
        builder.take()
    }

    /// Where a single record is read, if all that the address needs is known.
    fn address_of_one(&self, list: &List, model: &ModelName, one: &RecordRef) -> Option<String> {
        let (address, _) = list.one.as_ref()?;
        // Without an id of its own at the target, the key is the id.
        let same = list.id.is_none();
        let (key, id) = match one {
            RecordRef::Remote(id) => (same.then_some(id.as_str()), Some(id.as_str())),
            RecordRef::Key(key) => (Some(key.as_str()), same.then_some(key.as_str())),
        };
        let filling = Filling { model: model.as_str(), key, id, ..Filling::default() };
        let known = address.vars().all(|var| match var {
            Var::Key => key.is_some(),
            Var::Id => id.is_some(),
            _ => true,
        });
        filling.address(address).ok().filter(|_| known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_of_a_header() {
        let header = "<https://x/a?page=1>; rel=\"prev\", <https://x/a?page=3>; title=\"t\"; rel=\"next\"";
        assert_eq!(next_link(header).as_deref(), Some("https://x/a?page=3"));
        assert_eq!(next_link("<https://x/a>; rel=\"last\""), None);
    }
}
