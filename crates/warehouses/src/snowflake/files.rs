//! Rows on their way in as files: gzip-packed CSV, put on the customer's stage a few at a time and brought into the
//! temporary table by one COPY. Each cell is a text, which the same expressions make a value of that take bound rows
//! apart. Two files are under way while the next is filled; no more of a load is ever held.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::task::JoinSet;

use super::catalog::{SourceColumn, dotted};
use super::rows::value_of;
use super::server::Server;
use super::types::literal;
use super::wire::{Session, Uploader};
use super::write::Txn;

/// A file is put when it has this many bytes, packed: large enough that a call does not count, small enough to be held
/// three times, and sealed.
const FILE_BYTES_MAX: usize = 16 << 20;
/// And at the latest when it has this many, unpacked: what packs very well must not make one file of a whole load.
const PLAIN_BYTES_MAX: usize = 256 << 20;
/// Files under way at once.
const UNDER_WAY_MAX: usize = 2;
/// Longest COPY.
const COPY_S_MAX: u32 = 3_600;
/// Longest REMOVE.
const REMOVE_S_MAX: u32 = 60;

/// Rows being written as CSV. A cell is in quotes; NULL is nothing at all.
#[derive(Debug)]
struct Csv {
    packed: GzEncoder<Vec<u8>>,
    line: Vec<u8>,
    cells: usize,
    plain: usize,
    rows: u64,
}

impl Csv {
    fn new() -> Self {
        Self { packed: GzEncoder::new(Vec::new(), Compression::fast()), line: Vec::new(), cells: 0, plain: 0, rows: 0 }
    }

    fn push(&mut self, text: Option<&str>) {
        if self.cells > 0 {
            self.line.push(b',');
        }
        self.cells += 1;
        let Some(text) = text else { return };
        self.line.push(b'"');
        for (at, part) in text.split('"').enumerate() {
            if at > 0 {
                self.line.extend_from_slice(b"\"\"");
            }
            self.line.extend_from_slice(part.as_bytes());
        }
        self.line.push(b'"');
    }

    /// Ends the row in hand; true when the file is full.
    fn end(&mut self) -> Result<bool> {
        self.line.push(b'\n');
        let written = self.packed.write_all(&self.line);
        written.map_err(|error| Error::internal("rows cannot be packed").cause(error))?;
        self.plain += self.line.len();
        self.rows += 1;
        self.line.clear();
        self.cells = 0;
        Ok(self.packed.get_ref().len() >= FILE_BYTES_MAX || self.plain >= PLAIN_BYTES_MAX)
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.packed.finish().map_err(|error| Error::internal("rows cannot be packed").cause(error))
    }
}

/// The files of one load.
pub(super) struct Files {
    uploader: Uploader,
    /// The folder on the stage, in quotes: `'@"DB"."S"."STAGE"/tidegate/0123/'`.
    folder: String,
    doing: String,
    csv: Csv,
    count: u32,
    rows: u64,
    under_way: JoinSet<Result<()>>,
}

impl Files {
    /// Files on the connection's stage, if it names one.
    pub(super) fn of(server: &Server, session: &Session, doing: &str) -> Option<Self> {
        let stage = format!("@{}/tidegate/{:016x}/", dotted(server.stage.as_ref()?), tidegate_net::random::number());
        let (folder, doing) = (literal(&stage), doing.to_owned());
        let under_way = JoinSet::new();
        Some(Self { uploader: session.uploader(), folder, doing, csv: Csv::new(), count: 0, rows: 0, under_way })
    }

    /// Adds a cell to the row in hand.
    pub(super) fn push(&mut self, text: Option<&str>) {
        self.csv.push(text);
    }

    /// Ends the row in hand, and sends the file on its way when it is full.
    pub(super) async fn end(&mut self) -> Result<()> {
        if self.csv.end()? { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<()> {
        if self.csv.rows == 0 {
            return Ok(());
        }
        while self.under_way.len() >= UNDER_WAY_MAX {
            self.arrived().await?;
        }
        let csv = std::mem::replace(&mut self.csv, Csv::new());
        self.rows += csv.rows;
        self.count += 1;
        let (file, name) = (csv.finish()?, format!("{:06}.csv.gz", self.count));
        let sql = format!(
            "PUT {} {} AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = GZIP OVERWRITE = TRUE",
            literal(&format!("file:///tidegate/{name}")),
            self.folder
        );
        let (uploader, doing) = (self.uploader.clone(), self.doing.clone());
        self.under_way.spawn(async move { uploader.put(&sql, &name, file, &doing).await });
        Ok(())
    }

    async fn arrived(&mut self) -> Result<()> {
        match self.under_way.join_next().await {
            None => Ok(()),
            Some(Ok(done)) => done,
            Some(Err(error)) => Err(Error::internal("a file on its way to the stage was given up").cause(error)),
        }
    }

    /// Brings all files into a table whose first column is the number of a row.
    pub(super) async fn bring(
        &mut self,
        txn: &Txn<'_>,
        into: &str,
        number: &str,
        columns: &[SourceColumn],
    ) -> Result<()> {
        self.send().await?;
        while !self.under_way.is_empty() {
            self.arrived().await?;
        }
        if self.count == 0 {
            return Ok(());
        }
        let sql = copy(into, number, columns, &self.folder);
        let told = txn.run(&sql, &[], COPY_S_MAX, &self.doing).await?;
        let loaded: u64 = told.iter().filter_map(|row| row.get("rows_loaded")?.parse::<u64>().ok()).sum();
        if loaded != self.rows {
            let said = format!("{}: {loaded} of {} rows came from the stage", self.doing, self.rows);
            return Err(Error::new(ErrorKind::Unavailable, said)
                .hint("is something else removing files from this stage? give tidegate one of its own"));
        }
        Ok(())
    }

    /// Removes the files, whatever became of them. Files of a process that died stay until somebody removes them.
    pub(super) async fn remove(&mut self, txn: &Txn<'_>) {
        self.under_way.abort_all();
        if self.count == 0 {
            return;
        }
        let sql = format!("REMOVE {}", self.folder);
        if let Err(error) = txn.run(&sql, &[], REMOVE_S_MAX, "remove files from the stage").await {
            tracing::debug!(%error, "files of a load stay on the stage");
        }
    }
}

/// Any row that does not fit ends the whole statement: rows are checked before they are sent, so there is none.
fn copy(into: &str, number: &str, columns: &[SourceColumn], folder: &str) -> String {
    let names: Vec<String> = columns.iter().map(SourceColumn::quoted).collect();
    let mut values = vec!["CAST($1 AS NUMBER(19,0))".to_owned()];
    values.extend(columns.iter().enumerate().map(|(at, column)| value_of(column, &format!("${}", at + 2))));
    format!(
        "COPY INTO {into} ({number}, {}) FROM (SELECT {} FROM {folder}) FILE_FORMAT = (TYPE = CSV COMPRESSION = GZIP \
         FIELD_DELIMITER = ',' RECORD_DELIMITER = '\\n' FIELD_OPTIONALLY_ENCLOSED_BY = '\"' ESCAPE = NONE \
         ESCAPE_UNENCLOSED_FIELD = NONE EMPTY_FIELD_AS_NULL = TRUE NULL_IF = () TRIM_SPACE = FALSE SKIP_BLANK_LINES = FALSE \
         ENCODING = 'UTF8') ON_ERROR = ABORT_STATEMENT",
        names.join(", "),
        values.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn null_is_nothing_and_quotes_are_doubled() {
        let mut csv = Csv::new();
        for row in [[Some("0"), None, Some("")], [Some("1"), Some("a\"b,\n\\N"), None], [None, None, Some("å")]] {
            row.iter().for_each(|cell| csv.push(*cell));
            assert!(!csv.end().expect("packed"));
        }
        let mut text = String::new();
        let packed = csv.finish().expect("packed");
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("text");
        assert_eq!(text, "\"0\",,\"\"\n\"1\",\"a\"\"b,\n\\N\",\n,,\"å\"\n");
    }
}
