"""Queries: streams, CHANGES, AT and the system functions, replaced by SQL that fakesnow can run."""

from sqlglot import exp

from .capture import quoted
from .refused import Refused, travelled
from .states import changes, check_time, has_changes, initial, name_of, parse, state
from .world import Session, Stream, Table, World

CLOCKS = (exp.CurrentTimestamp, exp.CurrentTimestampLTZ, exp.CurrentDate, exp.CurrentTime)


class Rewrite:
    def __init__(self, world: World, session: Session, place: tuple[str, str]):
        self.world, self.session, self.place = world, session, place
        self.now = session.began or world.now()
        self.streams: list[Stream] = []  # which were read

    def all(self, tree: exp.Expression) -> bool:
        """Replaces what it finds; whether there was anything."""
        found = False
        target = target_of(tree)
        for table in list(tree.find_all(exp.Table)):
            if table is target:
                continue
            if (sql := self.source(table)) is not None:
                found = True
                alias = table.alias or name_of(table, self.place)[2]
                table.replace(parse(f"SELECT * FROM ({sql}) AS {quoted(alias)}").find(exp.From).this)
        if self.world.shift:
            for clock in list(tree.find_all(exp.CurrentTimestamp)):
                found = True
                kind = "make_timestamp" if clock.args.get("sysdate") else "make_timestamptz"
                clock.replace(parse_duck(f"{kind}({self.world.now()})"))
        for call in list(tree.find_all(exp.CurrentAvailableRoles)):
            found = True
            call.replace(exp.Literal.string('["TIDEGATE", "PUBLIC"]'))
        for call in list(tree.find_all(exp.Anonymous)):
            if (value := self.function(call)) is not None:
                found = True
                call.replace(value)
        return found

    def source(self, table: exp.Table) -> str | None:
        name = name_of(table, self.place)
        window, when = table.args.get("changes"), table.args.get("when")
        if window is not None:
            return self.window(name, window)
        if when is not None:
            source = self.world.source_of_or_none(name)
            if source is None:
                if not (self.world.is_there(name, "table") or self.world.is_there(name, "view")):
                    return None  # fakesnow says that it is not there
                raise Refused(
                    "000707",
                    f"The stand-in has no history of {'.'.join(name)}: it keeps one of tables with change tracking only.",
                    "02000",
                )
            at = self.instant(when, constant=False)
            check_time(self.world, source, at, None)
            return visible(source, state(self.world, source, at), self.world)
        if (stream := self.world.stream(name)) is not None:
            return self.stream(stream)
        return None

    def window(self, name, window: exp.Expression) -> str:
        source = self.world.source_of(name) if self.world.source_of_or_none(name) else None
        if source is None:
            from .refused import missing, untracked

            there = self.world.is_there(name, "table") or self.world.is_there(name, "view")
            raise untracked(".".join(name)) if there else missing("Object", ".".join(name))
        after = self.instant(window.args["at_before"], constant=True)
        end = window.args.get("end")
        upto = self.instant(end, constant=True) if end is not None else self.now
        check_time(self.world, source, after, upto)
        append_only = window.args["information"].name.upper() == "APPEND_ONLY"
        return changes(self.world, source, after, min(upto, self.now), append_only)

    def stream(self, stream: Stream) -> str:
        name = ".".join(stream.name)
        if stream.source.dropped:
            base = ".".join(stream.source.name)
            raise Refused("091901", f"Base table '{base}' dropped, cannot read from stream '{name}'.", "55000")
        if self.world.now() > self.world.expires(stream) or any(
            stream.offset < table.since for table in self.world.base_tables(stream.source)
        ):
            raise Refused("091902", f"Stream {name} has become stale: its offset is outside of the retention.", "55000")
        if stream not in self.streams:
            self.streams.append(stream)
        if stream.initial:
            return initial(self.world, stream.source, stream.offset)
        return changes(self.world, stream.source, stream.offset, max(self.now, stream.offset), stream.append_only)

    def instant(self, point: exp.Expression, constant: bool) -> int:
        kind, value = point.args["kind"].upper(), point.expression
        if kind == "STREAM":
            stream = self.world.stream(split(value.name, self.place))
            if stream is None:
                raise Refused("002003", f"Stream '{value.name}' does not exist or not authorized.", "02000")
            return stream.offset
        if kind == "STATEMENT":
            at = self.world.statements.get(value.name)
            if at is None:
                raise Refused("000709", f"Statement {value.name} not found", "02000")
            return at - 1 if point.name.upper() == "BEFORE" else at
        if kind == "OFFSET":
            return self.now + int(float(self.number(value)) * 1_000_000)
        if constant and any(value.find(clock) for clock in CLOCKS):
            raise Refused("001015", "SQL compilation error:\nargument TIMESTAMP to function AT needs to be constant")
        text = value.sql(dialect="duckdb")
        return int(self.number(parse_duck(f"SELECT epoch_us(CAST({text} AS TIMESTAMPTZ))")))

    def number(self, value: exp.Expression):
        cursor = self.world.cursor()
        try:
            sql = value.sql(dialect="duckdb")
            return cursor.execute(sql if sql.startswith("SELECT") else f"SELECT {sql}").fetchone()[0]
        except Exception as error:
            raise Refused("100035", f"Timestamp is not recognized: {str(error).splitlines()[0]}", "22007") from error
        finally:
            cursor.close()

    def function(self, call: exp.Anonymous) -> exp.Expression | None:
        what = call.name.upper()
        if what not in ("SYSTEM$STREAM_HAS_DATA", "SYSTEM$LAST_CHANGE_COMMIT_TIME"):
            return None
        name = split(call.expressions[0].name, self.place)
        if what == "SYSTEM$STREAM_HAS_DATA":
            stream = self.world.stream(name)
            if stream is None:
                raise Refused("002003", f"Stream '{'.'.join(name)}' does not exist or not authorized.", "02000")
            if stream.source.dropped:
                self.stream(stream)
            return exp.Boolean(this=stream.initial or has_changes(self.world, stream.source, stream.offset))
        source = self.world.source_of_or_none(name)
        if source is None:
            raise travelled(".".join(name))
        last = max((table.last_change or table.since for table in self.world.base_tables(source)), default=0)
        return parse(f"CAST({last}000 AS NUMBER(38,0))")


def parse_duck(sql: str) -> exp.Expression:
    import sqlglot

    return sqlglot.parse_one(sql, read="duckdb")


def visible(source, sql: str, world: World) -> str:
    from .states import columns

    return f"SELECT {', '.join(quoted(name) for name in columns(world, source))} FROM ({sql}) AS s"


def split(text: str, place: tuple[str, str]):
    """A name in a text, with or without quotes."""
    table = parse(f"SELECT * FROM {text}").find(exp.Table)
    return name_of(table, place)


def target_of(tree: exp.Expression) -> exp.Expression | None:
    """The table that a statement writes."""
    if not isinstance(tree, (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.TruncateTable)):
        return None
    target = tree.this if not isinstance(tree, exp.TruncateTable) else (tree.expressions or [None])[0]
    return target.this if isinstance(target, exp.Schema) else target


__all__ = ["Rewrite", "Table", "split", "target_of"]
