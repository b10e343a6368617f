"""SHOW TABLES and SHOW VIEWS tell which of them are tracked, and how long their history is kept."""

from contextvars import ContextVar

import fakesnow.transforms
import sqlglot
from sqlglot import exp

from .world import RETENTION_DAYS, World

current: ContextVar[World | None] = ContextVar("world", default=None)
show_tables_etc = fakesnow.transforms.show_tables_etc


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def case(known: dict, otherwise: str) -> str:
    """A value by a relation's name."""
    whens = [
        f"WHEN lower(database_name) = {literal(name[0].lower())} AND lower(schema_name) = {literal(name[1].lower())} "
        f"AND lower(name) = {literal(name[2].lower())} THEN {value}"
        for name, value in known.items()
    ]
    return f"CASE {' '.join(whens)} ELSE {otherwise} END" if whens else otherwise


def listed(expression, database, schema):
    """fakesnow's own list, with these columns from the account's history."""
    shown = show_tables_etc(expression, database, schema)
    world = current.get()
    full = isinstance(expression, exp.Show) and not expression.args.get("terse")
    if shown is expression or world is None or not full or expression.name.upper() not in ("TABLES", "VIEWS"):
        return shown
    of = world.tables if expression.name.upper() == "TABLES" else world.views
    replaced = [f"""{case({name: "'ON'" for name, one in of.items() if one.tracked}, "'OFF'")} AS change_tracking"""]
    if expression.name.upper() == "TABLES":
        replaced.append(f"{case(dict(world.retention), str(RETENTION_DAYS))} AS retention_time")
    sql = f"SELECT * REPLACE ({', '.join(replaced)}) FROM ({shown.sql(dialect='duckdb')}) AS shown"
    return sqlglot.parse_one(sql, read="duckdb")


fakesnow.transforms.show_tables_etc = listed
