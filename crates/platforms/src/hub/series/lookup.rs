//! Whom rows are about: names to numbers, each distinct value looked up once, all of a page in one query.

use std::collections::{HashMap, HashSet};

use tidegate_model::{Error, Result};

use crate::hub::cell::{Cell, CellRef, Kind};
use crate::hub::db::{Lookup, Session, Target};
use crate::hub::ids::Ids;
use crate::hub::refs::Refs;

/// Distinct values remembered during a load: about 30 MB at most.
const REMEMBERED_MAX: usize = 200_000;

/// An end user, and the company it belongs to.
pub type Person = (i64, Option<i64>);

/// What was looked up during a load.
pub struct Lookups {
    ids: Ids,
    names: HashMap<String, i64>,
    records: HashMap<&'static str, HashMap<String, Option<i64>>>,
    by_external: HashMap<String, Vec<Person>>,
    by_email: HashMap<String, Vec<Person>>,
}

impl Lookups {
    /// Nothing yet.
    pub fn new(ids: Ids) -> Self {
        Self {
            ids,
            names: HashMap::new(),
            records: HashMap::new(),
            by_external: HashMap::new(),
            by_email: HashMap::new(),
        }
    }

    /// The number of one name.
    pub fn name(&mut self, session: &mut dyn Session, name: &str) -> Result<i64> {
        self.load_names(session, &HashSet::from([name]))?;
        self.known_name(name).ok_or_else(|| Error::internal("a name was not kept"))
    }

    /// The number of a name that was loaded.
    pub fn known_name(&self, name: &str) -> Option<i64> {
        self.names.get(name).copied()
    }

    /// Gives numbers to names.
    pub fn load_names(&mut self, session: &mut dyn Session, names: &HashSet<&str>) -> Result<()> {
        let mut new: Vec<&str> = names.iter().copied().filter(|name| !self.names.contains_key(*name)).collect();
        if new.is_empty() {
            return Ok(());
        }
        new.sort_unstable();
        let keys: Vec<Cell> = new.iter().map(|name| Cell::Text((*name).to_owned())).collect();
        let ask = Lookup { select: "n.id, n.name", from: "hub_name n", on: "n.name", and: "", kind: Kind::Text };
        self.read_names(session, &ask, &keys)?;
        let missing: Vec<Vec<Cell>> = keys
            .into_iter()
            .filter(|key| key.text().is_some_and(|t| !self.names.contains_key(t)))
            .map(|k| vec![k])
            .collect();
        if !missing.is_empty() {
            session.insert("hub_name", &[Target::new("name", Kind::Text)], &missing, Some("DO NOTHING"))?;
            let keys: Vec<Cell> = missing.into_iter().flatten().collect();
            self.read_names(session, &ask, &keys)?;
        }
        Ok(())
    }

    fn read_names(&mut self, session: &mut dyn Session, ask: &Lookup<'_>, keys: &Vec<Cell>) -> Result<()> {
        let names = &mut self.names;
        session.lookup(ask, keys, &mut |row| {
            if let Some(name) = row.text(1)? {
                names.insert(name, row.int(0)?);
            }
            Ok(())
        })
    }

    /// Looks records of a model up by reference (see [`crate::hub::refs`]).
    pub fn load_records(
        &mut self,
        session: &mut dyn Session,
        model: &'static str,
        texts: &HashSet<&str>,
    ) -> Result<()> {
        let known = self.records.entry(model).or_default();
        if known.len() > REMEMBERED_MAX {
            known.clear();
        }
        let mut refs = Refs::default();
        let new: Vec<&str> = texts.iter().copied().filter(|text| !known.contains_key(*text)).collect();
        new.iter().for_each(|text| refs.ask(model, text));
        refs.resolve(session, self.ids)?;
        known.extend(new.iter().map(|text| ((*text).to_owned(), refs.id(model, text))));
        Ok(())
    }

    /// A record that was looked up.
    pub fn record(&self, model: &str, text: &str) -> Option<i64> {
        self.records.get(model)?.get(text).copied().flatten()
    }

    /// Looks end users up by externalId.
    pub fn load_externals(&mut self, session: &mut dyn Session, texts: &HashSet<&str>) -> Result<()> {
        load_people(session, "t.\"externalId\"", texts, &mut self.by_external)
    }

    /// Looks end users up by mail address, in its normal form.
    pub fn load_emails(&mut self, session: &mut dyn Session, texts: &HashSet<&str>) -> Result<()> {
        load_people(session, "t.email", texts, &mut self.by_email)
    }

    /// The end user of an externalId.
    pub fn external(&self, text: &str) -> Option<Person> {
        self.by_external.get(text).and_then(|people| people.first().copied())
    }

    /// The end users of a mail address.
    pub fn email(&self, text: &str) -> &[Person] {
        self.by_email.get(text).map_or(&[], Vec::as_slice)
    }
}

fn load_people(
    session: &mut dyn Session,
    column: &str,
    texts: &HashSet<&str>,
    known: &mut HashMap<String, Vec<Person>>,
) -> Result<()> {
    if known.len() > REMEMBERED_MAX {
        known.clear();
    }
    let new: Vec<&str> = texts.iter().copied().filter(|text| !known.contains_key(*text)).collect();
    let keys: Vec<Cell> = new.iter().map(|text| Cell::Text((*text).to_owned())).collect();
    known.extend(new.iter().map(|text| ((*text).to_owned(), Vec::new())));
    let select = format!("{column}, t.id, t.\"companyId\"");
    let ask =
        Lookup { select: &select, from: "hub_r_enduser t", on: column, and: "AND t.deleted = 0", kind: Kind::Text };
    session.lookup(&ask, &keys, &mut |row| {
        let company = match row.cell(2)? {
            CellRef::Int(id) => Some(id),
            _ => None,
        };
        let person = (row.int(1)?, company);
        if let Some(people) = row.text(0)?.and_then(|text| known.get_mut(&text)) {
            people.push(person);
        }
        Ok(())
    })
}
