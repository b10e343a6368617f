//! Columnar loads. Rows are staged first, in a temporary table with the target's own types, outside of any
//! transaction: however long the source takes, nobody waits. Then one statement brings them over, in one transaction
//! with fence and span. The first rows are bound to a statement; where there are more, and the connection names a
//! stage, the others pass through files.

use tidegate_model::change::FieldReject;
use tidegate_model::page::{Misfit, Page, Pages};
use tidegate_model::ports::{Load, LoadMode, Loaded};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{Shape, SourceColumn, shape};
use super::files::Files;
use super::rows::{Piece, ROW_BYTES_MAX, cell_text, cell_value, text_of, unfolded};
use super::server::{Rows, Server};
use super::types::Kind;
use super::wire::Bind;
use super::write::{End, Txn, WRITE_S_MAX};
use crate::cell::ColumnView;
use crate::fit::Slot;
use crate::loading::{add_reject, check_shrink, misfit_of};

/// The column with the number of a row within its load.
const NUMBER: &str = "\"tidegate row\"";
/// Where there is a stage, what is larger than this goes through it: below, one statement with bound rows is quicker
/// than a file, a COPY and their removal.
const BOUND_BYTES_MAX: usize = 1 << 20;
/// Longest statement that stages rows.
const STAGE_S_MAX: u32 = 600;

/// Loads pages.
pub(super) async fn load(server: &Server, relation: &Relation, load: &Load, mut pages: Pages) -> Result<Loaded> {
    let txn = Txn::begin(server, &load.fence).await?;
    if let Some(told) = txn.told::<Loaded>(&load.op).await? {
        txn.leave().await;
        return Ok(Loaded { replayed: true, ..told });
    }
    let shape = target(server, &txn, relation).await?;
    let mut stage = Stage::new(server, &txn, &shape, relation);
    let filled = stage.fill(&mut pages).await;
    if let Some(files) = &mut stage.files {
        files.remove(&txn).await;
    }
    let (staged, mut loaded) = (stage.staged, stage.loaded);
    if let Err(error) = filled {
        txn.leave().await;
        return Err(error);
    }
    txn.open_transaction().await?;
    let bring = Bring { txn: &txn, shape: &shape, relation, load, staged: staged.as_ref() };
    if let Err(error) = bring.over(&mut loaded).await {
        return Err(txn.give_up(error).await);
    }
    loaded.requests = 1;
    loaded.rejected.sort_by_key(|(row, _)| *row);
    match txn.finish(&load.op, &loaded).await? {
        End::Done => Ok(loaded),
        End::Before(told) => Ok(Loaded { replayed: true, ..told }),
    }
}

/// A table that may be written: by its own name, or by that of a stream on it, which shows what is written there to the
/// sync's own next run.
pub(super) async fn target(server: &Server, txn: &Txn<'_>, relation: &Relation) -> Result<Shape> {
    let shape = shape(server, &txn.session, &Source::Relation(relation.clone()), false).await?;
    if !shape.writable {
        let what = if shape.stream.is_some() { "a stream on a view" } else { "a view" };
        return Err(Error::new(ErrorKind::BadRequest, format!("{relation} is {what}; tidegate writes tables only"))
            .hint("name a table in the sync, or a stream on one"));
    }
    Ok(shape)
}

/// The temporary table, once there are rows: its name and its columns.
struct Staged {
    name: String,
    columns: Vec<SourceColumn>,
}

/// Rows on their way into the temporary table.
struct Stage<'a> {
    server: &'a Server,
    txn: &'a Txn<'a>,
    shape: &'a Shape,
    relation: &'a Relation,
    doing: String,
    staged: Option<Staged>,
    insert: String,
    piece: Piece,
    /// Once a first piece was bound, and if the connection names a stage.
    files: Option<Files>,
    loaded: Loaded,
    /// Rows of the pages before the one in hand.
    rows: u64,
}

impl<'a> Stage<'a> {
    fn new(server: &'a Server, txn: &'a Txn<'a>, shape: &'a Shape, relation: &'a Relation) -> Self {
        let (doing, loaded) = (format!("load {relation}"), Loaded::default());
        let (insert, piece) = (String::new(), Piece::default());
        Self { server, txn, shape, relation, doing, staged: None, insert, piece, files: None, loaded, rows: 0 }
    }

    async fn fill(&mut self, pages: &mut Pages) -> Result<()> {
        while let Some(page) = pages.next().await? {
            self.page(&page).await?;
        }
        self.send().await?;
        match (&mut self.files, &self.staged) {
            (Some(files), Some(staged)) => files.bring(self.txn, &staged.name, NUMBER, &staged.columns).await,
            _ => Ok(()),
        }
    }

    /// Makes the temporary table for the columns of the first page.
    async fn make(&mut self, columns: Vec<SourceColumn>) -> Result<()> {
        let name = format!("{}.\"TIDEGATE_STAGE_{:016X}\"", self.txn.work, tidegate_net::random::number());
        let mut declared = vec![format!("{NUMBER} NUMBER(19,0)")];
        declared.extend(columns.iter().map(|column| format!("{} {}", column.quoted(), column.native)));
        let sql = format!("CREATE TEMPORARY TABLE {name} ({})", declared.join(", "));
        self.txn.stage(name.clone());
        self.txn.run(&sql, &[], STAGE_S_MAX, &self.doing).await?;
        let names: Vec<String> = columns.iter().map(SourceColumn::quoted).collect();
        let mut values = vec![format!("CAST({} AS NUMBER(19,0))", cell_text(0))];
        values.extend(columns.iter().enumerate().map(|(at, column)| cell_value(at + 1, column)));
        self.insert = format!("INSERT INTO {name} ({NUMBER}, {}) {}", names.join(", "), unfolded(&values));
        self.staged = Some(Staged { name, columns });
        Ok(())
    }

    async fn page(&mut self, page: &Page) -> Result<()> {
        let source = Source::Relation(self.relation.clone());
        let find = |name: &str| self.shape.column(name, &source).cloned();
        let columns =
            page.rows.schema_ref().fields().iter().map(|field| find(field.name())).collect::<Result<Vec<_>>>()?;
        let slots: Vec<Slot> = columns.iter().map(SourceColumn::slot).collect();
        if self.staged.is_none() {
            self.make(columns).await?;
        }
        let views = ColumnView::all(&page.rows)?;
        let mut misfits = page.misfits.iter().peekable();
        for row in 0..page.len() {
            let number = self.rows + row as u64;
            match cells(number, &slots, &views, row, misfit_of(&mut misfits, row))? {
                Ok(cells) => self.put(&cells).await?,
                Err(reject) => add_reject(&mut self.loaded, number, reject),
            }
        }
        self.rows += page.len() as u64;
        Ok(())
    }

    async fn put(&mut self, cells: &[Option<String>]) -> Result<()> {
        if let Some(files) = &mut self.files {
            cells.iter().for_each(|cell| files.push(cell.as_deref()));
            return files.end().await;
        }
        self.piece.begin();
        cells.iter().try_for_each(|cell| self.piece.push(cell.as_deref()))?;
        let full = self.piece.end();
        if full || (self.server.stage.is_some() && self.piece.bytes() >= BOUND_BYTES_MAX) {
            self.send().await?;
            self.files = Files::of(self.server, &self.txn.session, &self.doing);
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<()> {
        let rows = self.piece.len() as u64;
        if rows == 0 {
            return Ok(());
        }
        let staged = self.txn.run(&self.insert, &[Bind(self.piece.take())], STAGE_S_MAX, &self.doing).await?;
        let counted = staged.counted("rows inserted");
        if counted != rows {
            return Err(Error::internal(format!("{}: {counted} of {rows} rows were staged", self.doing)));
        }
        Ok(())
    }
}

/// The cells of a row, its number first; or why it cannot be loaded.
fn cells(
    number: u64,
    slots: &[Slot],
    views: &[ColumnView<'_>],
    row: usize,
    misfit: Option<&Misfit>,
) -> Result<std::result::Result<Vec<Option<String>>, FieldReject>> {
    if let Some(misfit) = misfit {
        let field = slots.get(misfit.column).map(|slot| slot.column.name.clone());
        return Ok(Err(FieldReject { field, rule: misfit.rule.to_owned(), reason: misfit.reason.clone() }));
    }
    let mut cells = Vec::with_capacity(slots.len() + 1);
    cells.push(Some(number.to_string()));
    for (slot, view) in slots.iter().zip(views) {
        cells.push(match slot.fit(view.cell(row)) {
            Ok(cell) => text_of(&cell)?,
            Err(reject) => return Ok(Err(reject)),
        });
    }
    if cells.iter().flatten().map(String::len).sum::<usize>() > ROW_BYTES_MAX {
        let reason = format!("the row has more than {} MB, which one statement cannot carry", ROW_BYTES_MAX >> 20);
        return Ok(Err(FieldReject::record("too_long", reason)));
    }
    Ok(Ok(cells))
}

/// Brings the staged rows over, within the transaction.
struct Bring<'a> {
    txn: &'a Txn<'a>,
    shape: &'a Shape,
    relation: &'a Relation,
    load: &'a Load,
    staged: Option<&'a Staged>,
}

impl Bring<'_> {
    async fn run(&self, sql: &str) -> Result<Rows> {
        self.txn.run(sql, &[], WRITE_S_MAX, &format!("load {}", self.relation)).await
    }

    async fn over(&self, loaded: &mut Loaded) -> Result<()> {
        match &self.load.mode {
            LoadMode::Append => self.append(loaded).await,
            LoadMode::Merge => self.merge(loaded).await,
            LoadMode::Replace { .. } => self.replace(loaded).await,
        }
    }

    async fn append(&self, loaded: &mut Loaded) -> Result<()> {
        let Some(staged) = self.staged else { return Ok(()) };
        let names = names(&staged.columns);
        let sql =
            format!("INSERT INTO {} ({names}) SELECT {names} FROM {} ORDER BY {NUMBER}", self.shape.from, staged.name);
        loaded.created = self.run(&sql).await?.counted("rows inserted");
        Ok(())
    }

    /// INSERT OVERWRITE keeps within the transaction, and the table with its grants and streams; readers see the old
    /// rows until the commit.
    async fn replace(&self, loaded: &mut Loaded) -> Result<()> {
        let from = &self.shape.from;
        let before = self.run(&format!("SELECT COUNT(*) FROM {from}")).await?;
        loaded.cleared = before.one().and_then(|text| text.parse().ok()).unwrap_or(0);
        let Some(staged) = self.staged else {
            check_shrink(&self.load.mode, loaded, self.relation)?;
            return self.run(&format!("DELETE FROM {from}")).await.map(|_| ());
        };
        let count = self.run(&format!("SELECT COUNT(*) FROM {}", staged.name)).await?;
        loaded.created = count.one().and_then(|text| text.parse().ok()).unwrap_or(0);
        check_shrink(&self.load.mode, loaded, self.relation)?;
        let names = names(&staged.columns);
        let sql =
            format!("INSERT OVERWRITE INTO {from} ({names}) SELECT {names} FROM {} ORDER BY {NUMBER}", staged.name);
        self.run(&sql).await.map(|_| ())
    }

    /// Of several rows with one key the last one counts, as if they had come one after the other.
    async fn merge(&self, loaded: &mut Loaded) -> Result<()> {
        let Some(staged) = self.staged else { return Ok(()) };
        let Some(key) = self.load.key.as_deref() else {
            return Err(Error::config(format!("a merge into {} needs a key", self.relation)));
        };
        let Some(key) = staged.columns.iter().find(|column| column.name == key) else {
            return Err(Error::internal(format!("a merge by {key} without that column")));
        };
        let others: Vec<&SourceColumn> = staged.columns.iter().filter(|column| column.name != key.name).collect();
        let differs: Vec<String> = others.iter().map(|column| differs(column)).collect();
        let sets: Vec<String> = others.iter().map(|column| format!("{0} = S.{0}", column.quoted())).collect();
        let update = if others.is_empty() {
            String::new()
        } else {
            format!(" WHEN MATCHED AND ({}) THEN UPDATE SET {}", differs.join(" OR "), sets.join(", "))
        };
        let values: Vec<String> = staged.columns.iter().map(|column| format!("S.{}", column.quoted())).collect();
        let sql = format!(
            "MERGE INTO {} T USING (SELECT * FROM {} QUALIFY ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {NUMBER} DESC) = 1) S \
             ON {} = {}{update} WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
            self.shape.from,
            staged.name,
            key.plain(""),
            key.plain("T."),
            key.plain("S."),
            names(&staged.columns),
            values.join(", ")
        );
        let did = self.run(&sql).await?;
        let count = self.run(&format!("SELECT COUNT(*) FROM {}", staged.name)).await?;
        let rows: u64 = count.one().and_then(|text| text.parse().ok()).unwrap_or(0);
        (loaded.created, loaded.updated) = (did.counted("rows inserted"), did.counted("rows updated"));
        loaded.unchanged = rows.saturating_sub(loaded.created + loaded.updated);
        Ok(())
    }
}

fn names(columns: &[SourceColumn]) -> String {
    columns.iter().map(SourceColumn::quoted).collect::<Vec<_>>().join(", ")
}

/// Whether a column of the table differs from the staged one; documents by their text, in which keys are sorted.
fn differs(column: &SourceColumn) -> String {
    match column.kind {
        Kind::Variant | Kind::Object | Kind::Array => {
            format!("TO_JSON(T.{0}) IS DISTINCT FROM TO_JSON(S.{0})", column.quoted())
        }
        _ => format!("{} IS DISTINCT FROM {}", column.plain("T."), column.plain("S.")),
    }
}
