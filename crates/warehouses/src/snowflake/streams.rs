//! Streams: what the account says of one, and how it is made anew.

use tidegate_model::schema::Relation;
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::dotted;
use super::server::{Row, Rows, look};
use super::types::literal;
use super::wire::Session;

/// A stream, as SHOW STREAMS tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) name: [String; 3],
    /// The table or view that it is on.
    pub(super) on: Relation,
    pub(super) on_view: bool,
    /// When it was made: a stream of the same name that was made later is another one.
    pub(super) made: String,
    /// Its offset has left the source's history.
    pub(super) stale: bool,
    /// Rows that are updated or deleted never show in it.
    pub(super) append_only: bool,
}

impl Stream {
    pub(super) fn of_row(row: Row<'_>) -> Option<Self> {
        let part = |name: &str| row.get(name).map(str::to_owned);
        Some(Self {
            name: [part("database_name")?, part("schema_name")?, part("name")?],
            on: Relation::parse(row.get("table_name")?),
            on_view: row.get("source_type").is_some_and(|kind| kind.eq_ignore_ascii_case("view")),
            made: part("created_on")?,
            stale: row.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            append_only: row.get("mode").is_some_and(|mode| mode.eq_ignore_ascii_case("append_only")),
        })
    }

    /// Its name in SQL.
    pub(super) fn quoted(&self) -> String {
        dotted(&self.name)
    }

    /// What makes it anew, from now on, with the grants that it has.
    pub(super) fn anew(&self) -> String {
        let what = if self.on_view { "VIEW" } else { "TABLE" };
        format!("CREATE OR REPLACE STREAM {} COPY GRANTS ON {what} {};", self.quoted(), dotted(&self.on.0))
    }

    /// The error of a stream whose changes are lost.
    pub(super) fn gone(&self, cause: Option<String>) -> Error {
        let what = format!("the stream {} is stale: what it had not handed over is lost", self.name.join("."));
        let error = Error::new(ErrorKind::HistoryGone, what)
            .hint(format!("{} The next run then reads everything once.", self.anew()));
        match cause {
            Some(cause) => error.cause(cause),
            None => error,
        }
    }
}

/// The stream of this name, if there is one.
pub(super) async fn find(session: &Session, parts: &[String; 3], doing: &str) -> Result<Option<Stream>> {
    let sql = format!("SHOW STREAMS LIKE {} IN SCHEMA {}", literal(&parts[2]), dotted(&parts[..2]));
    let rows = match look(session, &sql, &[], doing).await {
        Ok(rows) => rows,
        // The schema is not there, or closed to us.
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(rows.iter().filter(|row| row.get("name") == Some(&parts[2])).find_map(Stream::of_row))
}

/// All streams of a schema.
pub(super) async fn list(session: &Session, schema: &[String], doing: &str) -> Result<Vec<Stream>> {
    let rows: Rows = look(session, &format!("SHOW STREAMS IN SCHEMA {}", dotted(schema)), &[], doing).await?;
    Ok(rows.iter().filter_map(Stream::of_row).collect())
}
