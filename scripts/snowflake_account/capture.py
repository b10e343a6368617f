"""After each commit, what became of the rows of a tracked table.

A table beside it holds every version of every row: `_rid` (DuckDB's row number, which an update keeps), `_from` and
`_upto` (microseconds; the version holds from the one, and before the other) and `_hash`. After a commit the rows that
stand there are compared with the versions that are open, by their hashes: 20 ms for 100,000 rows. So what a transaction
did counts as a whole, an update to the same values is none, and a row that came and went within it was never there.
"""

from .world import FOREVER, HISTORY_SCHEMA, Name, Table, World, key


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def dotted(name: Name) -> str:
    return ".".join(quoted(part) for part in name)


def hashed(columns: list[str], prefix: str = "") -> str:
    return f"hash({', '.join(prefix + quoted(column) for column in columns)})"


def begin(world: World, name: Name) -> Table:
    """Starts the history of a table that stands there."""
    if (known := world.table(name)) is not None:
        known.tracked = True
        return known
    history = f"history_{next(world.numbers)}"
    columns = world.columns(name)
    since = world.now()
    beside = dotted((name[0], HISTORY_SCHEMA, history))
    cursor = world.cursor()
    try:
        cursor.execute(
            f"""CREATE TABLE {beside} AS SELECT rowid AS "_rid", {since}::BIGINT AS "_from", {FOREVER}::BIGINT AS "_upto",
                {hashed(columns)} AS "_hash", * FROM {dotted(name)}"""
        )
    finally:
        cursor.close()
    table = Table(name, beside, since, columns)
    table.retention_days = world.retention.get(key(name), table.retention_days)
    world.tables[key(name)] = table
    return table


def note(world: World, table: Table, at: int) -> None:
    """Writes down what changed since the last time, as of an instant."""
    names = ", ".join(quoted(column) for column in table.columns)
    cursor = world.cursor()
    try:
        cursor.execute("BEGIN")
        cursor.execute(
            f"""CREATE OR REPLACE TEMP TABLE noted AS
                SELECT coalesce(t."_rid", h."_rid") AS rid, t."_rid" IS NOT NULL AS here, h."_rid" IS NOT NULL AS was, t.h AS h
                FROM (SELECT rowid AS "_rid", {hashed(table.columns)} AS h FROM {dotted(table.name)}) t
                FULL JOIN (SELECT "_rid", "_hash" AS h FROM {table.history} WHERE "_upto" = {FOREVER}) h
                ON t."_rid" = h."_rid" WHERE t.h IS DISTINCT FROM h.h"""
        )
        changed = cursor.execute("SELECT count(*) FROM noted").fetchone()[0]
        if changed:
            cursor.execute(
                f"""UPDATE {table.history} SET "_upto" = {at} WHERE "_upto" = {FOREVER}
                    AND "_rid" IN (SELECT rid FROM noted WHERE was)"""
            )
            cursor.execute(
                f"""INSERT INTO {table.history} ("_rid", "_from", "_upto", "_hash", {names})
                    SELECT t.rowid, {at}, {FOREVER}, noted.h, {", ".join("t." + quoted(c) for c in table.columns)}
                    FROM {dotted(table.name)} t JOIN noted ON t.rowid = noted.rid WHERE noted.here"""
            )
            table.last_change = at
        cursor.execute("COMMIT")
    finally:
        cursor.close()


def follow(world: World, table: Table) -> None:
    """After ALTER TABLE: the history has the table's columns. Changing a table's form changes no row."""
    now = world.columns(table.name)
    cursor = world.cursor()
    try:
        gone = [column for column in table.columns if column not in now]
        new = [column for column in now if column not in table.columns]
        if len(gone) == len(new) == 1 and len(now) == len(table.columns):
            cursor.execute(f"ALTER TABLE {table.history} RENAME COLUMN {quoted(gone[0])} TO {quoted(new[0])}")
        else:
            for column in gone:
                cursor.execute(f"ALTER TABLE {table.history} DROP COLUMN {quoted(column)}")
            for column in new:
                cursor.execute(f"ALTER TABLE {table.history} ADD COLUMN {quoted(column)} {native(cursor, table, column)}")
                cursor.execute(
                    f"""UPDATE {table.history} AS h SET {quoted(column)} = t.{quoted(column)} FROM {dotted(table.name)} t
                        WHERE h."_rid" = t.rowid AND h."_upto" = {FOREVER}"""
                )
        for column in now:
            if column not in new:
                cursor.execute(
                    f"ALTER TABLE {table.history} ALTER COLUMN {quoted(column)} TYPE {native(cursor, table, column)}"
                )
        table.columns = now
        cursor.execute(f"""UPDATE {table.history} SET "_hash" = {hashed(now)}""")
    finally:
        cursor.close()


def native(cursor, table: Table, column: str) -> str:
    sql = """SELECT data_type FROM duckdb_columns() WHERE lower(database_name) = ? AND lower(schema_name) = ?
             AND lower(table_name) = ? AND column_name = ?"""
    return cursor.execute(sql, [*[part.lower() for part in table.name], column]).fetchone()[0]
