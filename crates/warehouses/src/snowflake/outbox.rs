//! Outboxes: where a stream's changes wait until they are delivered.
//!
//! A stream's offset moves when a statement that writes and reads it commits, and by nothing else. So its changes are
//! moved into a table of ours first, by one INSERT that reads each of them, in one transaction with the fence: whatever
//! happens after that, they are there. A SELECT would leave the offset where it is; an INSERT that reads nothing would
//! skip what nobody has seen.

use tidegate_model::failpoint::hit;
use tidegate_model::ports::{Drained, Outbox};
use tidegate_model::schema::Source;
use tidegate_model::span::Fence;
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{Shape, SourceColumn, columns_of, dotted, shape};
use super::server::Server;
use super::streams::Stream;
use super::types::{Snowflake, literal};
use super::wire::{Bind, Session};
use super::write::{Txn, WRITE_S_MAX};
use crate::findings::Dialect;

/// The number of a row among all that were ever moved.
pub(super) const SEQ: &str = "\"TIDEGATE_SEQ\"";
/// Whether a row of an outbox says that its key left.
pub(super) const LEFT: &str = "\"TIDEGATE_ACTION\" = 'DELETE'";
/// Our own columns of an outbox, and their types.
const OWN: [(&str, &str); 5] = [
    (SEQ, "NUMBER(19,0) NOT NULL"),
    ("\"TIDEGATE_MOVE\"", "VARCHAR NOT NULL"),
    ("\"TIDEGATE_ACTION\"", "VARCHAR NOT NULL"),
    ("\"TIDEGATE_UPDATE\"", "BOOLEAN NOT NULL"),
    ("\"TIDEGATE_ROW\"", "VARCHAR"),
];
/// Longest statement on the small tables.
const OWN_S_MAX: u32 = 120;

/// The table of an outbox: the sync's name keeps its case, so that no two share one.
pub(super) fn table(server: &Server, outbox: &Outbox) -> Result<String> {
    let Some(database) = server.place().0 else {
        return Err(Error::config("the connection names no database, so there is no place for an outbox")
            .hint("set `database:` of the connection"));
    };
    Ok(dotted(&[database.to_owned(), server.work_schema.clone(), format!("{}OUTBOX_{}", server.prefix, outbox.sync)]))
}

/// The columns that an outbox has of its source's; `None` if there is no such table.
pub(super) async fn known(session: &Session, table: &str, doing: &str) -> Result<Option<Vec<SourceColumn>>> {
    match columns_of(session, "TABLE", table, doing).await {
        Ok(columns) => Ok(Some(columns)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A move under way.
struct Move<'a> {
    txn: Txn<'a>,
    shape: Shape,
    stream: Stream,
    outbox: String,
    heads: String,
    sync: String,
    doing: String,
}

/// Moves what a stream holds.
pub(super) async fn drain(server: &Server, outbox: &Outbox, fence: &Fence) -> Result<Drained> {
    let txn = Txn::begin(server, fence).await?;
    let prepared = async {
        let shape = shape(server, &txn.session, &Source::Relation(outbox.stream.clone()), false).await?;
        let Some(stream) = shape.stream.clone() else {
            return Err(Error::config(format!("{} is no stream", outbox.stream))
                .hint("write `changes: auto`, or name a stream: CREATE STREAM … ON TABLE …"));
        };
        if stream.stale { Err(stream.gone(None)) } else { Ok((shape, stream, table(server, outbox)?)) }
    };
    let (shape, stream, table) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => {
            txn.leave().await;
            return Err(error);
        }
    };
    let heads = format!("{}.{}", txn.work, Snowflake.quote(&format!("{}OUTBOX", server.prefix)));
    let doing = format!("move the changes of {}", outbox.stream);
    let work = Move { txn, shape, stream, outbox: table, heads, sync: outbox.sync.clone(), doing };
    match work.look().await {
        Ok(true) => work.carry().await,
        Ok(false) => work.nothing().await,
        Err(error) => {
            work.txn.leave().await;
            Err(error)
        }
    }
}

impl Move<'_> {
    async fn run(&self, sql: &str, binds: &[Bind], seconds_max: u32) -> Result<super::server::Rows> {
        self.txn.run(sql, binds, seconds_max, &self.doing).await
    }

    /// Makes the outbox ready, outside of any transaction: what makes and alters tables commits by itself. Whether
    /// there is anything to move.
    async fn look(&self) -> Result<bool> {
        self.make().await.map_err(|error| self.lacks(error))?;
        let name = literal(&self.stream.quoted());
        let answer = self.run(&format!("SELECT SYSTEM$STREAM_HAS_DATA({name})"), &[], OWN_S_MAX).await;
        let has = answer.map_err(|error| self.lost(error))?;
        Ok(has.one() != Some("false"))
    }

    async fn make(&self) -> Result<()> {
        let Some(known) = known(&self.txn.session, &self.outbox, &self.doing).await? else {
            let columns = self.shape.columns.iter().map(|column| format!("{} {}", column.quoted(), column.native));
            let own = OWN.iter().map(|(name, native)| format!("{name} {native}"));
            let columns: Vec<String> = columns.chain(own).collect();
            self.run(
                &format!(
                    "CREATE TABLE IF NOT EXISTS {} (\"SYNC\" VARCHAR NOT NULL, \"SEQ\" NUMBER(19,0) NOT NULL)",
                    self.heads
                ),
                &[],
                OWN_S_MAX,
            )
            .await?;
            let sql = format!("CREATE TABLE IF NOT EXISTS {} ({})", self.outbox, columns.join(", "));
            return self.run(&sql, &[], OWN_S_MAX).await.map(|_| ());
        };
        for column in &self.shape.columns {
            let (name, native) = (column.quoted(), &column.native);
            let sql = match known.iter().find(|known| known.name == column.name) {
                None => format!("ALTER TABLE {} ADD COLUMN {name} {native}", self.outbox),
                // Where Snowflake cannot change the type in place it says so, and nothing has moved.
                Some(old) if old.native != *native => {
                    format!("ALTER TABLE {} ALTER COLUMN {name} SET DATA TYPE {native}", self.outbox)
                }
                Some(_) => continue,
            };
            self.run(&sql, &[], OWN_S_MAX).await?;
        }
        Ok(())
    }

    /// The one transaction: the rows, the number of the last of them, the fence.
    async fn carry(self) -> Result<Drained> {
        self.txn.open_transaction().await?;
        let carried = async {
            let before = self.head().await?;
            hit("snowflake.before_move");
            let moved = self.insert(before).await?;
            hit("snowflake.after_move");
            self.raise(before, before + moved).await?;
            Ok::<_, Error>((moved, before + moved))
        };
        let (moved, through) = match carried.await {
            Ok(carried) => carried,
            Err(error) => {
                let error = self.lost(error);
                return Err(self.txn.give_up(error).await);
            }
        };
        let Self { txn, outbox, doing, stream, .. } = self;
        if moved > 0 {
            txn.close().await?;
            return Ok(Drained { moved, through, stream: stream.made });
        }
        // The stream held changes that add up to nothing: that is committed too, or it would be asked again and again.
        let through = highest(&txn, &outbox, &doing).await?;
        txn.close().await?;
        Ok(Drained { moved, through, stream: stream.made })
    }

    /// What waits from earlier moves.
    async fn nothing(self) -> Result<Drained> {
        let highest = highest(&self.txn, &self.outbox, &self.doing).await;
        self.txn.leave().await;
        Ok(Drained { moved: 0, through: highest?, stream: self.stream.made })
    }

    /// The number of the last row ever moved. Not below the clock: if our tables were dropped, rows that come later
    /// must not take numbers that were settled already.
    async fn head(&self) -> Result<u64> {
        let sql = format!(
            "SELECT MAX(\"AT\") FROM (SELECT MAX(\"SEQ\") AS \"AT\" FROM {} WHERE \"SYNC\" = ? UNION ALL \
             SELECT MAX({SEQ}) FROM {} UNION ALL SELECT DATE_PART(EPOCH_MICROSECOND, SYSDATE())) AS \"known\"",
            self.heads, self.outbox
        );
        number(self.run(&sql, &[Bind(self.sync.clone())], OWN_S_MAX).await?.one(), &self.doing)
    }

    /// Old halves come before new ones, so that of a key's rows the last is what holds.
    async fn insert(&self, before: u64) -> Result<u64> {
        let names: Vec<String> = self.shape.columns.iter().map(SourceColumn::quoted).collect();
        let (names, own) = (names.join(", "), OWN.map(|(name, _)| name).join(", "));
        let sql = format!(
            "INSERT INTO {} ({names}, {own}) SELECT {names}, CAST(? AS NUMBER(19,0)) + ROW_NUMBER() OVER \
             (ORDER BY CASE WHEN \"METADATA$ACTION\" = 'DELETE' THEN 0 ELSE 1 END), ?, \"METADATA$ACTION\", \
             \"METADATA$ISUPDATE\", \"METADATA$ROW_ID\" FROM {}",
            self.outbox,
            self.stream.quoted()
        );
        let binds = [Bind(before.to_string()), Bind(format!("{:016X}", tidegate_net::random::number()))];
        Ok(self.run(&sql, &binds, WRITE_S_MAX).await?.counted("rows inserted"))
    }

    async fn raise(&self, before: u64, through: u64) -> Result<()> {
        let sync = Bind(self.sync.clone());
        // Nobody else moves this sync's rows while we hold its fence; if somebody has, the fence row says so below.
        let sql = format!("DELETE FROM {} WHERE \"SYNC\" = ? AND \"SEQ\" <= CAST(? AS NUMBER(19,0))", self.heads);
        self.run(&sql, &[sync.clone(), Bind(before.to_string())], OWN_S_MAX).await?;
        let sql = format!("INSERT INTO {} (\"SYNC\", \"SEQ\") SELECT ?, CAST(? AS NUMBER(19,0))", self.heads);
        self.run(&sql, &[sync, Bind(through.to_string())], OWN_S_MAX).await.map(|_| ())
    }

    /// A stream may go stale, or lose its source, between our look and the move.
    fn lost(&self, error: Error) -> Error {
        if error.kind == ErrorKind::HistoryGone { self.stream.gone(error.cause) } else { error }
    }

    fn lacks(&self, error: Error) -> Error {
        if !matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) {
            return error;
        }
        let role = self.txn.role();
        error.hint(format!("GRANT USAGE, CREATE TABLE ON SCHEMA {} TO ROLE {};", self.txn.work, Snowflake.quote(role)))
    }
}

/// The number of the last row that waits; 0 if none does.
async fn highest(txn: &Txn<'_>, outbox: &str, doing: &str) -> Result<u64> {
    let sql = format!("SELECT COALESCE(MAX({SEQ}), 0) FROM {outbox}");
    number(txn.run(&sql, &[], OWN_S_MAX, doing).await?.one(), doing)
}

fn number(text: Option<&str>, doing: &str) -> Result<u64> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Error::internal(format!("{doing}: the answer is no number")))
}

/// Deletes what was delivered.
pub(super) async fn trim(server: &Server, outbox: &Outbox, through: u64, fence: &Fence) -> Result<()> {
    let txn = Txn::begin(server, fence).await?;
    let doing = format!("delete what was delivered of {}", outbox.stream);
    let there = async {
        let table = table(server, outbox)?;
        Ok(known(&txn.session, &table, &doing).await?.map(|_| table))
    };
    let table = match there.await {
        Ok(Some(table)) => table,
        Ok(None) => {
            txn.leave().await;
            return Ok(());
        }
        Err(error) => {
            txn.leave().await;
            return Err(error);
        }
    };
    txn.open_transaction().await?;
    let sql = format!("DELETE FROM {table} WHERE {SEQ} <= CAST(? AS NUMBER(19,0))");
    match txn.run(&sql, &[Bind(through.to_string())], WRITE_S_MAX, &doing).await {
        Ok(_) => txn.close().await,
        Err(error) => Err(txn.give_up(error).await),
    }
}

/// Of each key the last row; rows without a key are each handed out.
pub(super) fn net(key: &SourceColumn) -> String {
    let key = key.plain("");
    format!(
        " WHERE {SEQ} <= CAST(? AS NUMBER(19,0)) \
         QUALIFY {key} IS NULL OR ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {SEQ} DESC) = 1"
    )
}
