"""BigQuery for tests: local-bigquery behind the parts of the service that it leaves out.

local-bigquery speaks the REST and the Storage API, with BigQuery's own strictness, on DuckLake. This runs it in one
process, and says here what it adds:

- `CHANGES(TABLE t, start, end)` for tables whose option `enable_change_history` is true, from DuckLake's own record of
  what each snapshot inserted, changed and deleted; with the rule that the end lies ten minutes back;
- a clock for projects whose name begins with `ahead`: there it is 601 seconds later than when things happened, so that
  tests need not wait ten minutes for what they wrote to become history;
- the option `enable_change_history`, the default of a column, the length of an altered one and the time of a table's
  last change, which it takes and does not tell;
- `APPENDS(TABLE t, start, end)` for every table, from the same record, without that rule;
- bytes: each table that a query names is read with 10 MB, which is BigQuery's least charge; dry runs say so, finished
  queries are billed so, and `maximumBytesBilled` refuses what is over it;
- MERGE within a transaction, which the emulator does not manage on the engine that it is pinned to;
- Storage Read in streams of ten thousand rows and messages of some thousand, where it makes one stream of one message;
- quicker answers about tables (local_bigquery_lookups.py), which are the same.

What it cannot know: whether the real CHANGES shows a key that is updated under its old name (here: it does not), what
it shows of rows in the streaming buffer, of TRUNCATE and of copy jobs; when the real history of a table ends; how the
real service sorts gigabytes, ends one of two transactions that write one table, counts the bytes of columns and partitions
(here: 10 MB a table, whatever it holds) and refuses what is over a quota; what APPENDS shows of a row that was changed. Logins are not verified. Written against local-bigquery 0.4.0.

    python local_bigquery_project.py FILE DATA     (takes two free ports, writes them to the file: REST, Storage)
"""

import datetime
import pathlib
import re
import socket
import sys
import threading
import time
import uuid

import duckdb
import uvicorn
from local_bigquery.settings import settings

FILE, DATA = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
settings.data_dir = DATA
settings.default_project_id = "lab"

from local_bigquery.api import jobs as calls  # noqa: E402
from local_bigquery.catalog import ddl, options, tables  # noqa: E402
from local_bigquery.engine import database  # noqa: E402
from local_bigquery.errors import STATUSES, BigQueryError  # noqa: E402
from local_bigquery.grpc import read, server  # noqa: E402
from local_bigquery.jobs import query, store  # noqa: E402

import local_bigquery_lookups as lookups  # noqa: E402

MESSAGE_ROWS = 4_096
LAG_SECONDS = 600
AHEAD_SECONDS = 601
HISTORY = "enableChangeHistory"
TABLE_BYTES = 10 << 20
read.STREAM_ROWS = 10_000  # so that a result of some thousand rows comes in several streams
STATUSES["bytesBilledLimitExceeded"] = (400, "INVALID_ARGUMENT")

options.TABLE_OPTIONS["enable_change_history"] = options.Option(HISTORY, "BOOL", render=lambda value: str(value).lower())

fields_of = ddl._fields


def fields(schema, evaluate):
    """The fields of a table as declared, with the defaults of its columns."""
    found = {field["name"]: field for field in fields_of(schema, evaluate)}
    for column in getattr(schema, "expressions", None) or []:
        default = column.find(ddl.exp.DefaultColumnConstraint)
        if default is not None:
            field = found.setdefault(column.name, {"name": column.name})
            field["defaultValueExpression"] = default.this.sql("bigquery")
    return list(found.values())


ddl._fields = fields


alteration_of = ddl._alteration


def alteration(stored, action, reference, evaluate):
    """The length and digits of a column that was given another type."""
    kind = action.args.get("dtype") if isinstance(action, ddl.exp.AlterColumn) else None
    if kind is None:
        return alteration_of(stored, action, reference, evaluate)
    given = {"maxLength": None, "precision": None, "scale": None} | ddl._parameters(kind)
    same = action.this.name.casefold()
    fields = [
        field.replace(**given) if field.name.casefold() == same else field for field in tables.fields(stored)
    ]
    return {"schema": {"fields": [field.dump() for field in fields]}}


ddl._alteration = alteration


get_of = tables.get


def get(project, dataset, name, *more):
    """A table with the time of its last change, which the emulator leaves at its creation."""
    table = get_of(project, dataset, name, *more)
    if table.type != "TABLE" or dataset == tables.RESULTS:
        return table
    with database.cursor() as cur:
        (moment,) = cur.execute(
            f"SELECT max(epoch_ms(snapshot_time)) FROM ducklake_snapshots('{project}') s WHERE EXISTS ("
            f'SELECT 1 FROM "__ducklake_metadata_{project}".ducklake_table t '
            f'JOIN "__ducklake_metadata_{project}".ducklake_schema d USING (schema_id) '
            "WHERE t.table_name = ? AND d.schema_name = ? "
            "AND list_contains(flatten(map_values(s.changes)), CAST(t.table_id AS VARCHAR)))",
            [name, dataset],
        ).fetchone()
    return table.replace(lastModifiedTime=str(max(moment or 0, int(table.lastModifiedTime))))


tables.get = get


def read_rows(request):
    """One stream, in messages as the service sends them; taken up again at any row."""
    stream = read._lookup(request.read_stream)
    start = stream.start + request.offset
    with database.cursor() as cur:
        sql = f"SELECT * FROM ({stream.query}) LIMIT {stream.end - start} OFFSET {start}"
        reader = cur.sql(sql).to_arrow_reader(MESSAGE_ROWS)
        schema = read._schema(None, reader.schema)
        position = start - stream.start
        for batch in reader:
            rows = read.types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield read.types.ReadRowsResponse(
                row_count=batch.num_rows,
                stats=read._progress(stream, position, position + batch.num_rows),
                arrow_record_batch=rows,
                **schema,
            )
            position += batch.num_rows


server.SERVICES["google.cloud.bigquery.storage.v1.BigQueryRead"]["ReadRows"] = server._streaming(
    read_rows, read.types.ReadRowsRequest, read.types.ReadRowsResponse
)

CHANGES = re.compile(
    r"\b(CHANGES|APPENDS)\s*\(\s*TABLE\s+`([^`]+)`\.`([^`]+)`\.`([^`]+)`\s*,"
    r"\s*TIMESTAMP\s+'([^']+)'\s*,\s*TIMESTAMP\s+'([^']+)'\s*\)"
)
NOW = re.compile(r"\bCURRENT_TIMESTAMP\(\)")
one_at_a_time = threading.Lock()


def refuse(message):
    raise BigQueryError("invalidQuery", message)


def changes(match, ahead):
    """The rows of a window, put into a table that the query reads in place of the function."""
    function, project, dataset, name, start, end = match.groups()
    table = tables.load(project, dataset, name)
    label = f"{project}:{dataset}.{name}"
    if table.type != "TABLE":
        refuse(f"Table {label} is not a standard table; {function} reads only those")
    if function == "CHANGES" and str(table.dump().get(HISTORY, "")).lower() != "true":
        refuse(f"Table {label} must have the option enable_change_history to be read by CHANGES")
    start, end = (datetime.datetime.fromisoformat(moment) for moment in (start, end))
    latest = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=ahead - LAG_SECONDS)
    if function == "CHANGES" and end > latest:
        refuse("CHANGES: the end timestamp must be at least 10 minutes before the current time")
    place = f'"{project}"."_changes"."w{uuid.uuid4().hex}"'
    with one_at_a_time, database.cursor() as cur:
        cur.execute(f'CREATE SCHEMA IF NOT EXISTS "{project}"."_changes"')
        # A start before the table was made means the making, as BigQuery says.
        (made,) = cur.sql(
            f'SELECT t.begin_snapshot FROM "__ducklake_metadata_{project}".ducklake_table t '
            f'JOIN "__ducklake_metadata_{project}".ducklake_schema s USING (schema_id) WHERE t.end_snapshot IS NULL '
            f"AND s.end_snapshot IS NULL AND t.table_name = '{name}' AND s.schema_name = '{dataset}'"
        ).fetchone()
        within = (
            f"SELECT snapshot_id, snapshot_time FROM ducklake_snapshots('{project}') "
            f"WHERE snapshot_time >= '{start.isoformat()}' AND snapshot_time < '{end.isoformat()}' "
            f"AND snapshot_id > {made}"
        )
        first, last = cur.sql(f"SELECT min(snapshot_id), max(snapshot_id) FROM ({within})").fetchone()
        kinds = "CASE c.change_type WHEN 'delete' THEN 'DELETE' WHEN 'insert' THEN 'INSERT' ELSE 'UPDATE' END"
        if first is None:
            source = f'"{project}"."{dataset}"."{name}"'
            cur.execute(
                f"CREATE TABLE {place} AS SELECT *, CAST(NULL AS VARCHAR) AS _CHANGE_TYPE, "
                f"CAST(NULL AS TIMESTAMPTZ) AS _CHANGE_TIMESTAMP FROM {source} LIMIT 0"
            )
        else:
            cur.execute(
                f"CREATE TABLE {place} AS SELECT c.* EXCLUDE (snapshot_id, rowid, change_type), "
                f"{kinds} AS _CHANGE_TYPE, w.snapshot_time AS _CHANGE_TIMESTAMP "
                f"FROM ducklake_table_changes('{project}', '{dataset}', '{name}', {first}, {last}) c "
                f"JOIN ({within}) w USING (snapshot_id) WHERE c.change_type <> 'update_preimage'"
            )
        if function == "APPENDS":
            cur.execute(f"DELETE FROM {place} WHERE _CHANGE_TYPE <> 'INSERT'")
    return "`" + place.replace('"', "").replace(".", "`.`") + "`"


execute_of = query.execute


class Cursor:
    """A cursor that knows whether a transaction is open. The emulator finds out by beginning a second one, which the
    engine that it is pinned to here does not forgive."""

    def __init__(self, cursor, session):
        self.cursor, self.open, self.session = cursor, False, session

    def __getattr__(self, name):
        return getattr(self.cursor, name)

    def sql(self, sql, *more, **named):
        if sql == lookups.TEMPORARY and not self.session:
            sql = "SELECT '' WHERE false"  # nothing can be left of statements before
        return self.cursor.sql(sql, *more, **named)

    def execute(self, sql, *more, **named):
        word = (sql.split(None, 1) or [""])[0].rstrip(";").upper() if isinstance(sql, str) else ""
        if word == "BEGIN" and self.open:
            raise duckdb.TransactionException("cannot start a transaction within a transaction")
        done = self.cursor.execute(sql, *more, **named)
        if word in ("BEGIN", "COMMIT", "ROLLBACK"):
            self.open = word == "BEGIN"
        return done


told = threading.local()


def bytes_of(statistics):
    return TABLE_BYTES * len(statistics.referencedTables or [])


def counted(statistics, count):
    """With what it read, and what is billed for that."""
    return statistics.replace(totalBytesProcessed=str(count), totalBytesBilled=str(count))


def execute(cur, project_id, job_id, config, dry_run=False, **named):
    """A query, with its bytes, and none that may not be billed."""
    most = int(config.maximumBytesBilled or 0)
    if most and not dry_run:
        needed = bytes_of(adapted(cur, project_id, None, config, True)[0])
        if needed > most:
            raise BigQueryError(
                "bytesBilledLimitExceeded",
                f"Query exceeded limit for bytes billed: {most}. {needed} or higher required.",
            )
    statistics, children, destination = adapted(cur, project_id, job_id, config, dry_run, **named)
    told.bytes = bytes_of(statistics) + sum(bytes_of(child) for child in children)
    return counted(statistics, told.bytes), children, destination


def with_rows(payload, rows):
    """An answer with the bytes of its job."""
    job_id = payload["jobReference"].jobId
    # A query that takes longer than its answer is held back has no bytes yet.
    if payload["kind"] == "bigquery#queryResponse" and payload["jobComplete"]:
        count = getattr(told, "bytes", 0)
        if job_id:
            count = int(store.load(payload["jobReference"].projectId, job_id).statistics.query.totalBytesBilled or 0)
            payload = payload | {"totalBytesBilled": str(count)}
        payload = payload | {"totalBytesProcessed": str(count)}
    return with_rows_of(payload, rows)


with_rows_of, calls.with_rows = calls.with_rows, with_rows


def adapted(cur, project_id, job_id, config, dry_run, **named):
    """A query, with what the emulator does not know put in terms that it does."""
    text = config.query or ""
    ahead = AHEAD_SECONDS if project_id.startswith("ahead") else 0
    rewritten = CHANGES.sub(lambda match: changes(match, ahead), text)
    if ahead:
        rewritten = NOW.sub(f"TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {ahead} SECOND)", rewritten)
    if rewritten != text:
        config = config.replace(query=rewritten)
    return execute_of(Cursor(cur, named.get("session")), project_id, job_id, config, dry_run, **named)


query.execute = execute


def main():
    for project in ("lab", "ahead"):  # all from the start, so that the list of them stays the same
        database.attach(project)
    _, storage = server.start("127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    app = __import__("local_bigquery.app", fromlist=["app"]).app
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))

    def told():
        while not web.started:
            time.sleep(0.02)
        FILE.with_suffix(".new").write_text(f"{listener.getsockname()[1]} {storage}\n")
        FILE.with_suffix(".new").rename(FILE)

    threading.Thread(target=told, daemon=True).start()
    web.run(sockets=[listener])


main()
