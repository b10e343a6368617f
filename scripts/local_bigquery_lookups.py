"""What local-bigquery looks up of tables, asked of the table instead of DuckDB's list of all tables.

DuckDB's `duckdb_tables()` and `duckdb_columns()` go through every catalog that is attached, and DuckLake's are read from
its own tables each time. The emulator asks them several times for each statement, so that a statement took a tenth of a
second where there were some dozen tables, and a quarter where there were two hundred. The answers here are the same.

Written against local-bigquery 0.4.0, DuckDB 1.5.5.
"""

import duckdb
from local_bigquery.catalog import tables
from local_bigquery.engine import database
from local_bigquery.engine.database import quote

# What a query asks before anything else: names of temporary tables, which only a session can have made before.
TEMPORARY = "SELECT table_name FROM duckdb_tables() WHERE temporary"
# Columns that are not nullable, and whether there is a certain one.
REQUIRED = (
    "SELECT column_name FROM duckdb_columns() WHERE database_name = ? "
    "AND schema_name = ? AND table_name = ? AND NOT is_nullable"
)
HAS_COLUMN = (
    "SELECT 1 FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? "
    "AND table_name = ? AND column_name = ?"
)

fetch_of = database.fetch


def in_lake(project, dataset, name):
    """Tables and views of a dataset, with their rows, as DuckLake keeps them."""
    lake = quote(f"__ducklake_metadata_{project}")
    return fetch_of(
        f"SELECT t.table_name, 'TABLE', coalesce(s.record_count, 0) FROM {lake}.ducklake_table t "
        f"JOIN {lake}.ducklake_schema d USING (schema_id) LEFT JOIN {lake}.ducklake_table_stats s USING (table_id) "
        "WHERE t.end_snapshot IS NULL AND d.end_snapshot IS NULL AND d.schema_name = $1 "
        "AND t.table_name = coalesce($2, t.table_name) "
        f"UNION ALL SELECT v.view_name, 'VIEW', 0 FROM {lake}.ducklake_view v "
        f"JOIN {lake}.ducklake_schema d USING (schema_id) "
        "WHERE v.end_snapshot IS NULL AND d.end_snapshot IS NULL AND d.schema_name = $1 "
        "AND v.view_name = coalesce($2, v.view_name) ORDER BY 1",
        [dataset, name],
    )


def result(name):
    """A table of results, which stand in the emulator's own file."""
    try:
        ((rows,),) = fetch_of(f"SELECT count(*) FROM {quote('emulator', tables.RESULTS, name)}")
    except duckdb.CatalogException:
        return []
    return [(name, "TABLE", rows)]


def objects(project_id, dataset_id, table_id=None):
    if project_id in database._attached:
        return in_lake(project_id, dataset_id, table_id)
    if (project_id, dataset_id) == ("emulator", tables.RESULTS) and table_id is not None:
        return result(table_id)
    return objects_of(project_id, dataset_id, table_id)


def columns(project, dataset, name):
    """Names of a table's columns, and whether they may be null; none if there is no table."""
    try:
        return fetch_of(f"SELECT column_name, \"null\" FROM (DESCRIBE {quote(project, dataset, name)})")
    except duckdb.CatalogException:
        return []


def fetch(sql, params=None):
    if sql == REQUIRED:
        return [(name,) for name, null in columns(*params) if null == "NO"]
    if sql == HAS_COLUMN:
        return [(1,) for name, _ in columns(*params[:3]) if name == params[3]]
    return fetch_of(sql, params)


objects_of, database.objects = database.objects, objects
database.fetch = fetch
