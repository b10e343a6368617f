"""One account: its clock, its tracked tables and views, its streams; and what a session is in the middle of."""

import asyncio
import itertools
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from .refused import missing

DAY_US = 86_400_000_000
RETENTION_DAYS = 1  # Snowflake's default for permanent tables
EXTENSION_DAYS = 14  # MAX_DATA_EXTENSION_TIME_IN_DAYS, its default
FOREVER = 9_000_000_000_000_000_000
HISTORY_SCHEMA = "_fs_information_schema"  # fakesnow lists nothing of it

# A session whose names without quotes keep their case: the owner's, in the tests that all warehouses pass.
keep_case: ContextVar[bool] = ContextVar("keep_case", default=False)

Name = tuple[str, str, str]


def key(name: Name) -> Name:
    """DuckDB does not tell names by their case, so neither can this."""
    return tuple(part.casefold() for part in name)


@dataclass(eq=False)
class Table:
    name: Name
    history: str  # its table of row versions
    since: int  # from when on there are versions
    columns: list[str]
    tracked: bool = True
    retention_days: int = RETENTION_DAYS
    dropped: bool = False
    last_change: int = 0


@dataclass(eq=False)
class View:
    name: Name
    query: object  # the expression as it was written
    place: tuple[str, str]  # where its own names are looked for
    tracked: bool = False
    since: int = 0
    dropped: bool = False


@dataclass(eq=False)
class Stream:
    name: Name
    source: Table | View
    offset: int
    append_only: bool = False
    comment: str = ""
    created: int = 0
    initial: bool = False  # it shows the rows of its beginning first (SHOW_INITIAL_ROWS)


@dataclass
class Session:
    """What a connection is in the middle of."""

    began: int | None = None  # when its transaction began; streams are read as of then
    touched: list = field(default_factory=list)  # names of tables that it wrote
    read: list = field(default_factory=list)  # streams that a statement which writes has read
    locked: set = field(default_factory=set)  # what others wait for
    used: float = 0.0
    aborted: bool = False  # its transaction was taken away
    answers: dict = field(default_factory=dict)  # by the ids of their requests, for statements that are sent again

    def end(self) -> None:
        """The transaction is over."""
        self.began, self.touched, self.read, self.locked = None, [], [], set()


class World:
    def __init__(self, instance):
        self.instance = instance
        self.connections: list = []
        self.lock = asyncio.Lock()  # a commit and the capture of what it did are one step
        self.tables: dict[Name, Table] = {}
        self.views: dict[Name, View] = {}
        self.streams: dict[Name, Stream] = {}
        self.retention: dict[Name, int] = {}  # of tables that are not tracked (yet)
        self.statements: dict[str, int] = {}  # when a statement by its id took effect
        self.shift = 0  # how far the account's clock was put forward
        self.last = 0
        self.numbers = itertools.count(1)

    def now(self) -> int:
        """Microseconds; never the same twice."""
        self.last = max(time.time_ns() // 1000 + self.shift, self.last + 1)
        return self.last

    @property
    def keeps_history(self) -> bool:
        return bool(self.tables or self.streams)

    def table(self, name: Name) -> Table | None:
        return self.tables.get(key(name))

    def view(self, name: Name) -> View | None:
        return self.views.get(key(name))

    def stream(self, name: Name) -> Stream | None:
        return self.streams.get(key(name))

    def cursor(self):
        return self.instance.duck_conn.cursor()

    def columns(self, name: Name) -> list[str]:
        sql = """SELECT column_name FROM duckdb_columns() WHERE lower(database_name) = ? AND lower(schema_name) = ?
                 AND lower(table_name) = ? ORDER BY column_index"""
        cursor = self.cursor()
        try:
            return [row[0] for row in cursor.execute(sql, [part.lower() for part in name]).fetchall()]
        finally:
            cursor.close()

    def is_there(self, name: Name, what: str) -> bool:
        listing = "duckdb_views()" if what == "view" else "duckdb_tables()"
        sql = f"""SELECT count(*) FROM {listing} WHERE lower(database_name) = ? AND lower(schema_name) = ?
                  AND lower({what}_name) = ?"""
        cursor = self.cursor()
        try:
            return cursor.execute(sql, [part.lower() for part in name]).fetchone()[0] > 0
        finally:
            cursor.close()

    def drop_source(self, name: Name) -> None:
        """The streams on it know that theirs is gone, also when another of the same name takes its place."""
        for known in (self.tables, self.views):
            if old := known.pop(key(name), None):
                old.dropped = True

    def expires(self, stream: Stream) -> int:
        """When it goes stale: at the longest, when the extension has passed since its offset."""
        retention = getattr(stream.source, "retention_days", RETENTION_DAYS)
        return stream.offset + max(retention, EXTENSION_DAYS) * DAY_US

    def base_tables(self, source: Table | View) -> list[Table]:
        from .states import tables_of

        return [source] if isinstance(source, Table) else tables_of(self, source)

    def source_of_or_none(self, name: Name) -> Table | View | None:
        return self.table(name) or self.view(name)

    def source_of(self, name: Name) -> Table | View:
        found = self.source_of_or_none(name)
        if found is None:
            raise missing("Object", ".".join(name))
        return found
