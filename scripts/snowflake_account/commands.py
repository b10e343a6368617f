"""The statements that make, change and list what has a history."""

import re

from sqlglot import exp

from . import capture
from .refused import Refused, missing
from .rewrite import split
from .states import name_of, supported, title
from .world import Stream, Table, View, World, key

NAME = r"((?:\"(?:[^\"]|\"\")+\"|[\w$]+)(?:\.(?:\"(?:[^\"]|\"\")+\"|[\w$]+)){0,2})"
CREATE_STREAM = re.compile(
    rf"^\s*CREATE\s+(OR\s+REPLACE\s+)?STREAM\s+(IF\s+NOT\s+EXISTS\s+)?{NAME}\s+(?:COPY\s+GRANTS\s+)?ON\s+(TABLE|VIEW)\s+{NAME}(.*)$",
    re.IGNORECASE | re.DOTALL,
)
DROP_STREAM = re.compile(rf"^\s*DROP\s+STREAM\s+(IF\s+EXISTS\s+)?{NAME}\s*$", re.IGNORECASE)
SHOW_STREAMS = re.compile(
    rf"^\s*(?:SHOW\s+(TERSE\s+)?STREAMS(?:\s+LIKE\s+'((?:[^']|'')*)')?(?:\s+IN\s+(ACCOUNT|(?:DATABASE|SCHEMA)\s+{NAME}))?|DESC(?:RIBE)?\s+STREAM\s+{NAME})\s*$",
    re.IGNORECASE,
)
SET = re.compile(rf"^\s*ALTER\s+(TABLE|VIEW)\s+(?:IF\s+EXISTS\s+)?{NAME}\s+SET\s+(.*)$", re.IGNORECASE | re.DOTALL)
PROPERTY = re.compile(r"(\w+)\s*=\s*('[^']*'|\w+)")
ADVANCE = re.compile(r"^\s*CALL\s+STAND_IN\$ADVANCE\(\s*(\d+)\s*\)\s*$", re.IGNORECASE)
OURS = ("CHANGE_TRACKING", "DATA_RETENTION_TIME_IN_DAYS", "MAX_DATA_EXTENSION_TIME_IN_DAYS")


def done(text: str) -> str:
    return f"SELECT '{text}' AS \"status\""


def literal(value) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def run(world: World, place: tuple[str, str], sql: str) -> str | None:
    """Carries a statement out that is about histories alone; what to answer, as a SELECT."""
    if found := ADVANCE.match(sql):
        world.shift += int(found[1]) * 1_000_000
        return done("The clock was put forward.")
    if found := CREATE_STREAM.match(sql):
        return create_stream(world, place, found)
    if found := DROP_STREAM.match(sql):
        name = split(found[2], place)
        if world.streams.pop(key(name), None) is None and not found[1]:
            raise missing("Stream", ".".join(name))
        return done(f"{name[2]} successfully dropped.")
    if found := SHOW_STREAMS.match(sql):
        return show_streams(world, place, found)
    if found := SET.match(sql):
        return alter(world, place, found)
    return None


def alter(world: World, place: tuple[str, str], found: re.Match) -> str | None:
    name = split(found[2], place)
    given = {one[0].upper(): one[1] for one in PROPERTY.findall(found[3])}
    if not given or not set(given) <= set(OURS):
        return None
    view = found[1].upper() == "VIEW"
    if not world.is_there(name, "view" if view else "table"):
        raise missing("View" if view else "Table", ".".join(name))
    if "CHANGE_TRACKING" in given:
        on = given["CHANGE_TRACKING"].upper() == "TRUE"
        track_view(world, name, on) if view else track_table(world, name, on)
    if "DATA_RETENTION_TIME_IN_DAYS" in given:
        retain(world, name, int(given["DATA_RETENTION_TIME_IN_DAYS"]))
    return done("Statement executed successfully.")


def retain(world: World, name, days: int) -> None:
    world.retention[key(name)] = days
    if (table := world.table(name)) is not None:
        table.retention_days = days


def track_table(world: World, name, on: bool) -> None:
    if on:
        was = world.table(name)
        if was is not None and not was.tracked:
            # What happened while it was off is not known: Snowflake has no changes from before either.
            world.tables.pop(key(name))
        fresh = capture.begin(world, name)
        if was is not None and was is not fresh:
            for stream in world.streams.values():
                if stream.source is was:
                    stream.source = fresh
    elif (table := world.table(name)) is not None:
        table.tracked = False


def track_view(world: World, name, on: bool) -> None:
    """One role owns everything here, so that the tables below are tracked along, as Snowflake does for their owner."""
    view = world.view(name)
    if view is None:
        raise Refused("002003", f"The stand-in does not know how {'.'.join(name)} was made.", "02000")
    if on:
        supported(view)
        for one in view.query.find_all(exp.Table):
            below = name_of(one, view.place)
            if world.view(below) is not None:
                track_view(world, below, True)
            elif world.table(below) is None or not world.table(below).tracked:
                track_table(world, below, True)
        if not view.tracked:
            view.since = world.now()
    view.tracked = on


def create_stream(world: World, place: tuple[str, str], found: re.Match) -> str:
    replace, unless, written, kind, on, rest = found.groups()
    name, source = split(written, place), split(on, place)
    if world.stream(name) is not None and not replace:
        if unless:
            return done(f"{name[2]} already exists, statement succeeded.")
        raise Refused("002002", f"SQL compilation error:\nObject '{'.'.join(name)}' already exists.", "42710")
    if not world.is_there(source, kind.lower()):
        raise missing(kind.capitalize(), ".".join(source))
    if kind.upper() == "VIEW":
        track_view(world, source, True)
        below = world.view(source)
    else:
        if (known := world.table(source)) is None or not known.tracked:
            track_table(world, source, True)
        below = world.table(source)
    options = {one[0].upper(): one[1] for one in PROPERTY.findall(rest)}
    now = world.now()
    stream = Stream(name, below, now, created=now)
    stream.append_only = options.get("APPEND_ONLY", "FALSE").upper() == "TRUE"
    stream.initial = options.get("SHOW_INITIAL_ROWS", "FALSE").upper() == "TRUE"
    stream.comment = options.get("COMMENT", "''").strip("'")
    world.streams[key(name)] = stream
    return done(f"Stream {name[2]} successfully created.")


def show_streams(world: World, place: tuple[str, str], found: re.Match) -> str:
    terse, like, scope, within, described = found.groups()
    streams = sorted(world.streams.values(), key=lambda stream: stream.name)
    if described:
        name = split(described, place)
        streams = [stream for stream in streams if key(stream.name) == key(name)]
        if not streams:
            raise missing("Stream", ".".join(name))
    elif scope is None:
        streams = [stream for stream in streams if key(stream.name)[:2] == key((*place, ""))[:2]]
    elif scope.upper().startswith("DATABASE"):
        database = split(within, place)[2]
        streams = [stream for stream in streams if stream.name[0].casefold() == database.casefold()]
    elif scope.upper().startswith("SCHEMA"):
        _, database, schema = split(within, ("", place[0]))
        streams = [stream for stream in streams if key(stream.name)[:2] == key((database, schema, ""))[:2]]
    if like is not None:
        pattern = re.escape(like.replace("''", "'")).replace("%", ".*").replace("_", ".")
        streams = [stream for stream in streams if re.fullmatch(pattern, stream.name[2], re.IGNORECASE)]
    if terse:
        columns = ("created_on", "name", "kind", "database_name", "schema_name", "tableOn")
    else:
        columns = tuple(of_stream(world, None))
    rows = [of_stream(world, stream) for stream in streams]
    if terse:
        rows = [{**row, "kind": row["type"], "tableOn": row["table_name"]} for row in rows]
    selects = [
        "SELECT " + ", ".join(cell(column, row.get(column)) for column in columns) for row in rows
    ] or ["SELECT " + ", ".join(cell(column, "1970-01-01 00:00:00+00:00") for column in columns) + " WHERE FALSE"]
    return " UNION ALL ".join(selects)


def cell(column: str, value) -> str:
    kind = "TIMESTAMP_LTZ" if column in ("created_on", "stale_after") else "VARCHAR"
    return f'CAST({literal(value)} AS {kind}) AS "{column}"'


def of_stream(world: World, stream: Stream | None) -> dict:
    """The columns of SHOW STREAMS, as its page lists them."""
    if stream is None:
        names = "created_on name database_name schema_name owner comment table_name source_type base_tables type stale mode"
        return dict.fromkeys([*names.split(), "stale_after", "invalid_reason", "owner_role_type"])
    gone = stream.source.dropped
    base = [stream.source] if gone or isinstance(stream.source, Table) else world.base_tables(stream.source)
    stale = not gone and (
        world.now() > world.expires(stream) or any(stream.offset < table.since for table in base)
    )
    return {
        "created_on": stamp(stream.created),
        "name": stream.name[2],
        "database_name": stream.name[0],
        "schema_name": stream.name[1],
        "owner": "SYSADMIN",
        "comment": stream.comment,
        "table_name": title(stream.source),
        "source_type": "View" if isinstance(stream.source, View) else "Table",
        "base_tables": ", ".join(title(table) for table in base),
        "type": "DELTA",
        "stale": "true" if stale or gone else "false",
        "mode": "APPEND_ONLY" if stream.append_only else "DEFAULT",
        "stale_after": stamp(world.expires(stream)),
        "invalid_reason": "Base table dropped" if gone else "N/A",
        "owner_role_type": "ROLE",
    }


def stamp(us: int) -> str:
    from datetime import datetime, timedelta, timezone

    return str(datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=us))


def take_options(tree: exp.Create) -> dict[str, str]:
    """Takes those options out of CREATE that fakesnow does not know."""
    properties, taken = tree.args.get("properties"), {}
    for one in list(properties.expressions) if properties else []:
        name = one.this.name.upper() if isinstance(one, exp.Property) and isinstance(one.this, exp.Expression) else ""
        if name in OURS:
            taken[name] = one.args["value"].sql().upper()
            one.pop()
    if properties is not None and not properties.expressions:
        tree.set("properties", None)
    return taken


def made(world: World, place: tuple[str, str], tree: exp.Create, given: dict[str, str], query) -> None:
    """After CREATE TABLE or CREATE VIEW."""
    table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    name = name_of(table, place)
    if tree.args.get("replace"):
        world.drop_source(name)
    if "DATA_RETENTION_TIME_IN_DAYS" in given:
        retain(world, name, int(given["DATA_RETENTION_TIME_IN_DAYS"]))
    on = given.get("CHANGE_TRACKING") == "TRUE"
    if (tree.args.get("kind") or "").upper() == "VIEW":
        if query is not None:
            world.views[key(name)] = View(name, query, place)
        if on:
            track_view(world, name, True)
    elif on:
        track_table(world, name, True)
