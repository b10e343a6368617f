//! Sessions: one per call, a few kept for the next. And the small results that a call looks things up in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_model::page::{Page, Pages};
use tidegate_model::{Error, ErrorKind, Result};

use super::decode::Wanted;
use super::stream::pages;
use super::wire::{Answer, Bind, Context, Session, Statement};

/// Sessions kept for the next call: a run reads and writes at once, and looks things up.
const IDLE_MAX: usize = 3;
/// Longest look into the catalogue.
const LOOK_S_MAX: u32 = 120;

/// An account and how it may be used.
pub(super) struct Server {
    context: Arc<Context>,
    idle: Mutex<Vec<Session>>,
    pub(super) write: bool,
    /// Name of the connection, for messages.
    pub(super) name: String,
    /// Schema of our own tables.
    pub(super) work_schema: String,
    /// Stands before the names of our own tables, where the schema is not ours alone.
    pub(super) prefix: &'static str,
    /// The internal stage for large loads: database, schema, name.
    pub(super) stage: Option<[String; 3]>,
    swept: AtomicBool,
    made: AtomicBool,
}

impl Server {
    pub(super) fn new(
        context: Context,
        write: bool,
        name: String,
        work_schema: String,
        stage: Option<[String; 3]>,
    ) -> Self {
        let (context, idle) = (Arc::new(context), Mutex::new(Vec::new()));
        Self {
            context,
            idle,
            write,
            name,
            work_schema,
            prefix: "",
            stage,
            swept: AtomicBool::new(false),
            made: AtomicBool::new(false),
        }
    }

    /// Where names of fewer parts are looked for.
    pub(super) fn place(&self) -> (Option<&str>, Option<&str>) {
        (self.context.database.as_deref(), self.context.schema.as_deref())
    }

    /// The role that logs in, if the connection names one.
    pub(super) fn role(&self) -> Option<&str> {
        self.context.role.as_deref()
    }

    /// The warehouse that the connection names.
    pub(super) fn warehouse(&self) -> Option<&str> {
        self.context.warehouse.as_deref()
    }

    /// A session, kept from an earlier call or new.
    pub(super) async fn session(&self) -> Result<Session> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(session) => Ok(session),
            None => Session::login(&self.context).await,
        }
    }

    /// Gives a session back on which nothing is open.
    pub(super) fn keep(&self, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(session);
        }
    }

    /// Whether our own tables are known to be there.
    pub(super) fn made(&self) -> &AtomicBool {
        &self.made
    }

    /// False the first time: then old rows of ours are swept.
    pub(super) fn swept(&self) -> bool {
        self.swept.swap(true, Ordering::Relaxed)
    }

    /// An error unless the connection was opened for writing.
    pub(super) fn may_write(&self) -> Result<()> {
        if self.write {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden, format!("connection {} is opened with access: read", self.name))
            .hint(format!("set `access: write` in connections/{}.yaml to let tidegate write there", self.name)))
    }
}

/// Runs a statement whose result is small.
pub(super) async fn look(session: &Session, sql: &str, binds: &[Bind], doing: &str) -> Result<Rows> {
    let statement = Statement { sql, binds, describe: false, seconds_max: LOOK_S_MAX, doing };
    rows(session.run(&statement).await?, doing).await
}

/// What the columns of a query would be.
pub(super) async fn describe(session: &Session, sql: &str, doing: &str) -> Result<Answer> {
    session.run(&Statement { sql, binds: &[], describe: true, seconds_max: LOOK_S_MAX, doing }).await
}

/// A small result as texts.
#[derive(Debug, Default)]
pub(super) struct Rows {
    names: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// Gathers a result that is known to be small.
pub(super) async fn rows(answer: Answer, doing: &str) -> Result<Rows> {
    let columns: Vec<Wanted> = answer.columns.iter().map(Wanted::of_row).collect();
    let names = columns.iter().map(|column| column.name.clone()).collect();
    let mut pages: Pages = pages(answer, columns, usize::MAX, doing);
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await? {
        rows.extend((0..page.len()).map(|row| texts(&page, row)));
    }
    Ok(Rows { names, rows })
}

fn texts(page: &Page, row: usize) -> Vec<Option<String>> {
    let cell = |column| match tidegate_model::cells::value_at(&page.rows, column, row) {
        tidegate_model::value::Value::Null => None,
        value => Some(value.to_string()),
    };
    (0..page.rows.num_columns()).map(cell).collect()
}

impl Rows {
    /// All rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { names: &self.names, cells })
    }

    /// The first cell of the first row.
    pub(super) fn one(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }

    /// A count that a statement tells in its only row, by the end of its column's name ("rows inserted").
    pub(super) fn counted(&self, what: &str) -> u64 {
        let row = self.iter().next();
        let at = self.names.iter().position(|name| name.to_lowercase().ends_with(what));
        let cell = row.zip(at).and_then(|(row, at)| row.cells.get(at).cloned().flatten());
        cell.and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// A row of a small result.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    names: &'a [String],
    cells: &'a [Option<String>],
}

impl<'a> Row<'a> {
    /// A cell by its column's name, in any case; `None` for NULL and for columns that are not there.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let at = self.names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        self.cells.get(at)?.as_deref()
    }

    /// A cell by its number.
    pub(super) fn at(&self, at: usize) -> Option<&'a str> {
        self.cells.get(at)?.as_deref()
    }
}
