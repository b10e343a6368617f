"""Snowflake accounts for tests: fakesnow's SQL engine behind the parts of the service that it leaves out.

fakesnow answers one account, checks no login, sends every result in one piece and speaks of DuckDB where Snowflake has
codes of its own. This wraps its web app, and says here what it adds:

- an account per name in the login, each a world of its own: tests neither see nor wait for one another;
- the master token, its renewal, and the warehouse and role of the session, which its login leaves out;
- results in parts of some thousand rows, gzip-packed, behind addresses, asked for again by `/queries/ID/result`;
- logins that are verified (users.py), and failures on demand (faults.py);
- a statement that is sent again under the same request id is not run again: its answer is told again;
- a session that ends takes its transaction and its temporary tables with it;
- failures in Snowflake's codes, and none as HTTP 500, which clients repeat;
- change tracking, streams and time travel (the package snowflake_account beside this; docs/snowflake-standin.md);
- for the owner of a test's tables, who logs in with the parameter KEEP_CASE: names without quotes keep their case, so
  that the suite that all warehouses pass can be written once.

What it cannot know: the real service's plans, locks, limits and time. The stand-in of the wire
(crates/warehouses/tests/snowflake/stand_in.rs) speaks no SQL and says more of the protocol. Written against fakesnow 0.12.1.

    python fakesnow_account.py FILE     (takes a free port, and writes it to the file)
"""

import base64
import gzip
import io
import json
import re
import secrets
import socket
import sys

import fakesnow.arrow
import fakesnow.info_schema
import fakesnow.server as fake
import fakesnow.transforms
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
import uvicorn
from fakesnow.instance import FakeSnow
from snowflake_account import faults, listing, locks, roles, stages as staging, statements, users
from snowflake_account.refused import Refused
from snowflake_account.world import Session, World, keep_case
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

PART_ROWS = 4_000

worlds: dict[str, World] = {}
masters: dict[str, str] = {}
stages: dict[str, list[str]] = {}
results: dict[str, dict] = {}
parts: dict[str, bytes] = {}
keepers: set[str] = set()
owners: set[str] = set()
expired: set[str] = set()
# Results that were put off, and how often each was asked for.
put_off: dict[str, int] = {}
SESSIONS = re.compile(r"^\s*CALL\s+STAND_IN\$SESSIONS\(\s*\)\s*$", re.IGNORECASE)
# Answers that a session keeps for statements that are sent again.
ANSWERS_MAX = 32
upper_case = fakesnow.transforms.upper_case_unquoted_identifiers


def cased(expression):
    return expression if keep_case.get() else upper_case(expression)


fakesnow.transforms.upper_case_unquoted_identifiers = cased

bigint = fakesnow.transforms.integer_precision


def digits(expression):
    """NUMBER(38,0), where it is written out, keeps its 38 digits; INT and NUMBER are 64 bits, as fakesnow has them."""
    wide = isinstance(expression, sqlglot.exp.DataType) and len(expression.expressions) == 2
    return expression if wide else bigint(expression)


fakesnow.transforms.integer_precision = digits
# Its MERGE makes a table on the way and notes a comment of it in another database, which no transaction may do.
fakesnow.info_schema.insert_table_comment_sql = lambda *_: "SELECT 1"

times_of = fakesnow.arrow.timestamp_to_sf_struct


def times(column):
    """Times as the service sends them: NULL is marked on the whole, and not in parts that may not be NULL."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    parts = times_of(pc.fill_null(column, pa.scalar(0, column.type)))
    fields = [parts.type.field(at) for at in range(parts.type.num_fields)]
    return pa.StructArray.from_arrays([parts.field(field.name) for field in fields], fields=fields, mask=column.is_null())


fakesnow.arrow.timestamp_to_sf_struct = times


async def body_of(request: Request) -> dict:
    body = await request.body()
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return json.loads(body or b"{}")


def again(request: Request, body: dict) -> Request:
    """The same request with another body."""
    text = json.dumps(body).encode()

    async def receive() -> dict:
        return {"type": "http.request", "body": text, "more_body": False}

    headers = [pair for pair in request.scope["headers"] if pair[0] not in (b"content-encoding", b"content-length")]
    return Request({**request.scope, "headers": headers}, receive)


def no(code: str, message: str, state: str = "") -> JSONResponse:
    data = {"queryId": secrets.token_hex(16), "sqlState": state}
    return JSONResponse({"data": data, "code": code, "message": message, "success": False})


async def login(request: Request) -> JSONResponse:
    body = await body_of(request)
    name = body["data"].get("ACCOUNT_NAME", "")
    # fakesnow connects to one module-wide instance; no other login runs between these lines.
    if name not in worlds:
        worlds[name] = World(FakeSnow())
        faults.of(worlds[name])
        worlds[name].shaky = "shaky" in name
    if refusal := users.refusal(worlds[name], name, body["data"]):
        return no(*refusal)
    fake.shared_fs = worlds[name].instance
    answer = json.loads((await fake.login_request(again(request, body))).body)
    data = answer["data"]
    fake.sessions[data["token"]].session = (worlds[name], Session())
    worlds[name].connections.append(fake.sessions[data["token"]])
    master = secrets.token_urlsafe(16)
    masters[master] = data["token"]
    if body["data"].get("SESSION_PARAMETERS", {}).get("KEEP_CASE"):
        keepers.add(data["token"])
    if body["data"].get("LOGIN_NAME") == "owner":
        owners.add(data["token"])
    data.update(masterToken=master, masterValidityInSeconds=14400, validityInSeconds=3600)
    query = request.query_params
    data["sessionInfo"].update(warehouseName=query.get("warehouse"), roleName=query.get("roleName"))
    return JSONResponse(answer)


async def renew(request: Request) -> JSONResponse:
    old = (await body_of(request)).get("oldSessionToken")
    master = fake.to_token(request)
    known = masters.get(master) == old and old in fake.sessions
    if known and faults.next_of(fake.sessions[old].session[0], faults.RENEWAL):
        end(old)
        known = False
    if not known:
        return no("390114", "Authentication token has expired.")
    expired.discard(old)
    token = secrets.token_urlsafe(32)
    fake.sessions[token] = fake.sessions.pop(old)
    stages[token] = stages.pop(old, [])
    masters[master] = token
    return JSONResponse({"data": {"sessionToken": token, "masterToken": master}, "success": True})


def end(token: str) -> None:
    """Ends a session."""
    connection = fake.sessions.pop(token, None)
    if connection is None:
        return
    connection.session[0].connections.remove(connection)
    connection.session[1].end()
    for sql in ["ROLLBACK", *(f"DROP TABLE IF EXISTS {name}" for name in stages.pop(token, []))]:
        try:
            connection.cursor().execute(sql)
        except Exception:  # the session ends either way
            pass
    connection.close()


async def session(request: Request) -> Response:
    if request.query_params.get("delete"):
        end(fake.to_token(request))
        return JSONResponse({"success": True})
    return await fake.session(request)


TEMPORARY = re.compile(r"^\s*CREATE\s+TEMPORARY\s+TABLE\s+(\S+)", re.IGNORECASE)
SCHEMA = re.compile(r"^\s*CREATE\s+SCHEMA\b", re.IGNORECASE)
MISSING_COLUMN = re.compile(r"Referenced (column|table)|does not have a column|not found in FROM|Could not find column", re.IGNORECASE)
NOT_NULL = re.compile(r"NOT NULL constraint failed")
CONFLICT = re.compile(r"Transaction(Context)? (Error|conflict)|write-write conflict|Conflict on", re.IGNORECASE)


def translated(sql: str, token: str) -> str:
    # DuckDB keeps temporary tables in a place of their own; here they are plain ones that end with their session.
    if found := TEMPORARY.match(sql):
        stages.setdefault(token, []).append(found[1])
        sql = re.sub(r"\bBINARY\(\d+\)", "BINARY", sql)  # a length that DuckDB does not know
        return TEMPORARY.sub(lambda m: f"CREATE TABLE {m[1]}", sql, count=1)
    return sql


def refused(answer: dict, status: int) -> JSONResponse:
    message = answer.get("message") or ""
    if status == 401:
        return JSONResponse(answer, status_code=status)
    if NOT_NULL.search(message):
        return no("100072", "NULL result in a non-nullable column", "22000")
    if CONFLICT.search(message):
        return no("000625", "Statement has locked the table in another transaction", "57014")
    if MISSING_COLUMN.search(message):
        return no("000904", message, "42000")
    code = "000002" if status >= 500 else answer.get("code") or "000002"
    state = (answer.get("data") or {}).get("sqlState") or "42000"
    return no(code, message, state)


def ipc(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def cut(world: World, data: dict, base: str) -> None:
    """Keeps the first rows in the answer and lays the others out as parts; in a shaky account always some."""
    query = data["queryId"]
    table = pa.ipc.open_stream(base64.b64decode(data["rowsetBase64"])).read_all()
    rows = min(PART_ROWS // 2, max(3, table.num_rows // 5)) if world.shaky else PART_ROWS
    data["chunks"] = []
    for at in range(rows, table.num_rows, rows):
        part = table.slice(at, rows).combine_chunks()
        raw = ipc(part)
        parts[f"{query}.{at}"] = (world, gzip.compress(raw, 1))
        data["chunks"].append(
            {"url": f"{base}/parts/{query}.{at}", "rowCount": part.num_rows, "uncompressedSize": len(raw)}
        )
    data["rowsetBase64"] = base64.b64encode(ipc(table.slice(0, rows).combine_chunks())).decode()


async def query(request: Request) -> Response:
    """A statement, with what goes wrong on its way; and only once, however often it is sent."""
    token = request.headers.get("authorization", "")[17:-1]
    if token in expired:
        return no("390112", "Your session has expired. Please login again.")
    connection = fake.sessions.get(token)
    if connection is None or token in owners:
        return await carried(request)
    world, mine = connection.session
    fault = faults.next_of(world, faults.STATEMENT, faults.STATEMENT_EVERY)
    if fault == "gateway":
        return Response(status_code=503)
    if fault == "expired":
        expired.add(token)
        return no("390112", "Your session has expired. Please login again.")
    name = request.query_params["requestId"]
    if " ORDER BY " in (await body_of(request))["sqlText"] and faults.next_of(world, faults.HANGS):
        world.hanging[name] = secrets.token_hex(16)
        return later(no("000604", "SQL execution canceled", "57014"), world.hanging[name], 1 << 30)
    answer = mine.answers.get(name)
    if answer is None:
        answer = await carried(request)
        mine.answers[name] = answer
        while len(mine.answers) > ANSWERS_MAX:
            mine.answers.pop(next(iter(mine.answers)))
    if fault == "later":
        answer = later(answer)
    return await faults.after(fault, answer)


async def abort(request: Request) -> JSONResponse:
    """Ends a statement of this session that hangs."""
    token, asked = fake.to_token(request), (await body_of(request))["requestId"]
    if token not in fake.sessions:
        return no("390104", "User must login again to access the service.")
    world, _ = fake.sessions[token].session
    world.aborted.append(asked)
    put_off.pop(world.hanging.pop(asked, ""), None)
    return JSONResponse({"success": True})


def later(answer: Response, name: str = "", times: int = 1) -> Response:
    """The answer of a statement that takes its time: it has to be asked for, twice if not said otherwise."""
    name, body = name or secrets.token_hex(16), json.loads(answer.body)
    results[name], put_off[name] = body, times
    data = {"queryId": name, "getResultUrl": f"/queries/{name}/result"}
    return JSONResponse({"data": data, "code": "333333", "message": "Query execution in progress.", "success": False})


async def carried(request: Request) -> JSONResponse:
    body = await body_of(request)
    try:
        token = fake.to_token(request)
        connection = fake.to_conn(token)
    except fake.ServerError as error:
        return JSONResponse({"data": None, "code": error.code, "message": error.message, "success": False}, 401)
    keep_case.set(token in keepers)
    place = (connection.database, connection.schema)
    sql = body["sqlText"]
    if sql.count(";") and several(sql):
        return no("000008", "Actual statement count 2 did not match the desired statement count 1.", "0A000")
    world, session = connection.session
    listing.current.set(world)
    if SESSIONS.match(sql):
        others = [one for one in fake.sessions if one not in owners and fake.sessions[one].session[0] is world]
        return JSONResponse({"data": staging.told([[one[:4]] for one in others], "session"), "success": True})
    for ours in (roles, users, faults):
        if not ours.matters(sql):
            continue
        try:
            rows, names = ours.run(world, sql)
        except Refused as error:
            return no(error.code, error.message, error.state)
        return JSONResponse({"data": staging.told(rows, *names), "success": True})
    if staging.matters(sql):
        return await staged(request, body, connection, place, sql)
    body["sqlText"] = translated(sql, token)
    if statements.matters(world, sql):
        try:
            await locks.turn(world, connection, place, body["sqlText"])
        except Refused as error:
            return no(error.code, error.message, error.state)
        async with world.lock:
            return await run(request, body, connection, place, sql)
    return await run(request, body, connection, place, sql)


async def staged(request: Request, body: dict, connection, place: tuple, sql: str) -> JSONResponse:
    """A statement about stages."""
    world, _ = connection.session
    base = f"{request.url.scheme}://{request.url.netloc}"
    account = next(name for name, known in worlds.items() if known is world)
    try:
        if (found := staging.PUT.match(sql)) and staging.at_fakesnow(account, staging.of(world, place, found[2])[0]):
            return await put_by_fakesnow(request, body, world, place, found)
        if not staging.COPY.match(sql):
            data = await run_in_threadpool(staging.run, world, account, place, sql, base)
            return JSONResponse({"data": data, "success": True})
        table, insert, rows = await run_in_threadpool(staging.copy, world, account, place, sql, base)
    except Refused as error:
        return no(error.code, error.message, error.state)
    connection._duck_conn.register("TIDEGATE_COPY", table)
    try:
        answer = json.loads((await run(request, {**body, "sqlText": insert}, connection, place, insert)).body)
    finally:
        connection._duck_conn.unregister("TIDEGATE_COPY")
    if not answer["success"]:
        return JSONResponse(answer)
    names = ("file", "status", "rows_parsed", "rows_loaded", "error_limit", "errors_seen")
    return JSONResponse({"data": staging.told(rows, *names), "success": True})


async def put_by_fakesnow(request: Request, body: dict, world: World, place: tuple, found: re.Match) -> JSONResponse:
    """A PUT that fakesnow answers itself: with an address in its bucket, as Google's storage gives one away."""
    _, folder, _ = staging.noted(world, place, found)
    stage = found[2].removesuffix(folder).rstrip("/")
    for sql in (f"CREATE STAGE IF NOT EXISTS {stage}", f"PUT {found[1]} @{stage}/{folder} AUTO_COMPRESS=FALSE"):
        answer = json.loads((await fake.query_request(again(request, {**body, "sqlText": sql}))).body)
        if not answer["success"]:
            return JSONResponse(answer)
    answer["data"]["queryId"] = secrets.token_hex(16)
    return JSONResponse(answer)


async def google(request: Request) -> Response:
    """Google's storage, for accounts that lie on it."""
    store = staging.storage.get("gcs")
    body = await request.body()
    return Response(status_code=store.take(request.path_params["path"], request.headers, body) if store else 404)


async def run(request: Request, body: dict, connection, place: tuple, sql: str) -> JSONResponse:
    """One statement; what has to do with histories, while the account is held."""
    world, session = connection.session
    prepared = None
    if statements.matters(world, sql):
        try:
            prepared = await run_in_threadpool(statements.prepare, world, session, place, body["sqlText"])
        except Refused as error:
            return no(error.code, error.message, error.state)
        body["sqlText"] = prepared.sql
    answered = await fake.query_request(again(request, body))
    if SCHEMA.match(sql) and None not in place:
        # fakesnow moves the session into a schema that is made; so does Snowflake, but not for IF NOT EXISTS of an
        # existing one. Our statements name all parts, so it is kept where it was.
        connection.cursor().execute(f'USE SCHEMA "{place[0]}"."{place[1]}"')
    answer = json.loads(answered.body)
    if not answer["success"]:
        return refused(answer, answered.status_code)
    data = answer["data"]
    if data.get("queryId") is None:
        data["queryId"] = secrets.token_hex(16)
    if prepared is not None and not body.get("describeOnly"):
        await run_in_threadpool(prepared.after, data["queryId"])
    if data.get("rowsetBase64") and data["total"] > (3 if world.shaky else PART_ROWS):
        cut(world, data, f"{request.url.scheme}://{request.url.netloc}")
        results[data["queryId"]] = answer
    return JSONResponse(answer)


def several(sql: str) -> bool:
    """Whether there is a second statement, which the service refuses."""
    import sqlglot

    try:
        return len([one for one in sqlglot.parse(sql, read="snowflake") if one is not None]) > 1
    except sqlglot.errors.SqlglotError:
        return False


async def result(request: Request) -> JSONResponse:
    if fake.to_token(request) in expired:
        return no("390112", "Your session has expired. Please login again.")
    name = request.path_params["query"]
    if put_off.get(name):
        put_off[name] -= 1
        return no("333334", "Query execution in progress.")
    found = results.get(name)
    return JSONResponse(found) if found else no("000709", "Statement not found")


async def part(request: Request) -> Response:
    world, found = parts.get(request.path_params["part"], (None, b""))
    if world is None:
        return Response(status_code=403)
    return await faults.after(faults.next_of(world, faults.PART, faults.PART_EVERY), Response(found))


app = Starlette(
    routes=[
        Route("/session/v1/login-request", login, methods=["POST"]),
        Route("/session/token-request", renew, methods=["POST"]),
        Route("/session", session, methods=["POST"]),
        Route("/queries/v1/query-request", query, methods=["POST"]),
        Route("/queries/v1/abort-request", abort, methods=["POST"]),
        Route("/queries/{query}/result", result),
        Route("/parts/{part}", part),
        Route("/gcs/{path:path}", google, methods=["PUT"]),
        Mount("/", fake.app),
    ]
)

if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    with open(sys.argv[1], "w") as file:
        file.write(str(listener.getsockname()[1]))
    # After five seconds, uvicorn's own measure, it hangs up on who idles; busy, it does so while the next question is
    # on its way, which a test then takes for a failure.
    uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_keep_alive=3600)).run(sockets=[listener])
