//! Datasets: any table, its columns following the pages that are loaded.
//!
//! A dataset's rows are tied to records of the hub by the columns that its sync's `link` names. The tie is made when
//! rows are read, as `_company` and `_enduser`, so a company that arrives late is found without touching the rows.

mod load;
mod table;

use tidegate_model::change::FieldReject;
use tidegate_model::schema::{FieldSchema, ModelKind, ModelName, ModelSchema};
use tidegate_model::value::Type;
use tidegate_model::{Error, Result};

use super::cell::{CellRef, Kind};
use super::db::Session;
use super::models::Place;
use super::source::{Attr, Source};
pub use load::load;
use table::Table;

/// Longest name of a dataset.
const NAME_MAX: usize = 64;

/// Refuses names that cannot be.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Error::config(format!("{name:?} cannot be a dataset's name"))
            .hint(format!("write model: \"dataset:NAME\" with a name of at most {NAME_MAX} bytes")));
    }
    Ok(())
}

/// Names of all datasets.
pub fn names(session: &mut dyn Session) -> Result<Vec<String>> {
    let mut names = Vec::new();
    session.query("SELECT name FROM hub_dataset ORDER BY name", &[], &mut |row| {
        names.extend(row.text(0)?);
        Ok(())
    })?;
    Ok(names)
}

/// As described to the outside; without fields if nobody has loaded it yet.
pub fn schema(session: &mut dyn Session, name: &str) -> Result<ModelSchema> {
    let table = Table::find(session, name, false)?;
    let columns = table.iter().flat_map(|table| &table.columns);
    let fields = columns.map(|column| FieldSchema::new(&column.name, column.logical)).collect();
    let name = ModelName(format!("dataset:{name}"));
    Ok(ModelSchema {
        name,
        kind: ModelKind::Dataset,
        fields,
        keys: Vec::new(),
        custom_fields: true,
        open: false,
        customs: Vec::new(),
    })
}

/// For reading.
pub fn source(session: &mut dyn Session, name: &str) -> Result<Source> {
    let dialect = session.dialect();
    let number = |sql: &str| dialect.as_text(Kind::Int, sql);
    let Some(table) = Table::find(session, name, false)? else {
        // Nothing has been loaded: a source without rows.
        return Ok(Source {
            from: "hub_dataset t".to_owned(),
            only: "1 = 0".to_owned(),
            attrs: Vec::new(),
            remote: Attr::plain("id", "t.name".to_owned(), Type::Text),
            updated: Attr::plain("updated", "t.number".to_owned(), Type::TimestampTz),
            deleted: None,
            seq: None,
        });
    };
    let column = |name: &String| table.columns.iter().find(|column| column.name == *name);
    let plain = |column: &table::Column| Attr::plain(&column.name, format!("t.{}", column.sql), column.logical);
    let mut attrs: Vec<Attr> = table.columns.iter().map(plain).collect();
    let linked = |name: &str, sql: String| {
        let mut attr = Attr::plain(name, sql, Type::Text);
        attr.field.place = Place::Id;
        attr.field.kind = Kind::Int;
        attr
    };
    if let Some(by) = table.company.as_ref().and_then(column) {
        let text = dialect.as_text(Kind::of(by.logical), &format!("t.{}", by.sql));
        attrs.push(linked("_company", company_of(&text)));
    }
    if let Some(by) = table.enduser.as_ref().and_then(column) {
        let text = dialect.as_text(Kind::of(by.logical), &format!("t.{}", by.sql));
        attrs.push(linked("_enduser", enduser_of(&text)));
    }
    Ok(Source {
        from: format!("{} t", table.sql),
        only: "t.rowno > 0".to_owned(),
        attrs,
        remote: Attr::plain("id", number("t.rowno"), Type::Text),
        updated: Attr::plain("updated", "t._updated".to_owned(), Type::TimestampTz),
        deleted: None,
        seq: None,
    })
}

fn company_of(text: &str) -> String {
    format!("(SELECT min(c.id) FROM hub_r_company c WHERE c.deleted = 0 AND c.\"externalId\" = {text})")
}

fn enduser_of(text: &str) -> String {
    let by = |condition: String| format!("(SELECT min(e.id) FROM hub_r_enduser e WHERE e.deleted = 0 AND {condition})");
    let external = by(format!("e.\"externalId\" = {text}"));
    let email = by(format!("e.email = lower(trim({text}))"));
    format!("COALESCE({external}, {email})")
}

/// Removes all rows of all datasets that are linked to an end user. Number of rows.
pub fn forget(session: &mut dyn Session, enduser: i64) -> Result<u64> {
    let mut gone = 0;
    for name in names(session)? {
        let Some(table) = Table::find(session, &name, true)? else { continue };
        let by = table.enduser.as_ref().and_then(|by| table.columns.iter().find(|column| column.name == *by));
        if let Some(by) = by {
            let text = session.dialect().as_text(Kind::of(by.logical), &format!("{}.{}", table.sql, by.sql));
            let sql = format!("DELETE FROM {} WHERE {} = $1", table.sql, enduser_of(&text));
            gone += session.exec(&sql, &[CellRef::Int(enduser)])?;
        }
    }
    Ok(gone)
}

/// The reject of a row without a key.
fn null_key(name: &str) -> FieldReject {
    FieldReject::field(name, "null_key", "the key is empty")
}
