//! The settings of a connection, checked and ready: what is wrong with them is told with its place before any call.

use reqwest::Method;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use tidegate_model::change::Action;
use tidegate_model::{Error, Result};
use tidegate_net::targets::Targets;

use super::auth::{self, Ready};
use super::config::{Auth, Condition, Config, Lost, PerAction};
use super::judge::Rules;
use super::list::List;
use super::template::{Address, Scope, Text, Tree, Var};

/// Records of a call, where each is a request of its own: what is journalled together.
const SINGLES: u32 = 500;
/// Most records of a request.
const SIZE_MAX: u32 = 10_000;
/// Requests in flight where each record is one.
const PARALLEL: u32 = 8;
/// Most of these.
const PARALLEL_MAX: u32 = 64;

/// Where writes of an action go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) method: Method,
    pub(super) address: Address,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) create: Option<Door>,
    pub(super) update: Option<Door>,
    pub(super) delete: Option<Door>,
    pub(super) headers: Vec<(HeaderName, Text)>,
    /// Of a record.
    pub(super) body: Tree,
    /// Around records; `None`: one by one.
    pub(super) envelope: Option<Tree>,
    /// Most records of a call of the port.
    pub(super) size: u32,
    pub(super) parallel: usize,
    pub(super) rules: Rules,
    /// A write may be sent again.
    pub(super) repeatable: bool,
    pub(super) auth: Ready,
    pub(super) list: Option<List>,
    /// What the endpoint is called in messages.
    pub(super) host: String,
}

fn method(text: Option<&str>, usual: Method, place: &str) -> Result<Method> {
    let Some(text) = text else { return Ok(usual) };
    match text.trim().to_ascii_uppercase().as_str() {
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err(Error::config(format!("{place}: {text:?} is no method that writes"))
            .hint("write POST, PUT, PATCH or DELETE")),
    }
}

/// A place of an answer's body.
pub(super) fn pointer(text: &str, place: &str) -> Result<()> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(());
    }
    Err(Error::config(format!("{place}: {text:?} is no JSON pointer"))
        .hint(format!("write it as /{}", text.replace('.', "/"))))
}

/// Refuses addresses that lead inside, or that would carry credentials in the clear.
pub(super) fn allowed(address: &str, private: &[String], place: &str) -> Result<()> {
    let literal = &address[..address.find("{{").unwrap_or(address.len())];
    Targets::public_and(private).check(literal).map_err(|error| error.at(place))?;
    let url = reqwest::Url::parse(literal).map_err(|_| Error::config(format!("{place}: this is no address")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if url.scheme() == "https" || private.iter().any(|one| one.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Error::config(format!("{place}: {host} is called without TLS: records and credentials would travel in the clear"))
        .hint("write https://…; plain http is for hosts inside your network that `serve.private_targets` in tidegate.yaml names"))
}

fn door(url: Option<&String>, method: Method, scope: Scope, private: &[String], place: &str) -> Result<Option<Door>> {
    let Some(url) = url else { return Ok(None) };
    let address = Address::read(url, scope, place)?;
    allowed(url, private, place)?;
    Ok(Some(Door { method, address }))
}

fn doors(config: &Config, scope: Scope, private: &[String]) -> Result<[Option<Door>; 3]> {
    let (url, given) = (&config.url, &config.method);
    let place =
        |key: &str, of: &PerAction, action: &str| if of.single { key.to_owned() } else { format!("{key}.{action}") };
    let one = |url: Option<&String>, word: Option<&str>, usual, action: &str, of: &PerAction| {
        let method = method(word, usual, &place("method", given, action))?;
        door(url, method, scope, private, &place("url", of, action))
    };
    // One address for all serves deletes too, if they have a method of their own.
    let deletes = url.delete.as_ref().or_else(|| url.create.as_ref().filter(|_| url.single && given.delete.is_some()));
    Ok([
        one(url.create.as_ref(), given.create.as_deref(), Method::POST, "create", url)?,
        one(url.update.as_ref(), given.update.as_deref(), Method::POST, "update", url)?,
        one(deletes, given.delete.as_deref(), Method::DELETE, "delete", url)?,
    ])
}

fn headers(config: &Config, scope: Scope, auth: &Ready) -> Result<Vec<(HeaderName, Text)>> {
    let mut out = Vec::with_capacity(config.headers.len());
    for (name, text) in &config.headers {
        let place = format!("headers.{name}");
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Error::config(format!("{place}: this cannot be a header's name")))?;
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&header) {
            return Err(
                Error::config(format!("{place}: this header is set by the connection itself")).hint("take it out")
            );
        }
        if auth.takes(&header) {
            return Err(Error::config(format!("{place}: `auth` sets this header")).hint("leave one of the two"));
        }
        let text = Text::read(text.expose(), scope, &place)?;
        let plain: String = text
            .0
            .iter()
            .filter_map(|piece| match piece {
                super::template::Piece::Text(text) => Some(text.as_str()),
                super::template::Piece::Var(_) => None,
            })
            .collect();
        if reqwest::header::HeaderValue::from_str(&plain).is_err() {
            return Err(Error::config(format!("{place}: its value holds signs that a header cannot carry"))
                .hint("a line end at its end is a frequent guest"));
        }
        out.push((header, text));
    }
    Ok(out)
}

fn conditions(all: &[Condition], place: &str) -> Result<()> {
    all.iter().enumerate().try_for_each(|(at, one)| pointer(&one.at, &format!("{place}[{at}].at")))
}

/// Pointers of the rules, and rules that do not go together.
fn rules(config: &Config, batch: bool) -> Result<()> {
    let (success, error) = (&config.success, &config.error);
    conditions(&success.conditions, "success.where")?;
    conditions(&error.retry_where, "error.retry_where")?;
    let given = [("success.id", &success.id), ("error.message", &error.message), ("error.field", &error.field)];
    for (place, text) in given {
        text.iter().try_for_each(|text| pointer(text, place))?;
    }
    if !batch && (success.results.is_some() || error.items.is_some()) {
        let place = if success.results.is_some() { "success.results" } else { "error.items" };
        return Err(Error::config(format!("{place} is about batches, and records go one by one"))
            .hint("set batch: {size: …}, or take it out"));
    }
    if let Some(results) = &success.results {
        pointer(&results.at, "success.results.at")?;
        conditions(&results.conditions, "success.results.where")?;
        for (place, text) in [("success.results.key", &results.key), ("success.results.status", &results.status)] {
            text.iter().try_for_each(|text| pointer(text, place))?;
        }
    }
    if let Some(items) = &error.items {
        pointer(&items.at, "error.items.at")?;
        for (place, text) in [("error.items.index", &items.index), ("error.items.key", &items.key)] {
            text.iter().try_for_each(|text| pointer(text, place))?;
        }
        if items.index.is_none() && items.key.is_none() {
            return Err(Error::config("error.items does not say which record an error is about")
                .hint("add index: /… (its place in the request) or key: /…"));
        }
        if success.results.is_some() {
            return Err(Error::config("error.items and success.results both say what became of records")
                .hint("leave one of the two"));
        }
    }
    let statuses = success.status.iter().flatten().chain(&error.retry_status).chain(&error.reject_status);
    match statuses.into_iter().find(|status| !(100..600).contains(*status)) {
        Some(status) => {
            Err(Error::config(format!("{status} is no status of HTTP")).hint("statuses go from 200 to 599"))
        }
        None => Ok(()),
    }
}

/// What surrounds the records of a batch.
fn envelope(config: &Config, size: u32) -> Result<Option<Tree>> {
    let given = config.batch.as_ref().and_then(|batch| batch.body.as_ref());
    if size == 1 {
        return match given {
            Some(_) => Err(Error::config("batch.body goes around several records, and batch.size is 1")
                .hint("set batch: {size: 100, body: …}, or write `body` for one record")),
            None => Ok(None),
        };
    }
    let Some(json) = given else { return Ok(Some(Tree::Value(Var::Records))) };
    let tree = Tree::read(json, Scope::Batch, "batch.body")?;
    let mut vars = Vec::new();
    tree.vars(&mut vars);
    if !vars.contains(&&Var::Records) {
        return Err(Error::config("batch.body sends no records").hint("put \"{{records}}\" where the list belongs"));
    }
    Ok(Some(tree))
}

impl Plan {
    /// Checks the settings.
    pub(super) fn of(config: Config, connection: &str, private: &[String]) -> Result<Self> {
        let limits = config.batch.clone().unwrap_or_default();
        let (size, parallel) = (limits.size.unwrap_or(1), limits.parallel.unwrap_or(PARALLEL));
        for (place, number, most) in [("batch.size", size, SIZE_MAX), ("batch.parallel", parallel, PARALLEL_MAX)] {
            if number == 0 || number > most {
                return Err(Error::config(format!("{place}: {number} is not between 1 and {most}")));
            }
        }
        let batch = size > 1;
        let scope = if batch { Scope::Batch } else { Scope::Record };
        if let Auth::Oauth { token_url, .. } = &config.auth {
            allowed(token_url, private, "auth.token_url")?;
        }
        let auth = auth::ready(config.auth.clone(), connection)?;
        let [create, update, delete] = doors(&config, scope, private)?;
        let Some(host) = [&create, &update, &delete].into_iter().flatten().next().map(|door| door.address.host.clone())
        else {
            return Err(
                Error::config("url names no address").hint("write url: https://…, or url: {create: …, update: …}")
            );
        };
        rules(&config, batch)?;
        let usual = serde_json::json!({ "action": "{{action}}", "key": "{{key}}", "fields": "{{record}}" });
        let mut plan = Self {
            headers: headers(&config, scope, &auth)?,
            body: Tree::read(config.body.as_ref().unwrap_or(&usual), Scope::Record, "body")?,
            envelope: envelope(&config, size)?,
            size: if batch { size } else { SINGLES },
            parallel: usize::try_from(parallel).unwrap_or(1),
            list: config.paging.as_ref().map(|paging| List::of(paging, private)).transpose()?,
            repeatable: false,
            rules: Rules::of(config.success, config.error, host.clone()),
            create,
            update,
            delete,
            auth,
            host,
        };
        plan.repeatable = match plan.rules.error.lost {
            Some(lost) => lost == Lost::Resend,
            None => {
                let idempotent = |door: &Door| [Method::PUT, Method::DELETE].contains(&door.method);
                plan.doors().all(idempotent) || plan.vars().contains(&&Var::IdempotencyKey)
            }
        };
        Ok(plan)
    }

    fn doors(&self) -> impl Iterator<Item = &Door> {
        [&self.create, &self.update, &self.delete].into_iter().flatten()
    }

    /// Where an action goes.
    pub(super) fn door(&self, action: Action) -> Option<&Door> {
        match action {
            Action::Create => self.create.as_ref(),
            Action::Update => self.update.as_ref(),
            Action::Delete => self.delete.as_ref(),
        }
    }

    /// The variables of all that is written.
    pub(super) fn vars(&self) -> Vec<&Var> {
        let mut vars: Vec<&Var> = self.doors().flat_map(|door| door.address.vars()).collect();
        vars.extend(self.headers.iter().flat_map(|(_, text)| text.vars()));
        self.body.vars(&mut vars);
        if let Some(envelope) = &self.envelope {
            envelope.vars(&mut vars);
        }
        vars
    }

    /// Whether a write has to carry all mapped fields.
    pub(super) fn whole(&self) -> bool {
        self.vars().into_iter().any(Var::whole)
    }

    /// Whether the model's name goes into a request.
    pub(super) fn names_model(&self) -> bool {
        self.vars().contains(&&Var::Model) || self.list.as_ref().is_some_and(List::names_model)
    }
}
