"""One statement from its text to its effects.

`prepare` gives the text that fakesnow is to run, and `Prepared.after` what follows when it has succeeded: a commit is
captured, the streams that a statement which writes has read move to where they were read.
"""

import re
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp

from . import capture, commands
from .rewrite import Rewrite, target_of
from .states import name_of, parse
from .world import Session, Stream, World, key

ABOUT = re.compile(
    r"CHANGE_TRACKING|_TIME_IN_DAYS|\bSTREAMS?\b|\bCHANGES\s*\(|\b(AT|BEFORE)\s*\(|SYSTEM\$|CURRENT_AVAILABLE_ROLES|STAND_IN|\bCREATE\b.*\bVIEW\b|SYSDATE",
    re.IGNORECASE | re.DOTALL,
)
READS = re.compile(r"^\s*(SHOW|DESC|DESCRIBE|USE|LIST|GET|CALL)\b", re.IGNORECASE)
BEGIN = re.compile(r"^\s*(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE)
COMMIT = re.compile(r"^\s*COMMIT\b", re.IGNORECASE)
ROLLBACK = re.compile(r"^\s*ROLLBACK\b", re.IGNORECASE)
WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable, exp.Copy)
DDL = (exp.Create, exp.Drop, exp.Alter)


@dataclass
class Prepared:
    sql: str
    world: World
    session: Session
    place: tuple[str, str]
    tree: exp.Expression | None = None
    streams: list[Stream] = field(default_factory=list)
    until: int = 0
    options: dict[str, str] = field(default_factory=dict)
    query: exp.Expression | None = None
    writes: bool = False

    def after(self, query_id: str | None) -> None:
        """What follows from its success; run while the account is held."""
        world, session = self.world, self.session
        if BEGIN.match(self.sql):
            session.end()
            session.began = world.now()
            return
        if ROLLBACK.match(self.sql):
            session.end()
            return
        if COMMIT.match(self.sql):
            touched, read = session.touched, session.read
            session.end()
            self.settle(touched, read, query_id)
            return
        if isinstance(self.tree, DDL):
            self.formed()
        if not self.writes:
            return
        target = target_of(self.tree) if self.tree is not None else None
        touched = [name_of(target, self.place)] if isinstance(target, exp.Table) else list(world.tables)
        read = [(stream, self.until) for stream in self.streams]
        if session.began is None or isinstance(self.tree, DDL):
            self.settle(touched, read, query_id)
        else:
            session.touched += touched
            session.read += read

    def settle(self, touched: list, read: list, query_id: str | None) -> None:
        world = self.world
        at = world.now()
        if query_id:
            world.statements[query_id] = at
        for name in dict.fromkeys(key(name) for name in touched):
            if (table := world.tables.get(name)) is not None:
                capture.note(world, table, at)
        for stream, until in read:
            if stream.initial:  # what came since it was made is shown next
                stream.initial = False
            else:
                stream.offset = max(stream.offset, until)

    def formed(self) -> None:
        """After CREATE, DROP and ALTER."""
        world, tree = self.world, self.tree
        if isinstance(tree, exp.Create) and (tree.args.get("kind") or "").upper() in ("TABLE", "VIEW"):
            commands.made(world, self.place, tree, self.options, self.query)
        elif isinstance(tree, exp.Drop) and (tree.args.get("kind") or "").upper() in ("TABLE", "VIEW"):
            for one in tree.find_all(exp.Table):
                world.drop_source(name_of(one, self.place))
        elif isinstance(tree, exp.Alter) and isinstance(tree.this, exp.Table):
            if (table := world.table(name_of(tree.this, self.place))) is not None:
                if world.is_there(table.name, "table"):
                    capture.follow(world, table)
                else:  # renamed: to this, as if it were gone
                    world.drop_source(table.name)


def matters(world: World, sql: str) -> bool:
    """Whether a statement has anything to do with histories. Most accounts of the tests keep none."""
    return world.keeps_history or bool(world.shift) or ABOUT.search(sql) is not None


def prepare(world: World, session: Session, place: tuple[str | None, str | None], sql: str) -> Prepared:
    place = (place[0] or "", place[1] or "")
    prepared = Prepared(sql, world, session, place)
    if BEGIN.match(sql) or COMMIT.match(sql) or ROLLBACK.match(sql):
        return prepared
    if (answer := commands.run(world, place, sql)) is not None:
        prepared.sql = answer
        return prepared
    if READS.match(sql):
        return prepared
    try:
        tree = parse(sql)
    except sqlglot.errors.SqlglotError:
        return prepared  # fakesnow says what is wrong with it
    prepared.tree = tree
    changed = False
    if isinstance(tree, exp.Create):
        prepared.options = commands.take_options(tree)
        changed = bool(prepared.options)
        if (tree.args.get("kind") or "").upper() == "VIEW" and tree.expression is not None:
            prepared.query = renamed(tree)
            prepared.writes = False
            prepared.sql = tree.sql(dialect="snowflake") if changed else sql
            return prepared
    rewrite = Rewrite(world, session, place)
    changed |= rewrite.all(tree)
    makes = isinstance(tree, exp.Create) and tree.expression is not None
    prepared.writes = isinstance(tree, WRITES) or makes
    prepared.streams, prepared.until = rewrite.streams, rewrite.now
    if changed:
        prepared.sql = tree.sql(dialect="snowflake")
    return prepared


def renamed(tree: exp.Create) -> exp.Expression:
    """The query of a view, with the names that the view gives its columns."""
    query = tree.expression.copy()
    if isinstance(tree.this, exp.Schema) and isinstance(query, exp.Select):
        names = [one.this if isinstance(one, exp.ColumnDef) else one for one in tree.this.expressions]
        bare = [one.unalias() for one in query.expressions]
        query.set("expressions", [exp.alias_(one, name.copy()) for one, name in zip(bare, names, strict=True)])
    return query
