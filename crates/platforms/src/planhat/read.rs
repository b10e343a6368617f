//! Reading: lists page by page, single records by key. There is no list of changes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Map, Value as Json};
use tidegate_model::cells::PageBuilder;
use tidegate_model::page::{Page, PageStream, Pages, REMOTE_ID, UPDATED_AT};
use tidegate_model::ports::{PlatformAsk, PlatformRead};
use tidegate_model::record::{Fields, Key, RecordRef, RemoteId};
use tidegate_model::schema::ModelName;
use tidegate_model::sync::Condition;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, Result};

use super::Planhat;
use super::codec::{self, decode, instant};
use super::directory::{Age, Directory};
use super::filter::Test;
use super::line::{Call, Host, Line, whole};
use super::models::{CUSTOM, Field, Layout};

/// Up to so many records are read one by one; more of them by a list of all.
const SINGLES_MAX: usize = 20;

/// A record as it was found.
pub(super) struct Look {
    pub(super) remote: RemoteId,
    pub(super) fields: Fields,
}

/// A record's JSON.
type Record = Map<String, Json>;

/// Makes rows of records.
struct Shaper {
    layout: Layout,
    directory: Arc<Directory>,
    /// The key and the fields, in order; `None` for custom fields that nobody has made.
    columns: Vec<(String, Option<Field>)>,
    tests: Vec<Test>,
}

/// What Planhat shows of a field.
fn shown<'r>(record: &'r Record, name: &str) -> &'r Json {
    match name.strip_prefix(CUSTOM) {
        Some(own) => record.get("custom").and_then(|custom| custom.get(own)).unwrap_or(&Json::Null),
        None => record.get(name).unwrap_or(&Json::Null),
    }
}

fn id(record: &Record) -> Option<&str> {
    record.get("_id").and_then(Json::as_str)
}

/// The time of the last change, where the record carries one.
fn updated(record: &Record) -> Value {
    let named = ["updatedAt", "lastUpdated"].iter().find_map(|name| record.get(*name)?.as_str());
    named.and_then(instant).map_or(Value::Null, Value::TimestampTz)
}

impl Shaper {
    fn new(
        layout: Layout,
        directory: Arc<Directory>,
        key: &str,
        fields: &[String],
        filter: &[Condition],
    ) -> Result<Self> {
        let column = |name: &str| match layout.field(name) {
            Some(field) => Ok((name.to_owned(), Some(field.clone()))),
            None if name.starts_with(CUSTOM) => Ok((name.to_owned(), None)),
            None => Err(layout.no_field(name)),
        };
        let names = std::iter::once(key).chain(fields.iter().map(String::as_str));
        let columns = names.map(column).collect::<Result<_>>()?;
        let tests = filter.iter().map(|condition| Test::new(&layout, condition)).collect::<Result<_>>()?;
        Ok(Self { layout, directory, columns, tests })
    }

    fn builder(&self) -> PageBuilder {
        let mut columns = vec![(REMOTE_ID.to_owned(), Type::Text)];
        let logical = |field: &Option<Field>| field.as_ref().map_or(Type::Text, |field| field.schema.logical);
        columns.extend(self.columns.iter().map(|(name, field)| (name.clone(), logical(field))));
        columns.push((UPDATED_AT.to_owned(), Type::TimestampTz));
        PageBuilder::new(&columns)
    }

    /// Puts names in the place of the ids by which these records refer to others.
    async fn name_parents(&self, records: &mut [Record]) -> Result<()> {
        let tested = self.tests.iter().map(|test| &test.field);
        let fields: Vec<&Field> = self.columns.iter().filter_map(|(_, field)| field.as_ref()).chain(tested).collect();
        let mut done: HashSet<&str> = HashSet::new();
        for field in fields {
            let Some(parent) = field.parent().filter(|_| done.insert(field.name())) else { continue };
            let given = records.iter().filter_map(|record| record.get(field.name())?.as_str());
            let ids: HashSet<String> = given.filter(|id| !id.is_empty()).map(str::to_owned).collect();
            if ids.is_empty() {
                continue;
            }
            let ids: Vec<String> = ids.into_iter().collect();
            let names = self.directory.shown(parent, &ids).await?;
            for record in records.iter_mut() {
                if let Some(Json::String(text)) = record.get_mut(field.name())
                    && let Some(name) = names.get(text.as_str())
                {
                    text.clone_from(name);
                }
            }
        }
        Ok(())
    }

    /// Records whose references have been named, to rows.
    fn value(record: &Record, name: &str, field: Option<&Field>) -> Value {
        field.map_or(Value::Null, |field| decode(field, shown(record, name)))
    }

    fn passes(&self, record: &Record) -> bool {
        self.tests.iter().all(|test| test.passes(&Self::value(record, test.field.name(), Some(&test.field))))
    }

    fn push(&self, builder: &mut PageBuilder, record: &Record) {
        builder.push(&id(record).map_or(Value::Null, Value::text));
        for (name, field) in &self.columns {
            builder.push(&Self::value(record, name, field.as_ref()));
        }
        builder.push(&updated(record));
        builder.end_row();
    }
}

/// A list, call by call.
struct List {
    line: Line,
    endpoint: &'static str,
    page: usize,
    offset: usize,
    over: bool,
    /// Records that were handed out: a list that shifts while it is read shows some twice.
    seen: HashSet<u128>,
}

/// An id of 24 hexadecimal digits as a number: a third of its text's memory.
fn number(id: &str) -> u128 {
    u128::from_str_radix(id, 16).unwrap_or_else(|_| {
        let mut hash = 0xcbf2_9ce4_8422_2325_u128;
        id.bytes().for_each(|byte| hash = (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_01b3_0000_0000_01b3));
        hash | 1 << 127
    })
}

impl List {
    fn new(line: Line, layout: &Layout) -> Self {
        let (endpoint, page) = (layout.def.endpoint.as_str(), layout.def.page);
        Self { line, endpoint, page, offset: 0, over: false, seen: HashSet::new() }
    }

    /// The next records; `None` after the last.
    async fn next(&mut self) -> Result<Option<Vec<Record>>> {
        if self.over {
            return Ok(None);
        }
        let doing = format!("read {}", self.endpoint);
        let query = [("limit", self.page.to_string()), ("offset", self.offset.to_string())];
        let path = [self.endpoint];
        let (host, method) = (Host::Main, Method::GET);
        let call = Call { host, method, path: &path, query: &query, body: None, token: true, doing: &doing };
        let answer = self.line.call(call).await?;
        let Some(Json::Array(rows)) = answer.json().filter(|_| answer.good()) else {
            return Err(whole(&answer, &doing));
        };
        self.offset += rows.len();
        // A page that is not full is not taken for the last one: the greatest page of an endpoint is hearsay.
        self.over = rows.is_empty();
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            if let Json::Object(record) = row
                && let Some(id) = id(&record)
                && self.seen.insert(number(id))
            {
                records.push(record);
            }
        }
        Ok(Some(records))
    }
}

/// A list as pages of the size that was asked for.
struct Feed {
    list: List,
    shaper: Shaper,
    waiting: VecDeque<Record>,
    rows: usize,
}

#[async_trait]
impl PageStream for Feed {
    async fn next(&mut self) -> Result<Option<Page>> {
        while self.waiting.len() < self.rows {
            let Some(mut records) = self.list.next().await? else { break };
            self.shaper.name_parents(&mut records).await?;
            records.retain(|record| self.shaper.passes(record));
            self.waiting.extend(records);
        }
        if self.waiting.is_empty() {
            return Ok(None);
        }
        let mut builder = self.shaper.builder();
        let rows = self.rows.min(self.waiting.len());
        self.waiting.drain(..rows).for_each(|record| self.shaper.push(&mut builder, &record));
        builder.take().map(Some)
    }
}

impl Planhat {
    async fn shaper(&self, model: &ModelName, key: &str, fields: &[String], filter: &[Condition]) -> Result<Shaper> {
        let layout = self.directory.layout(model.as_str(), Age::Any).await?;
        Shaper::new(layout, Arc::clone(&self.directory), key, fields, filter)
    }

    /// Reads all records that pass the filter.
    pub(super) async fn read_all(&self, ask: &PlatformAsk) -> Result<Pages> {
        if !matches!(ask.mode, PlatformRead::Full) {
            return Err(Error::config(format!("Planhat has no list of the changes of {}", ask.model))
                .hint("it is read as a whole and compared"));
        }
        let shaper = self.shaper(&ask.model, &ask.key, &ask.fields, &ask.filter).await?;
        let list = List::new(self.line.clone(), &shaper.layout);
        Ok(Box::new(Feed { list, shaper, waiting: VecDeque::new(), rows: ask.page_rows.max(1) }))
    }

    /// Counts the records that pass a filter.
    pub(super) async fn count_all(&self, model: &ModelName, filter: &[Condition]) -> Result<u64> {
        let shaper = self.shaper(model, "_id", &[], filter).await?;
        let mut list = List::new(self.line.clone(), &shaper.layout);
        let mut count = 0;
        while let Some(mut records) = list.next().await? {
            shaper.name_parents(&mut records).await?;
            count += records.iter().filter(|record| shaper.passes(record)).count() as u64;
        }
        Ok(count)
    }

    /// Records by reference.
    pub(super) async fn fetch_some(
        &self,
        model: &ModelName,
        key: &str,
        fields: &[String],
        refs: &[RecordRef],
    ) -> Result<Page> {
        let shaper = self.shaper(model, key, fields, &[]).await?;
        let mut records = self.find(&shaper.layout, key, refs).await?;
        shaper.name_parents(&mut records).await?;
        let mut builder = shaper.builder();
        records.iter().for_each(|record| shaper.push(&mut builder, record));
        builder.take()
    }

    /// Records by key, with some of their fields.
    pub(super) async fn look_up(
        &self,
        layout: &Layout,
        key: &str,
        fields: &[String],
        refs: &[RecordRef],
    ) -> Result<HashMap<Key, Look>> {
        let shaper = Shaper::new(layout.clone(), Arc::clone(&self.directory), key, fields, &[])?;
        let mut records = self.find(layout, key, refs).await?;
        shaper.name_parents(&mut records).await?;
        let wanted = refs.iter().filter_map(|one| match one {
            RecordRef::Key(key) => Some(key),
            RecordRef::Remote(_) => None,
        });
        let by_key: HashMap<Cow<'_, str>, &Record> = records
            .iter()
            .filter_map(|record| Some((codec::normal(layout.field(key)?, shown(record, key).as_str()?), record)))
            .collect();
        let look = |record: &Record| {
            let named = shaper.columns.iter().skip(1);
            let fields = named.map(|(name, field)| (name.as_str().into(), Shaper::value(record, name, field.as_ref())));
            Some(Look { remote: RemoteId::new(id(record)?), fields: fields.collect() })
        };
        let normal = |wanted: &Key| Some(codec::normal(layout.field(key)?, wanted.as_str()).into_owned());
        Ok(wanted.filter_map(|key| Some((key.clone(), look(by_key.get(&*normal(key)?)?)?))).collect())
    }

    /// A few one by one, many by the list of all: a list of 5,000 costs as much as one record.
    async fn find(&self, layout: &Layout, key: &str, refs: &[RecordRef]) -> Result<Vec<Record>> {
        let path = |one: &RecordRef| match (one, key) {
            (RecordRef::Remote(id), _) => Some(id.as_str().to_owned()),
            (RecordRef::Key(text), "_id") => Some(text.as_str().to_owned()),
            (RecordRef::Key(text), "externalId") => Some(format!("extid-{text}")),
            (RecordRef::Key(text), "sourceId") => Some(format!("srcid-{text}")),
            _ => None,
        };
        let paths: Option<Vec<String>> = refs.iter().map(path).collect();
        match paths {
            Some(paths) if layout.def.single && paths.len() <= SINGLES_MAX => self.one_by_one(layout, &paths).await,
            _ => self.out_of_all(layout, key, refs).await,
        }
    }

    async fn one_by_one(&self, layout: &Layout, paths: &[String]) -> Result<Vec<Record>> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for path in paths {
            if let Some(record) = self.single(layout, path).await?
                && id(&record).is_some_and(|id| seen.insert(id.to_owned()))
            {
                found.push(record);
            }
        }
        Ok(found)
    }

    async fn out_of_all(&self, layout: &Layout, key: &str, refs: &[RecordRef]) -> Result<Vec<Record>> {
        let (mut remotes, mut keys) = (HashSet::new(), HashSet::new());
        for one in refs {
            match one {
                RecordRef::Remote(id) => drop(remotes.insert(id.as_str().to_owned())),
                RecordRef::Key(text) => {
                    keys.extend(layout.field(key).map(|field| codec::normal(field, text.as_str()).into_owned()));
                }
            }
        }
        let mut found = Vec::new();
        let mut list = List::new(self.line.clone(), layout);
        while !(remotes.is_empty() && keys.is_empty()) {
            let Some(records) = list.next().await? else { break };
            for record in records {
                let named = layout.field(key).zip(shown(&record, key).as_str());
                let named =
                    named.map(|(field, text)| codec::normal(field, text)).is_some_and(|text| keys.remove(&*text));
                if id(&record).is_some_and(|id| remotes.remove(id)) || named {
                    found.push(record);
                }
            }
        }
        Ok(found)
    }

    /// One record by what stands in its path; `None` if it is not there.
    pub(super) async fn single(&self, layout: &Layout, name: &str) -> Result<Option<Record>> {
        let doing = format!("read one of {}", layout.def.endpoint);
        let path = [layout.def.endpoint.as_str(), name];
        let (host, method) = (Host::Main, Method::GET);
        let call = Call { host, method, path: &path, query: &[], body: None, token: true, doing: &doing };
        let answer = self.line.call(call).await?;
        match (answer.status, answer.json()) {
            // A name that is no id is refused as such.
            (404 | 400, _) => Ok(None),
            (200..=299, Some(Json::Object(record))) => Ok(id(&record).is_some().then_some(record)),
            (200..=299, Some(Json::Null)) => Ok(None),
            _ => Err(whole(&answer, &doing)),
        }
    }

    /// A record as it stands after a write.
    pub(super) async fn read_back(&self, layout: &Layout, id: &str) -> Result<Option<Record>> {
        if layout.def.single {
            return self.single(layout, id).await;
        }
        let found = self.out_of_all(layout, "_id", &[RecordRef::Remote(RemoteId::new(id))]).await?;
        Ok(found.into_iter().next())
    }
}
