//! A dataset's table and its columns.

use std::collections::HashMap;

use arrow_schema::Schema;
use tidegate_model::page::logical_type;
use tidegate_model::sync::DatasetLink;
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};

use crate::hub::cell::{CellRef, Kind};
use crate::hub::db::{Dialect, Session, first};
use crate::hub::layout::read_type;

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name in the dataset.
    pub name: String,
    /// Its name in the table.
    pub sql: String,
    /// Its type.
    pub logical: Type,
}

/// A dataset that has been loaded at least once.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    /// The table's name.
    pub sql: String,
    /// Columns in the order in which they appeared.
    pub columns: Vec<Column>,
    /// The column that names a company.
    pub company: Option<String>,
    /// The column that names an end user.
    pub enduser: Option<String>,
    made: usize,
}

/// The name under which a dataset's columns stand in the catalogue of fields.
fn catalogue(name: &str) -> String {
    format!("dataset:{name}")
}

impl Table {
    /// Finds a dataset; with `lock`, others that load it wait.
    pub fn find(session: &mut dyn Session, name: &str, lock: bool) -> Result<Option<Self>> {
        let lock = if lock { session.dialect().for_update() } else { "" };
        let sql = format!("SELECT number, company, enduser FROM hub_dataset WHERE name = $1{lock}");
        let Some(found) = first(session, &sql, &[CellRef::Text(name)], 3)? else { return Ok(None) };
        let mut columns = Vec::new();
        let sql = "SELECT name, col, type, n FROM hub_field WHERE model = $1 ORDER BY n";
        let mut made = 0;
        session.query(sql, &[CellRef::Text(&catalogue(name))], &mut |row| {
            if let (Some(name), Some(sql), Some(logical)) = (row.text(0)?, row.text(1)?, row.text(2)?) {
                columns.push(Column { name, sql, logical: read_type(&logical) });
                made = usize::try_from(row.int(3)?).unwrap_or(0);
            }
            Ok(())
        })?;
        let text = |at: usize| found[at].text().map(str::to_owned);
        let sql = format!("hub_d{}", found[0].int().unwrap_or(0));
        Ok(Some(Self { name: name.to_owned(), sql, columns, company: text(1), enduser: text(2), made }))
    }

    /// Finds a dataset, or makes it, and notes how it is linked.
    pub fn open(session: &mut dyn Session, name: &str, link: &DatasetLink) -> Result<Self> {
        let mut table = match Self::find(session, name, true)? {
            Some(table) => table,
            None => Self::make(session, name)?,
        };
        if (&table.company, &table.enduser) != (&link.company, &link.enduser) {
            table.company.clone_from(&link.company);
            table.enduser.clone_from(&link.enduser);
            for (column, value) in [("company", &link.company), ("enduser", &link.enduser)] {
                let sql = match value {
                    Some(_) => format!("UPDATE hub_dataset SET {column} = $2 WHERE name = $1"),
                    None => format!("UPDATE hub_dataset SET {column} = NULL WHERE name = $1"),
                };
                let mut params = vec![CellRef::Text(name)];
                params.extend(value.as_deref().map(CellRef::Text));
                session.exec(&sql, &params)?;
            }
        }
        Ok(table)
    }

    fn make(session: &mut dyn Session, name: &str) -> Result<Self> {
        let dialect = session.dialect();
        let number = session.next_number()?;
        let sql = format!("hub_d{number}");
        session.exec(
            "INSERT INTO hub_dataset (name, number) VALUES ($1, $2)",
            &[CellRef::Text(name), CellRef::Int(number)],
        )?;
        let rowno = match dialect {
            Dialect::Sqlite => "INTEGER PRIMARY KEY",
            Dialect::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        };
        let (text, int) = (dialect.column_type(Kind::Text), dialect.column_type(Kind::Int));
        session.script(&format!("CREATE TABLE {sql} (rowno {rowno}, _key {text} UNIQUE, _updated {int} NOT NULL)"))?;
        Ok(Self { name: name.to_owned(), sql, columns: Vec::new(), company: None, enduser: None, made: 0 })
    }

    /// Makes room for a page: new columns appear, exact numbers widen. `empty` tables take any change of type.
    /// The numbers of the page's columns in `columns`.
    pub fn fit(&mut self, session: &mut dyn Session, page: &Schema, empty: bool, now: i64) -> Result<Vec<usize>> {
        let known: HashMap<String, usize> =
            self.columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
        let mut places = Vec::with_capacity(page.fields().len());
        for field in page.fields() {
            let logical = logical_type(field)
                .ok_or_else(|| Error::internal(format!("the column {} has a type of its own", field.name())))?;
            let place = match known.get(field.name()) {
                None => self.add(session, field.name(), logical, now)?,
                Some(at) => {
                    self.adapt(session, *at, logical, empty)?;
                    *at
                }
            };
            places.push(place);
        }
        Ok(places)
    }

    fn add(&mut self, session: &mut dyn Session, name: &str, logical: Type, now: i64) -> Result<usize> {
        self.made += 1;
        let sql = format!("c{}", self.made);
        self.add_physical(session, &sql, logical)?;
        session.exec(
            "INSERT INTO hub_field (model, n, name, col, type, created) VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                CellRef::Text(&catalogue(&self.name)),
                CellRef::Int(self.made as i64),
                CellRef::Text(name),
                CellRef::Text(&sql),
                CellRef::Text(&logical.to_string()),
                CellRef::Int(now),
            ],
        )?;
        self.columns.push(Column { name: name.to_owned(), sql, logical });
        Ok(self.columns.len() - 1)
    }

    fn add_physical(&self, session: &mut dyn Session, column: &str, logical: Type) -> Result<()> {
        let physical = session.dialect().column_type(Kind::of(logical));
        session.script(&format!("ALTER TABLE {} ADD COLUMN {column} {physical}", self.sql))
    }

    fn adapt(&mut self, session: &mut dyn Session, at: usize, given: Type, empty: bool) -> Result<()> {
        let has = self.columns[at].logical;
        if given == has {
            return Ok(());
        }
        let Some(logical) = join(has, given) else {
            if empty {
                return self.retype(session, at, given);
            }
            let (name, column) = (&self.name, &self.columns[at].name);
            let message =
                format!("dataset {name}: the column {column} holds {has}, and the relation now brings {given}");
            return Err(Error::new(ErrorKind::SchemaChanged, message)
                .hint("map the column under another name, convert it in a query, or load once with write: replace"));
        };
        self.note(session, at, logical)
    }

    fn note(&mut self, session: &mut dyn Session, at: usize, logical: Type) -> Result<()> {
        if self.columns[at].logical == logical {
            return Ok(());
        }
        self.columns[at].logical = logical;
        let column = &self.columns[at];
        session.exec(
            "UPDATE hub_field SET type = $3, col = $4 WHERE model = $1 AND name = $2",
            &[
                CellRef::Text(&catalogue(&self.name)),
                CellRef::Text(&column.name),
                CellRef::Text(&logical.to_string()),
                CellRef::Text(&column.sql),
            ],
        )?;
        Ok(())
    }

    /// A column of an emptied table takes another type by becoming another column.
    fn retype(&mut self, session: &mut dyn Session, at: usize, logical: Type) -> Result<()> {
        let old = self.columns[at].sql.clone();
        let new = format!("{old}x");
        self.add_physical(session, &new, logical)?;
        session.script(&format!("ALTER TABLE {} DROP COLUMN {old}", self.sql))?;
        self.columns[at].sql = new;
        self.note(session, at, logical)
    }
}

/// The type that holds the values of both, if one does.
fn join(has: Type, given: Type) -> Option<Type> {
    let digits = |logical| match logical {
        Type::Decimal { precision, scale } => Some((i16::from(precision), i16::from(scale))),
        Type::Int64 => Some((19, 0)),
        _ => None,
    };
    match (has, given) {
        (a, b) if a == b => Some(a),
        (Type::Decimal { .. }, Type::Decimal { .. } | Type::Int64) => {
            let ((p, s), (q, r)) = (digits(has)?, digits(given)?);
            let scale = s.max(r);
            let precision = (p - s).max(q - r) + scale;
            (precision <= 76)
                .then(|| {
                    Some(Type::Decimal { precision: u8::try_from(precision).ok()?, scale: i8::try_from(scale).ok()? })
                })
                .flatten()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_numbers_widen_and_others_do_not() {
        let of = |precision, scale| Type::Decimal { precision, scale };
        assert_eq!(join(of(12, 2), of(10, 4)), Some(of(14, 4)));
        assert_eq!(join(of(12, 2), Type::Int64), Some(of(21, 2)));
        assert_eq!(join(Type::Int64, of(12, 2)), None);
        assert_eq!(join(of(76, 0), of(76, 76)), None);
    }
}
