//! Columnar loads: pages arrive on the async side, one thread writes them in one transaction.

use std::sync::Arc;

use jiff::tz::TimeZone;
use rusqlite::{Connection, Statement};
use tidegate_model::change::FieldReject;
use tidegate_model::page::{Misfit, Page, Pages};
use tidegate_model::ports::{Load, LoadMode, Loaded};
use tidegate_model::schema::{Relation, RelationKind, Source};
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::mpsc;

use super::catalog::{Shape, SourceColumn, shape};
use super::client::{File, blocking};
use super::errors::row_reject;
use super::read::among;
use super::types::{decode, encode};
use super::write::Txn;
use crate::cell::{Cell, ColumnView};
use crate::findings::Dialect;
use crate::fit::Slot;
use crate::loading::{add_reject, check_shrink, misfit_of};

/// Pages that may wait to be written.
const AHEAD_PAGES_MAX: usize = 2;

/// What the async side tells the writing thread. Without `End` nothing is committed.
enum Fed {
    Page(Page),
    End,
}

/// Loads pages.
pub(super) async fn load(file: &Arc<File>, relation: &Relation, load: &Load, mut pages: Pages) -> Result<Loaded> {
    file.may_write()?;
    let (sender, receiver) = mpsc::channel(AHEAD_PAGES_MAX);
    let (relation, load) = (relation.clone(), load.clone());
    let feed = async move {
        while let Some(page) = pages.next().await? {
            if sender.send(Fed::Page(page)).await.is_err() {
                return Ok(()); // the writer has ended, and says why
            }
        }
        let _writer_says_why = sender.send(Fed::End).await;
        Ok(())
    };
    let write = blocking(file, move |file| run(file, &relation, &load, receiver));
    let (fed, written) = tokio::join!(feed, write);
    let fed: Result<()> = fed;
    fed.and(written)
}

fn run(file: &File, relation: &Relation, load: &Load, mut pages: mpsc::Receiver<Fed>) -> Result<Loaded> {
    let connection = file.writer()?;
    let txn = Txn::begin(&connection, file, &load.fence)?;
    if let Some(told) = txn.told::<Loaded>(&load.op)? {
        return Ok(Loaded { replayed: true, ..told });
    }
    let shape = target(&connection, file, relation)?;
    let mut writer = Writer { txn: &txn, shape: &shape, relation, load, loaded: Loaded::default(), rows: 0 };
    writer.clear()?;
    loop {
        match pages.blocking_recv() {
            Some(Fed::Page(page)) => writer.page(&page)?,
            Some(Fed::End) => break,
            None => return Err(Error::new(ErrorKind::Cancelled, "the load was given up before its last page")),
        }
    }
    let mut loaded = writer.loaded;
    loaded.requests = 1;
    check_shrink(&load.mode, &loaded, relation)?;
    txn.finish(&load.op, &load.fence.sync, &loaded)?;
    Ok(loaded)
}

/// A table that may be written.
pub(super) fn target(connection: &Connection, file: &File, relation: &Relation) -> Result<Shape> {
    let shape = shape(connection, file, &Source::Relation(relation.clone()))?;
    if shape.kind != RelationKind::Table {
        return Err(Error::new(ErrorKind::BadRequest, format!("{relation} is a view; tidegate writes tables only"))
            .hint("name a table in the sync"));
    }
    Ok(shape)
}

struct Writer<'a> {
    txn: &'a Txn<'a>,
    shape: &'a Shape,
    relation: &'a Relation,
    load: &'a Load,
    loaded: Loaded,
    /// Rows of the pages before the one in hand.
    rows: u64,
}

/// A page's columns at the target, in the page's order.
struct Columns<'a> {
    columns: Vec<&'a SourceColumn>,
    slots: Vec<Slot>,
    /// Which of them is the key.
    key: Option<usize>,
}

impl Writer<'_> {
    fn fail(&self, error: &rusqlite::Error) -> Error {
        self.txn.error(error, &format!("load {}", self.relation))
    }

    fn clear(&mut self) -> Result<()> {
        if let LoadMode::Replace { .. } = self.load.mode {
            let sql = format!("DELETE FROM {}", self.shape.from);
            let cleared = self.txn.connection.execute(&sql, []).map_err(|error| self.fail(&error))?;
            self.loaded.cleared = cleared as u64;
        }
        Ok(())
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        let shape = self.shape;
        let columns = columns(shape, self.relation, self.load, page)?;
        let views = ColumnView::all(&page.rows)?;
        let mut statements = Statements::new(self.txn, shape, &columns).map_err(|error| self.fail(&error))?;
        let mut misfits = page.misfits.iter().peekable();
        for row in 0..page.len() {
            let number = self.rows + row as u64;
            match row_cells(&columns.slots, &views, row, misfit_of(&mut misfits, row)) {
                Ok(cells) => match statements.put(&columns, &cells) {
                    Ok(Put::Created) => self.loaded.created += 1,
                    Ok(Put::Updated) => self.loaded.updated += 1,
                    Ok(Put::Unchanged) => self.loaded.unchanged += 1,
                    Err(error) => match row_reject(&error) {
                        // A trigger may have rolled back everything: then it is no matter of one row.
                        Some(reject) if !self.txn.connection.is_autocommit() => {
                            add_reject(&mut self.loaded, number, reject);
                        }
                        _ => return Err(self.fail(&error)),
                    },
                },
                Err(reject) => add_reject(&mut self.loaded, number, reject),
            }
        }
        self.rows += page.len() as u64;
        Ok(())
    }
}

fn columns<'a>(shape: &'a Shape, relation: &Relation, load: &Load, page: &Page) -> Result<Columns<'a>> {
    let source = Source::Relation(relation.clone());
    let schema = page.rows.schema_ref();
    let columns =
        schema.fields().iter().map(|field| shape.column(field.name(), &source)).collect::<Result<Vec<_>>>()?;
    let slots = columns.iter().map(|column| column.slot()).collect();
    let key = match (&load.mode, &load.key) {
        (LoadMode::Merge, Some(key)) => {
            let at = columns.iter().position(|column| column.name == *key);
            Some(at.ok_or_else(|| Error::internal(format!("a merge by {key} without that column")))?)
        }
        (LoadMode::Merge, None) => return Err(Error::config(format!("a merge into {relation} needs a key"))),
        _ => None,
    };
    Ok(Columns { columns, slots, key })
}

fn row_cells<'a>(
    slots: &[Slot],
    views: &[ColumnView<'a>],
    row: usize,
    misfit: Option<&Misfit>,
) -> std::result::Result<Vec<Cell<'a>>, FieldReject> {
    if let Some(misfit) = misfit {
        let name = slots.get(misfit.column).map(|slot| slot.column.name.clone());
        return Err(FieldReject { field: name, rule: misfit.rule.to_owned(), reason: misfit.reason.clone() });
    }
    slots.iter().zip(views).map(|(slot, view)| slot.fit(view.cell(row))).collect()
}

enum Put {
    Created,
    Updated,
    Unchanged,
}

/// The prepared statements of a page.
struct Statements<'c> {
    insert: Statement<'c>,
    /// For merges: select by key, update by key.
    keyed: Option<(Statement<'c>, Statement<'c>)>,
}

impl<'c> Statements<'c> {
    fn new(txn: &Txn<'c>, shape: &Shape, columns: &Columns<'_>) -> rusqlite::Result<Self> {
        let quote = |column: &SourceColumn| super::dialect::Sqlite.quote(&column.name);
        let names: Vec<String> = columns.columns.iter().map(|column| quote(column)).collect();
        let marks: Vec<String> = (1..=names.len()).map(|at| format!("?{at}")).collect();
        let from = &shape.from;
        let connection = txn.connection;
        let insert =
            connection.prepare(&format!("INSERT INTO {from} ({}) VALUES ({})", names.join(", "), marks.join(", ")))?;
        let keyed = match columns.key {
            None => None,
            Some(key) => {
                let named = same_key(columns.columns[key]);
                let sets: Vec<String> =
                    names.iter().zip(&marks).map(|(name, mark)| format!("{name} = {mark}")).collect();
                let select = format!("SELECT {} FROM {from} WHERE {named} = ?1", names.join(", "));
                let update = format!("UPDATE {from} SET {} WHERE {named} = ?{}", sets.join(", "), names.len() + 1);
                Some((connection.prepare(&select)?, connection.prepare(&update)?))
            }
        };
        Ok(Self { insert, keyed })
    }

    fn put(&mut self, columns: &Columns<'_>, cells: &[Cell<'_>]) -> rusqlite::Result<Put> {
        if let (Some((select, update)), Some(key)) = (&mut self.keyed, columns.key) {
            let stands = stands(select, columns, key, cells)?;
            match stands {
                Some(true) => return Ok(Put::Unchanged),
                Some(false) => {
                    bind(update, columns, cells)?;
                    update.raw_bind_parameter(cells.len() + 1, encode(&cells[key], columns.columns[key].affinity))?;
                    update.raw_execute()?;
                    return Ok(Put::Updated);
                }
                None => {}
            }
        }
        bind(&mut self.insert, columns, cells)?;
        self.insert.raw_execute()?;
        Ok(Put::Created)
    }
}

/// The key as it is compared in a merge: by bytes, whatever the column's own collation says.
fn same_key(column: &SourceColumn) -> String {
    let (filter, _) = among(column, std::iter::empty());
    filter.trim_end_matches(" IN rarray(?1)").to_owned()
}

fn bind(statement: &mut Statement<'_>, columns: &Columns<'_>, cells: &[Cell<'_>]) -> rusqlite::Result<()> {
    for (at, (cell, column)) in cells.iter().zip(&columns.columns).enumerate() {
        statement.raw_bind_parameter(at + 1, encode(cell, column.affinity))?;
    }
    Ok(())
}

/// Whether all rows of the key equal the cells already; `None`: there is no row.
fn stands(
    select: &mut Statement<'_>,
    columns: &Columns<'_>,
    key: usize,
    cells: &[Cell<'_>],
) -> rusqlite::Result<Option<bool>> {
    select.raw_bind_parameter(1, encode(&cells[key], columns.columns[key].affinity))?;
    let mut rows = select.raw_query();
    let mut found = None;
    while let Some(row) = rows.next()? {
        let mut equal = true;
        for (at, (cell, column)) in cells.iter().zip(&columns.columns).enumerate() {
            let stands = decode(row.get_ref(at)?, column.logical, &TimeZone::UTC);
            equal &= stands.is_ok_and(|stands| stands == *cell);
        }
        found = Some(found.unwrap_or(true) && equal);
    }
    Ok(found)
}
