//! The hub on Postgres. A session is driven from a blocking thread; the runtime drives the connection.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::postgres::Address;
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::pg_copy::{self, Failed};
use super::pg_grid::{Array, Param, array_type};
use super::{Dialect, Lookup, NewRows, OnRow, Row, Session, Target, failure, names};
use crate::hub::cell::{Cell, CellRef, Grid, Kind};

/// Rows taken from the wire before they are looked at, so that the runtime is not entered for each.
const CHUNK_ROWS: usize = 1_024;
/// Statements kept prepared per connection: each model has a handful, loads and reads a few.
const STATEMENTS_MAX: usize = 128;
/// Rows from which a COPY is worth its round trips.
const COPY_ROWS_MIN: usize = 256;
/// Rows of a page that are looked for before all of it is taken for new.
const SAMPLES: usize = 64;
/// How long a lock is waited for; the engine's calls end well after it.
const LOCK_TIMEOUT: &str = "20s";
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the server is, read from a URL.
#[derive(Clone)]
pub struct Server {
    /// Host and database, for messages.
    pub name: String,
    config: Config,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Server {
    /// Reads `postgres://…`, with `sslmode` and `sslrootcert` as libpq knows them; relative paths start at `folder`.
    pub fn parse(url: &str, folder: &Path) -> Result<Self> {
        let address = Address::parse(url, "the hub's url", folder)?;
        let (name, tls) = (address.shown(), address.connector()?);
        let mut config = address.config;
        config.connect_timeout(CONNECT_TIMEOUT);
        Ok(Self { name, config, tls })
    }
}

/// A connection to the server.
pub struct Postgres {
    client: Client,
    name: String,
    handle: Handle,
    prepared: HashMap<String, Statement>,
    open: bool,
    usable: bool,
}

/// Connects.
pub async fn connect(server: &Server) -> Result<Postgres> {
    let (client, connection) =
        server.config.connect(server.tls.clone()).await.map_err(|e| failure::connect(&server.name, &e))?;
    // Ends by itself when the client is dropped; its errors reach us through the client's calls.
    tokio::spawn(async move { drop(connection.await) });
    let setup = format!("SET lock_timeout = '{LOCK_TIMEOUT}'; SET client_min_messages = warning; SET jit = off");
    client.batch_execute(&setup).await.map_err(|e| failure::postgres(&server.name, &e))?;
    Ok(Postgres {
        client,
        name: server.name.clone(),
        handle: Handle::current(),
        prepared: HashMap::new(),
        open: false,
        usable: true,
    })
}

type Params<'a> = Vec<&'a (dyn ToSql + Sync)>;

impl Postgres {
    fn fail(&mut self, error: &tokio_postgres::Error) -> Error {
        if error.is_closed() || error.as_db_error().is_none() {
            self.usable = false;
        }
        failure::postgres(&self.name, error)
    }

    fn prepare(&mut self, sql: &str, types: &[Type]) -> Result<Statement> {
        let mut key = sql.to_owned();
        types.iter().for_each(|t| {
            key.push(' ');
            key.push_str(t.name());
        });
        if let Some(statement) = self.prepared.get(&key) {
            return Ok(statement.clone());
        }
        let statement = self.handle.block_on(self.client.prepare_typed(sql, types)).map_err(|e| self.fail(&e))?;
        if self.prepared.len() >= STATEMENTS_MAX {
            self.prepared.clear();
        }
        self.prepared.insert(key, statement.clone());
        Ok(statement)
    }

    fn execute(&mut self, sql: &str, types: &[Type], params: &Params<'_>) -> Result<u64> {
        let statement = self.prepare(sql, types)?;
        let done = self.handle.block_on(self.client.execute(&statement, params));
        done.map_err(|e| self.fail(&e))
    }

    fn stream(&mut self, sql: &str, types: &[Type], params: &Params<'_>, on_row: OnRow<'_>) -> Result<()> {
        let statement = self.prepare(sql, types)?;
        let rows = self.handle.block_on(self.client.query_raw(&statement, params.iter().copied()));
        let rows = rows.map_err(|e| self.fail(&e))?;
        pin_mut!(rows);
        let mut chunk = Vec::with_capacity(CHUNK_ROWS);
        loop {
            let more = self.handle.block_on(async {
                while chunk.len() < CHUNK_ROWS {
                    match rows.next().await {
                        Some(row) => chunk.push(row?),
                        None => return Ok(false),
                    }
                }
                Ok(true)
            });
            let more = more.map_err(|e| self.fail(&e))?;
            for row in chunk.drain(..) {
                if let Err(error) = on_row(&PgRow(row)) {
                    // The rest of the answer is still on its way: this connection is of no more use.
                    self.usable = !more;
                    return Err(error);
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn arrays(columns: &[Target], rows: &dyn Grid) -> Result<(Vec<Array>, Vec<Type>)> {
        let arrays: Result<Vec<Array>> =
            columns.iter().enumerate().map(|(at, column)| Array::of(column.kind, rows, at)).collect();
        Ok((arrays?, columns.iter().map(|column| array_type(column.kind)).collect()))
    }
}

fn params(arrays: &[Array]) -> Params<'_> {
    arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect()
}

/// `unnest($1, …) u(a1, …)` and the list `a1, a2::numeric, …`.
fn unnest(columns: &[Target]) -> (String, Vec<String>) {
    let slots: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
    let aliases: Vec<String> = (1..=columns.len()).map(|at| format!("a{at}")).collect();
    let picks = columns.iter().enumerate().map(|(at, column)| match column.kind {
        Kind::Dec => format!("u.a{}::numeric", at + 1),
        _ => format!("u.a{}", at + 1),
    });
    let picks = picks.collect();
    (format!("unnest({}) u({})", slots.join(", "), aliases.join(", ")), picks)
}

struct PgRow(tokio_postgres::Row);

impl Row for PgRow {
    fn cell(&self, at: usize) -> Result<CellRef<'_>> {
        let row = &self.0;
        let unread = |e: tokio_postgres::Error| Error::internal("a cell of the hub cannot be read").cause(e);
        let column = row.columns().get(at).ok_or_else(|| Error::internal("a column is missing"))?;
        Ok(match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(at).map_err(unread)?.map_or(CellRef::Null, CellRef::Int),
            Type::INT4 => {
                row.try_get::<_, Option<i32>>(at).map_err(unread)?.map_or(CellRef::Null, |n| CellRef::Int(i64::from(n)))
            }
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(at).map_err(unread)?.map_or(CellRef::Null, CellRef::Real),
            Type::BYTEA => row.try_get::<_, Option<&[u8]>>(at).map_err(unread)?.map_or(CellRef::Null, CellRef::Blob),
            Type::TEXT => row.try_get::<_, Option<&str>>(at).map_err(unread)?.map_or(CellRef::Null, CellRef::Text),
            ref other => return Err(Error::internal(format!("a column of the hub has the type {other}"))),
        })
    }
}

impl Session for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn begin(&mut self) -> Result<()> {
        self.script("BEGIN")?;
        self.open = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let done = self.handle.block_on(self.client.batch_execute("COMMIT"));
        match done {
            Ok(()) => {
                self.open = false;
                Ok(())
            }
            // No answer, or one that says the server went away: the commit may have happened.
            Err(error) if error.as_db_error().is_none_or(|e| e.code().code().starts_with("57P")) => {
                self.open = false;
                self.usable = false;
                Err(Error::new(ErrorKind::Lost, format!("the answer to a commit at {} was lost", self.name))
                    .hint("nothing to do: the next run finds out whether it was carried out")
                    .cause(error))
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    fn rollback(&mut self) {
        if self.open {
            let done = self.handle.block_on(self.client.batch_execute("ROLLBACK"));
            self.usable &= done.is_ok();
            self.open = false;
        }
    }

    fn script(&mut self, sql: &str) -> Result<()> {
        let done = self.handle.block_on(self.client.batch_execute(sql));
        done.map_err(|e| self.fail(&e))
    }

    fn exec(&mut self, sql: &str, params: &[CellRef<'_>]) -> Result<u64> {
        let params: Vec<Param> = params.iter().map(|cell| Param((*cell).to_owned())).collect();
        let types: Vec<Type> = params.iter().map(Param::type_of).collect();
        let refs: Params<'_> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
        self.execute(sql, &types, &refs)
    }

    fn query(&mut self, sql: &str, params: &[CellRef<'_>], on_row: OnRow<'_>) -> Result<()> {
        let params: Vec<Param> = params.iter().map(|cell| Param((*cell).to_owned())).collect();
        let types: Vec<Type> = params.iter().map(Param::type_of).collect();
        let refs: Params<'_> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
        self.stream(sql, &types, &refs, on_row)
    }

    fn lookup(&mut self, ask: &Lookup<'_>, keys: &dyn Grid, on_row: OnRow<'_>) -> Result<()> {
        if keys.rows() == 0 {
            return Ok(());
        }
        let sql = format!("SELECT {} FROM {} WHERE {} = ANY($1) {}", ask.select, ask.from, ask.on, ask.and);
        let array = Array::of(ask.kind, keys, 0)?;
        self.stream(&sql, &[array_type(ask.kind)], &vec![&array], on_row)
    }

    fn insert(&mut self, into: &str, columns: &[Target], rows: &dyn Grid, conflict: Option<&str>) -> Result<u64> {
        if rows.rows() == 0 {
            return Ok(0);
        }
        let (from, picks) = unnest(columns);
        let conflict = conflict.map_or_else(String::new, |rule| format!(" ON CONFLICT {rule}"));
        let sql = format!("INSERT INTO {into} ({}) SELECT {} FROM {from}{conflict}", names(columns), picks.join(", "));
        let (arrays, types) = Self::arrays(columns, rows)?;
        self.execute(&sql, &types, &params(&arrays))
    }

    fn append(&mut self, into: &str, columns: &[Target], rows: &dyn Grid) -> Result<()> {
        if rows.rows() < COPY_ROWS_MIN {
            return self.insert(into, columns, rows, None).map(|_| ());
        }
        let sql = format!("COPY {into} ({}) FROM STDIN (FORMAT binary)", names(columns));
        let done = self.copy(&sql, columns, None, rows)?;
        done.map(|_| ()).map_err(|e| self.fail(&e))
    }

    fn insert_new(&mut self, ask: &NewRows<'_>, rows: &dyn Grid, taken: &mut Vec<usize>) -> Result<()> {
        if rows.rows() >= COPY_ROWS_MIN && self.looks_new(ask, rows)? && self.copy_new(ask, rows)? {
            return Ok(());
        }
        let (from, picks) = unnest(ask.columns);
        let sql = format!(
            "INSERT INTO {} ({}, load) SELECT {}, ${} FROM {from} ON CONFLICT DO NOTHING",
            ask.table,
            names(ask.columns),
            picks.join(", "),
            ask.columns.len() + 1,
        );
        let (arrays, mut types) = Self::arrays(ask.columns, rows)?;
        types.push(Type::INT8);
        let load = Param(Cell::Int(ask.load));
        let mut all = params(&arrays);
        all.push(&load);
        let inserted = self.execute(&sql, &types, &all)?;
        if inserted != rows.rows() as u64 {
            self.find_taken(ask, &arrays, taken)?;
            find_twins(ask.key, rows, taken);
            taken.sort_unstable();
        }
        Ok(())
    }

    fn update(&mut self, table: &str, columns: &[Target], extra: &str, rows: &dyn Grid) -> Result<u64> {
        if rows.rows() == 0 {
            return Ok(0);
        }
        let mut all = columns.to_vec();
        all.push(Target::new("id", Kind::Int));
        let (from, picks) = unnest(&all);
        let mut sets: Vec<String> =
            columns.iter().zip(&picks).map(|(column, pick)| format!("{} = {pick}", column.sql)).collect();
        if !extra.is_empty() {
            sets.push(extra.to_owned());
        }
        let sql = format!("UPDATE {table} t SET {} FROM {from} WHERE t.id = u.a{}", sets.join(", "), all.len());
        let (arrays, types) = Self::arrays(&all, rows)?;
        self.execute(&sql, &types, &params(&arrays))
    }

    fn next_number(&mut self) -> Result<i64> {
        let found = super::first(self, "SELECT nextval('hub_load')", &[], 1)?;
        found.and_then(|cells| cells[0].int()).ok_or_else(|| Error::internal("the hub's load counter is missing"))
    }

    fn usable(&self) -> bool {
        self.usable && !self.open && !self.client.is_closed()
    }
}

impl Postgres {
    fn copy(
        &mut self,
        sql: &str,
        columns: &[Target],
        last: Option<i64>,
        rows: &dyn Grid,
    ) -> Result<std::result::Result<u64, tokio_postgres::Error>> {
        let statement = self.prepare(sql, &[])?;
        match self.handle.block_on(pg_copy::send(&self.client, &statement, columns, last, rows)) {
            Ok(count) => Ok(Ok(count)),
            Err(Failed::Theirs(error)) => Ok(Err(error)),
            Err(Failed::Ours(error)) => Err(error),
        }
    }

    /// Whether none of a few rows is there. Rows come again in long stretches, so that mostly tells of all of them.
    fn looks_new(&mut self, ask: &NewRows<'_>, rows: &dyn Grid) -> Result<bool> {
        let sample = Sample(rows);
        let keys: Vec<Target> = ask.key.iter().map(|at| ask.columns[*at].clone()).collect();
        let arrays: Result<Vec<Array>> =
            ask.key.iter().map(|at| Array::of(ask.columns[*at].kind, &sample, *at)).collect();
        let types: Vec<Type> = keys.iter().map(|key| array_type(key.kind)).collect();
        let mut found = false;
        let sql = format!("SELECT u.n FROM {} LIMIT 1", probes(ask));
        self.stream(&sql, &types, &params(&arrays?), &mut |_| {
            found = true;
            Ok(())
        })?;
        Ok(!found)
    }

    /// Copies rows straight into the table; false, and nothing done, if one of them is there already.
    fn copy_new(&mut self, ask: &NewRows<'_>, rows: &dyn Grid) -> Result<bool> {
        let sql = format!("COPY {} ({}, load) FROM STDIN (FORMAT binary)", ask.table, names(ask.columns));
        self.script("SAVEPOINT hub_copy")?;
        match self.copy(&sql, ask.columns, Some(ask.load), rows)? {
            Ok(_) => self.script("RELEASE SAVEPOINT hub_copy").map(|()| true),
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                self.script("ROLLBACK TO SAVEPOINT hub_copy; RELEASE SAVEPOINT hub_copy").map(|()| false)
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    /// Rows whose key was in the table before this call.
    fn find_taken(&mut self, ask: &NewRows<'_>, arrays: &[Array], taken: &mut Vec<usize>) -> Result<()> {
        let count = ask.key.len();
        let sql = format!("SELECT u.n FROM {} WHERE t.load <> ${}", probes(ask), count + 1);
        let mut types: Vec<Type> = ask.key.iter().map(|at| array_type(ask.columns[*at].kind)).collect();
        types.push(Type::INT8);
        let load = Param(Cell::Int(ask.load));
        let mut all: Params<'_> = ask.key.iter().map(|at| &arrays[*at] as &(dyn ToSql + Sync)).collect();
        all.push(&load);
        self.stream(&sql, &types, &all, &mut |row| {
            taken.push(usize::try_from(row.int(0)? - 1).unwrap_or(0));
            Ok(())
        })
    }
}

/// Rows of the table with the keys of the arrays `$1`, …, as `t`: one probe of its index per key. A plain join would
/// leave the planner the choice to read the table for each, which it makes where a table has no statistics yet.
fn probes(ask: &NewRows<'_>) -> String {
    let list = |text: &dyn Fn(usize) -> String| (0..ask.key.len()).map(text).collect::<Vec<_>>();
    let slots = list(&|at| format!("${}", at + 1)).join(", ");
    let aliases = list(&|at| format!("k{at}")).join(", ");
    let equal = list(&|at| format!("{} = u.k{at}", ask.columns[ask.key[at]].sql)).join(" AND ");
    let table = ask.table;
    format!(
        "unnest({slots}) WITH ORDINALITY u({aliases}, n) \
         CROSS JOIN LATERAL (SELECT load FROM {table} WHERE {equal} OFFSET 0) t"
    )
}

/// Some rows of a grid, spread over all of it.
struct Sample<'a>(&'a dyn Grid);

impl Grid for Sample<'_> {
    fn rows(&self) -> usize {
        SAMPLES.min(self.0.rows())
    }
    fn cell(&self, column: usize, row: usize) -> CellRef<'_> {
        let last = self.rows().saturating_sub(1).max(1);
        self.0.cell(column, row * (self.0.rows() - 1) / last)
    }
}

/// Later rows of the same call with the key of an earlier one.
fn find_twins(key: &[usize], rows: &dyn Grid, taken: &mut Vec<usize>) {
    let known: HashSet<usize> = taken.iter().copied().collect();
    let mut seen = HashSet::new();
    for row in (0..rows.rows()).filter(|row| !known.contains(row)) {
        let text: Vec<String> = key.iter().map(|column| format!("{:?}", rows.cell(*column, row))).collect();
        if !seen.insert(text) {
            taken.push(row);
        }
    }
}
