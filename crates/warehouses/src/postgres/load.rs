//! Columnar loads. A page is encoded once and sent by binary COPY: appends and replaces straight into the table, merges
//! into a temporary table beside it. Rows that only the database can judge are found by halving the page.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tidegate_model::change::FieldReject;
use tidegate_model::page::{Misfit, Page, Pages};
use tidegate_model::ports::{Load, LoadMode, Loaded};
use tidegate_model::schema::{Relation, RelationKind, Source};
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{Shape, SourceColumn, shape};
use super::client::Server;
use super::encode;
use super::errors::row_reject;
use super::merge::Merge;
use super::write::Txn;
use crate::cell::{Cell, ColumnView};
use crate::fit::Slot;
use crate::loading::{add_reject, check_shrink, misfit_of};

/// Attempts that a load may make to find bad rows: two per halving, enough for hundreds of them.
const ATTEMPTS_MAX: u32 = 10_000;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8] = &[0xff, 0xff];

/// Loads pages.
pub(super) async fn load(server: &Server, relation: &Relation, load: &Load, mut pages: Pages) -> Result<Loaded> {
    server.may_write()?;
    let txn = Txn::begin(server, &load.fence).await?;
    if let Some(told) = txn.told::<Loaded>(&load.op).await? {
        txn.rollback().await?;
        return Ok(Loaded { replayed: true, ..told });
    }
    let shape = target(&txn, relation).await?;
    let mut writer = Writer::new(&txn, &shape, relation, load);
    writer.clear().await?;
    while let Some(page) = pages.next().await? {
        writer.page(&page).await?;
    }
    let mut loaded = writer.loaded;
    loaded.requests = 1;
    loaded.rejected.sort_by_key(|(row, _)| *row);
    check_shrink(&load.mode, &loaded, relation)?;
    txn.finish(&load.op, &load.fence.sync, &loaded).await?;
    Ok(loaded)
}

/// A table that may be written.
pub(super) async fn target(txn: &Txn<'_>, relation: &Relation) -> Result<Shape> {
    let shape = shape(txn.client(), &Source::Relation(relation.clone())).await?;
    if shape.kind != RelationKind::Table {
        return Err(Error::new(ErrorKind::BadRequest, format!("{relation} is a view; tidegate writes tables only"))
            .hint("name a table in the sync"));
    }
    Ok(shape)
}

/// Rows in the form of COPY, without header and trailer.
pub(super) struct Encoded {
    bytes: Bytes,
    /// Where each row starts, and the end.
    starts: Vec<usize>,
    /// The row of the page that each of them was.
    rows: Vec<u64>,
}

impl Encoded {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Some of the rows as a COPY of their own.
    fn part(&self, from: usize, to: usize) -> Bytes {
        let rows = &self.bytes[self.starts[from]..self.starts[to]];
        let mut out = BytesMut::with_capacity(HEADER.len() + rows.len() + TRAILER.len());
        out.put_slice(HEADER);
        out.put_slice(rows);
        out.put_slice(TRAILER);
        out.freeze()
    }
}

struct Writer<'a> {
    txn: &'a Txn<'a>,
    shape: &'a Shape,
    relation: &'a Relation,
    load: &'a Load,
    doing: String,
    loaded: Loaded,
    /// Rows of the pages before the one in hand.
    rows: u64,
    attempts: u32,
    merge: Option<Merge>,
}

impl<'a> Writer<'a> {
    fn new(txn: &'a Txn<'a>, shape: &'a Shape, relation: &'a Relation, load: &'a Load) -> Self {
        let doing = format!("load {relation}");
        Self { txn, shape, relation, load, doing, loaded: Loaded::default(), rows: 0, attempts: 0, merge: None }
    }

    async fn clear(&mut self) -> Result<()> {
        // A COPY or a merge of a page is one statement, however long the table takes for its indexes and triggers.
        self.txn.run("SET LOCAL statement_timeout = 0", &self.doing).await?;
        if let LoadMode::Replace { .. } = self.load.mode {
            let sql = format!("DELETE FROM {}", self.shape.from);
            let cleared = self.txn.client().execute(&sql, &[]).await;
            self.loaded.cleared = cleared.map_err(|error| self.txn.fail(&error, &self.doing))?;
        }
        Ok(())
    }

    async fn page(&mut self, page: &Page) -> Result<()> {
        let source = Source::Relation(self.relation.clone());
        let schema = page.rows.schema_ref();
        let find = |name: &str| self.shape.column(name, &source);
        let columns = schema.fields().iter().map(|field| find(field.name())).collect::<Result<Vec<_>>>()?;
        let merges = self.load.mode == LoadMode::Merge;
        let encoded = self.encode(page, &columns, merges)?;
        self.rows += page.len() as u64;
        if merges { self.merge_page(&columns, &encoded).await } else { self.copy_page(&columns, &encoded).await }
    }

    /// Encodes the rows that fit their columns; the others are rejected. For merges each row has its number first.
    fn encode(&mut self, page: &Page, columns: &[&SourceColumn], numbered: bool) -> Result<Encoded> {
        let slots: Vec<Slot> = columns.iter().map(|column| column.slot()).collect();
        let views = ColumnView::all(&page.rows)?;
        let fields = i16::try_from(columns.len() + usize::from(numbered))
            .map_err(|_| Error::config(format!("{} has too many columns", self.relation)))?;
        let mut out = BytesMut::with_capacity(page.rows.get_array_memory_size());
        let (mut starts, mut rows) = (vec![0], Vec::with_capacity(page.len()));
        let mut misfits = page.misfits.iter().peekable();
        for row in 0..page.len() {
            let number = self.rows + row as u64;
            let start = out.len();
            out.put_i16(fields);
            if numbered {
                out.put_i32(8);
                out.put_i64(rows.len() as i64);
            }
            match encode_row(columns, &slots, &views, row, misfit_of(&mut misfits, row), &mut out) {
                Ok(()) => {
                    starts.push(out.len());
                    rows.push(number);
                }
                Err(reject) => {
                    out.truncate(start);
                    add_reject(&mut self.loaded, number, reject);
                }
            }
        }
        Ok(Encoded { bytes: out.freeze(), starts, rows })
    }

    fn attempt(&mut self) -> Result<()> {
        self.attempts += 1;
        if self.attempts > ATTEMPTS_MAX {
            return Err(Error::new(
                ErrorKind::Data,
                format!("{}: the database refuses too many rows for their own sake", self.doing),
            )
            .hint("look at the table's constraints and triggers; nothing was written"));
        }
        Ok(())
    }

    async fn copy_page(&mut self, columns: &[&SourceColumn], encoded: &Encoded) -> Result<()> {
        let names: Vec<String> = columns.iter().map(|column| column.quoted()).collect();
        let copy = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.shape.from, names.join(", "));
        let mut left = vec![(0, encoded.len())];
        while let Some((from, to)) = left.pop() {
            if from == to {
                continue;
            }
            self.attempt()?;
            self.txn.run("SAVEPOINT part", &self.doing).await?;
            match send(self.txn, &copy, encoded.part(from, to)).await {
                Ok(written) => {
                    self.loaded.created += written;
                    self.txn.run("RELEASE SAVEPOINT part", &self.doing).await?;
                }
                Err(error) => {
                    let hint = line_of(&error).filter(|_| to - from > 1);
                    self.refused(&error, encoded, (from, to), hint, &mut left).await?;
                }
            }
        }
        Ok(())
    }

    async fn merge_page(&mut self, columns: &[&SourceColumn], encoded: &Encoded) -> Result<()> {
        let merge = match self.merge.take() {
            Some(merge) => merge,
            None => Merge::begin(self.txn, self.shape, self.relation, self.load.key.as_deref(), columns).await?,
        };
        let sent = merge.stage(self.txn, encoded.part(0, encoded.len())).await;
        sent.map_err(|error| self.txn.fail(&error, &self.doing))?;
        let mut left = vec![(0, encoded.len())];
        while let Some((from, to)) = left.pop() {
            if from == to {
                continue;
            }
            self.attempt()?;
            self.txn.run("SAVEPOINT part", &self.doing).await?;
            match merge.apply(self.txn, from, to).await {
                Ok(did) => {
                    self.loaded.created += did.created;
                    self.loaded.updated += did.updated;
                    self.loaded.unchanged += ((to - from) as u64).saturating_sub(did.created + did.updated);
                    self.txn.run("RELEASE SAVEPOINT part", &self.doing).await?;
                }
                Err(error) => self.refused(&error, encoded, (from, to), None, &mut left).await?,
            }
        }
        self.merge = Some(merge);
        Ok(())
    }

    /// After a refusal: the row alone is rejected, or the rows are taken apart.
    async fn refused(
        &mut self,
        error: &tokio_postgres::Error,
        encoded: &Encoded,
        (from, to): (usize, usize),
        line: Option<usize>,
        left: &mut Vec<(usize, usize)>,
    ) -> Result<()> {
        let Some(reject) = row_reject(error) else { return Err(self.txn.fail(error, &self.doing)) };
        self.txn.run("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part", &self.doing).await?;
        if to - from == 1 {
            add_reject(&mut self.loaded, encoded.rows[from], reject);
            return Ok(());
        }
        // The server names the line where it can; it is tried alone, and the others together.
        match line.map(|line| from + line - 1).filter(|bad| (from..to).contains(bad)) {
            Some(bad) => left.extend([(bad + 1, to), (bad, bad + 1), (from, bad)]),
            None => {
                let middle = from + (to - from) / 2;
                left.extend([(middle, to), (from, middle)]);
            }
        }
        Ok(())
    }
}

fn encode_row(
    columns: &[&SourceColumn],
    slots: &[Slot],
    views: &[ColumnView<'_>],
    row: usize,
    misfit: Option<&Misfit>,
    out: &mut BytesMut,
) -> std::result::Result<(), FieldReject> {
    if let Some(misfit) = misfit {
        let name = slots.get(misfit.column).map(|slot| slot.column.name.clone());
        return Err(FieldReject { field: name, rule: misfit.rule.to_owned(), reason: misfit.reason.clone() });
    }
    for ((column, slot), view) in columns.iter().zip(slots).zip(views) {
        let cell: Cell<'_> = slot.fit(view.cell(row))?;
        let encoded = encode::field(column.known.wire, &cell, out);
        encoded.map_err(|fault| FieldReject::field(column.name.clone(), fault.rule, fault.reason))?;
    }
    Ok(())
}

/// Sends a COPY; the number of rows written.
pub(super) async fn send(txn: &Txn<'_>, copy: &str, data: Bytes) -> std::result::Result<u64, tokio_postgres::Error> {
    let sink = txn.client().copy_in::<_, Bytes>(copy).await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(data).await?;
    sink.finish().await
}

/// The line that the server names in the context of its error.
fn line_of(error: &tokio_postgres::Error) -> Option<usize> {
    let context = error.as_db_error()?.where_()?;
    let at = context.rfind(", line ")? + ", line ".len();
    let digits: String = context[at..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|line| *line > 0)
}
