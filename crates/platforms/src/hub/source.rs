//! What can be read: records, series and datasets, each as a FROM with named attributes.

use tidegate_model::Result;
use tidegate_model::sync::{Condition, Op};
use tidegate_model::{Error, ErrorKind};

use super::cell::{Cell, Kind};
use super::columns::{Decode, Out};
use super::db::{Dialect, Session};
use super::ids::Ids;
use super::layout::Layout;
use super::models::{self, Field, Place};
use super::refs::Refs;
use super::rules;

/// A field that can be read.
#[derive(Debug, Clone)]
pub struct Attr {
    /// What it is.
    pub field: Field,
    /// Its column, or an expression.
    pub sql: String,
    /// For a reference: the join that brings the parent, and the parent's externalId.
    pub parent: Option<(String, String)>,
}

/// Something that can be read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Tables, with aliases.
    pub from: String,
    /// What makes a row one of it; never empty.
    pub only: String,
    /// Its fields.
    pub attrs: Vec<Attr>,
    /// The attribute that becomes the remote id.
    pub remote: Attr,
    /// The time of the last change.
    pub updated: Attr,
    /// The flag of deleted rows, where there are such.
    pub deleted: Option<Attr>,
    /// The counter of changes, where there is one.
    pub seq: Option<String>,
}

impl Source {
    /// Records.
    pub fn records(layout: &Layout) -> Result<Self> {
        let mut attrs = Vec::with_capacity(layout.fields.len());
        for (at, field) in layout.fields.iter().enumerate() {
            let parent = match field.parent() {
                Some(parent) => {
                    let table = &models::def(parent)?.table;
                    let join = format!(" LEFT JOIN {table} p{at} ON p{at}.id = t.{}", field.column);
                    Some((join, format!("p{at}.\"externalId\"")))
                }
                None => None,
            };
            attrs.push(Attr { field: field.clone(), sql: format!("t.{}", field.column), parent });
        }
        let own = |column: &str, logical| Attr::plain(column, format!("t.{column}"), logical);
        let mut remote = own("id", tidegate_model::value::Type::Text);
        remote.field.place = Place::Id;
        remote.field.kind = Kind::Int;
        Ok(Self {
            from: format!("{} t", layout.def.table),
            only: "t.deleted = 0".to_owned(),
            attrs,
            remote,
            updated: own("updated", tidegate_model::value::Type::TimestampTz),
            deleted: Some(own("deleted", tidegate_model::value::Type::Bool)),
            seq: Some("t.seq".to_owned()),
        })
    }

    /// A field by name.
    pub fn attr(&self, name: &str) -> Option<&Attr> {
        self.attrs.iter().find(|attr| attr.field.schema.name == name)
    }
}

impl Attr {
    /// A field that holds its value.
    pub fn plain(name: &str, sql: String, logical: tidegate_model::value::Type) -> Self {
        let schema = tidegate_model::schema::FieldSchema::new(name, logical);
        Self { field: Field::plain(schema, String::new()), sql, parent: None }
    }
    /// How it becomes a column.
    pub fn decode(&self) -> Decode {
        match self.field.place {
            Place::Plain => Decode::Plain,
            Place::Id => Decode::Id,
            Place::Reference => Decode::Reference,
        }
    }
}

/// A SELECT that is being put together.
#[derive(Debug, Default)]
pub struct Select {
    /// What is selected.
    pub picks: Vec<String>,
    /// Joins that the picks need.
    pub joins: Vec<String>,
    /// Further conditions.
    pub and: String,
    /// Parameters of the conditions.
    pub params: Vec<Cell>,
}

impl Select {
    /// Adds an attribute as a column of the page, under a name.
    pub fn pick(&mut self, dialect: Dialect, attr: &Attr, name: &str) -> Out {
        self.picks.push(dialect.select(attr.field.kind, &attr.sql));
        if let Some((join, external)) = &attr.parent {
            self.picks.push(external.clone());
            if !self.joins.contains(join) {
                self.joins.push(join.clone());
            }
        }
        Out { name: name.to_owned(), logical: attr.field.schema.logical, decode: attr.decode() }
    }

    /// Adds the conditions of a filter.
    pub fn filter(&mut self, session: &mut dyn Session, ids: Ids, source: &Source, filter: &[Condition]) -> Result<()> {
        for condition in filter {
            let Some(attr) = source.attr(&condition.field) else {
                let names = source.attrs.iter().map(|attr| attr.field.schema.name.as_str());
                let error =
                    Error::new(ErrorKind::NotFound, format!("there is no field {:?} to filter by", condition.field));
                return Err(match models::near(&condition.field, names) {
                    Some(like) => error.hint(format!("did you mean {like:?}?")),
                    None => error,
                });
            };
            let cell = operand(session, ids, attr, &condition.value)?;
            let sql = compare(session.dialect(), attr, condition.op, self.params.len() + 1);
            self.and.push_str(&format!(" AND {sql}"));
            self.params.push(cell);
        }
        Ok(())
    }

    /// The whole statement, up to its order.
    pub fn sql(&self, source: &Source) -> String {
        format!(
            "SELECT {} FROM {}{} WHERE {}{}",
            self.picks.join(", "),
            source.from,
            self.joins.concat(),
            source.only,
            self.and
        )
    }
}

/// What a condition compares with, as a cell.
fn operand(session: &mut dyn Session, ids: Ids, attr: &Attr, text: &str) -> Result<Cell> {
    let unread = |why: tidegate_model::change::FieldReject| {
        Error::config(format!("the condition on {} cannot be read", attr.field.schema.name)).cause(why.reason)
    };
    match attr.field.place {
        Place::Id => Ok(Cell::Int(ids.parse(text).unwrap_or(-1))),
        Place::Reference => {
            let parent = attr.field.parent().unwrap_or("");
            let mut refs = Refs::default();
            refs.ask(parent, text);
            refs.resolve(session, ids)?;
            Ok(Cell::Int(refs.id(parent, text).unwrap_or(-1)))
        }
        Place::Plain => {
            // Rules such as enums do not bind what is searched for: only type and normal form do.
            let mut field = attr.field.clone();
            field.none_of.clear();
            field.pattern = None;
            field.schema.one_of.clear();
            field.schema.range = None;
            let value = rules::read_text(&field, text).map_err(unread)?;
            rules::encode(&field, &value).map_err(unread)
        }
    }
}

fn compare(dialect: Dialect, attr: &Attr, op: Op, slot: usize) -> String {
    let sign = match op {
        Op::Eq => "=",
        Op::Ne => "IS DISTINCT FROM",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
    };
    match (dialect, attr.field.kind) {
        (Dialect::Sqlite, Kind::Dec) => format!("dec_cmp({}, ${slot}) {sign} 0", attr.sql),
        (Dialect::Postgres, Kind::Dec) => format!("{} {sign} CAST(${slot} AS NUMERIC)", attr.sql),
        _ => format!("{} {sign} ${slot}", attr.sql),
    }
}

/// The order that puts rows in byte order of a field's canonical text, rows without it first.
pub fn order(dialect: Dialect, attr: &Attr) -> String {
    // Ids are fixed-width digits behind one salt: their numbers order as their texts.
    let sql =
        if attr.field.place == Place::Id { attr.sql.clone() } else { dialect.as_text(attr.field.kind, &attr.sql) };
    format!(" ORDER BY {sql} NULLS FIRST")
}
