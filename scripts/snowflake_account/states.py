"""A table or view as it stood at an instant, and the changes between two, as SQL.

A state has the columns of its source and `_rid`, which tells a row from all others: for a view it is made of those of
the rows that it was joined from. That is why views with DISTINCT, GROUP BY, aggregates, windows or LIMIT have no
changes, here as with Snowflake.
"""

import re

import sqlglot
from sqlglot import exp

from .capture import quoted
from .refused import Refused, missing, travelled, untracked
from .world import DAY_US, EXTENSION_DAYS, Name, Table, View, World, keep_case

PLAIN = re.compile(r"^[A-Z_][A-Z0-9_$]*$")


def name_of(table: exp.Table, place: tuple[str, str]) -> Name:
    """All three parts, as the account keeps them."""
    given = [table.args.get(part) for part in ("catalog", "db", "this")]
    names = [part and (part.name if part.args.get("quoted") or keep_case.get() else part.name.upper()) for part in given]
    return (names[0] or place[0], names[1] or place[1], names[2])


def parse(sql: str) -> exp.Expression:
    return sqlglot.parse_one(sql, read="snowflake")


def tables_of(world: World, view: View) -> list[Table]:
    found: list[Table] = []
    for one in view.query.find_all(exp.Table):
        name = name_of(one, view.place)
        if (below := world.view(name)) is not None:
            found += tables_of(world, below)
        elif (table := world.table(name)) is not None:
            found.append(table)
        else:
            raise missing("Object", ".".join(name))
    return list(dict.fromkeys(found))


def supported(view: View) -> None:
    """What Snowflake's documents say that streams on views cannot have."""
    inside = [one for one in view.query.find_all(exp.Select) if one.find_ancestor(exp.Where, exp.Having, exp.Column)]
    bad = (exp.Distinct, exp.Group, exp.AggFunc, exp.Window, exp.Limit, exp.Qualify, exp.Intersect, exp.Except, exp.With)
    if inside or any(view.query.find(kind) for kind in bad):
        raise Refused(
            "002203",
            "SQL compilation error:\nChange tracking is not supported on queries with "
            "GROUP BY, DISTINCT, LIMIT, aggregates, window functions or subqueries outside of FROM.",
        )


def state(world: World, source: Table | View, at: int) -> str:
    """A SELECT of the source's rows as they stood at an instant."""
    if isinstance(source, View):
        return of_view(world, source, at)
    names = ", ".join(quoted(column) for column in source.columns)
    return f'SELECT {names}, "_rid" FROM {source.history} WHERE "_from" <= {at} AND "_upto" > {at}'


def of_view(world: World, view: View, at: int) -> str:
    query = view.query.copy()
    for branch, select in enumerate(list(query.find_all(exp.Select))):
        tables = [one for one in select.find_all(exp.Table) if one.find_ancestor(exp.Select) is select]
        rids = []
        for table in tables:
            below = world.source_of(name_of(table, view.place))
            alias = table.alias or table.name
            inner = parse(f"SELECT * FROM ({state(world, below, at)}) AS {quoted(alias)}").find(exp.Subquery)
            table.replace(inner)
            rids.append(f'{quoted(alias)}."_rid"')
        nested = [one for one in select.find_all(exp.Subquery) if one.find_ancestor(exp.Select) is select]
        rids += [f'{quoted(one.alias)}."_rid"' for one in nested if one.alias and f'{quoted(one.alias)}."_rid"' not in rids]
        text = ", '.', ".join(f"CAST({rid} AS VARCHAR)" for rid in rids) or "''"
        select.append("expressions", parse(f"SELECT CONCAT('{branch}', '.', {text}) AS \"_rid\"").expressions[0])
        for star in list(select.expressions):
            if isinstance(star, exp.Star) or (isinstance(star, exp.Column) and isinstance(star.this, exp.Star)):
                (star if isinstance(star, exp.Star) else star.this).set("except_", [exp.to_identifier("_rid", quoted=True)])
    return query.sql(dialect="snowflake")


def columns(world: World, source: Table | View) -> list[str]:
    return source.columns if isinstance(source, Table) else world.columns(source.name)


def title(source: Table | View) -> str:
    return ".".join(part if PLAIN.match(part) else quoted(part) for part in source.name)


def check_time(world: World, source: Table | View, at: int, upto: int | None, extended: bool = False) -> None:
    """Refuses an instant from before the history; `upto` is given where changes are asked for."""
    if upto is not None and not source.tracked:
        raise untracked(title(source))
    if upto is not None and isinstance(source, View) and at < source.since:
        raise untracked(title(source))
    for table in world.base_tables(source):
        days = max(table.retention_days, EXTENSION_DAYS) if extended else table.retention_days
        if at < world.now() - days * DAY_US:
            raise travelled(table.name[2])
        if upto is not None and not table.tracked:
            raise untracked(title(table))
        if at < table.since:
            raise travelled(table.name[2])


def changes(world: World, source: Table | View, after: int, upto: int, append_only: bool) -> str:
    """A SELECT of the net changes in `(after, upto]`, with the metadata columns of a stream."""
    names = columns(world, source)
    list_of = lambda prefix: ", ".join(prefix + quoted(name) for name in names)  # noqa: E731
    old, new = state(world, source, after), state(world, source, upto)
    if isinstance(source, Table):
        if append_only:
            # The rows as they were inserted, also those that are gone by now.
            first = f'SELECT "_rid", MIN("_from") AS f FROM {source.history} GROUP BY "_rid"'
            old = f'SELECT {list_of("")}, "_rid" FROM {source.history} WHERE FALSE'
            new = f"""SELECT {list_of("x.")}, x."_rid" FROM {source.history} AS x JOIN ({first}) AS y
                      ON x."_rid" = y."_rid" AND x."_from" = y.f WHERE y.f > {after} AND y.f <= {upto}"""
        else:
            # Only versions that began or ended within: the window's size counts, and not the table's.
            ended = f'"_upto" > {after} AND "_upto" <= {upto}'
            began = f'"_from" > {after} AND "_from" <= {upto}'
            old = f'{old} AND {ended}'
            new = f'{new} AND {began}'
    values = lambda side: f"HASH({list_of(side + '.')})"  # noqa: E731
    differs = f'(a."_rid" IS NULL OR b."_rid" IS NULL OR {values("a")} <> {values("b")})'
    deletes = "AND FALSE" if append_only else ""
    # An update whose values are those of before is none.
    return f"""
        SELECT {list_of("b.")}, 'INSERT' AS "METADATA$ACTION", a."_rid" IS NOT NULL AS "METADATA$ISUPDATE",
               MD5(CONCAT('{title(source).replace("'", "''")}', CAST(b."_rid" AS VARCHAR))) AS "METADATA$ROW_ID"
        FROM ({new}) AS b LEFT JOIN ({old}) AS a ON a."_rid" = b."_rid" WHERE {differs} {"AND a." + '"_rid" IS NULL' if append_only else ""}
        UNION ALL
        SELECT {list_of("a.")}, 'DELETE' AS "METADATA$ACTION", b."_rid" IS NOT NULL AS "METADATA$ISUPDATE",
               MD5(CONCAT('{title(source).replace("'", "''")}', CAST(a."_rid" AS VARCHAR))) AS "METADATA$ROW_ID"
        FROM ({old}) AS a LEFT JOIN ({new}) AS b ON a."_rid" = b."_rid" WHERE {differs} {deletes}"""


def initial(world: World, source: Table | View, at: int) -> str:
    """A SELECT of the rows as they stood when a stream was made, as the stream shows them first."""
    names = ", ".join("b." + quoted(name) for name in columns(world, source))
    mark = title(source).replace("'", "''")
    return f"""SELECT {names}, 'INSERT' AS "METADATA$ACTION", FALSE AS "METADATA$ISUPDATE",
               MD5(CONCAT('{mark}', CAST(b."_rid" AS VARCHAR))) AS "METADATA$ROW_ID" FROM ({state(world, source, at)}) AS b"""


def has_changes(world: World, source: Table | View, after: int) -> bool:
    """Like the service, by whether anything was committed: not by what is left of it."""
    return any(table.last_change > after for table in world.base_tables(source))


__all__ = ["changes", "check_time", "columns", "has_changes", "initial", "name_of", "parse", "state", "supported", "tables_of"]
