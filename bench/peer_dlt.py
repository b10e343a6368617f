"""dlt's side of the usage benchmark: one table from one Postgres to another, `append` or `merge`, by the fastest way
that its documentation shows without further drivers (Arrow pages from SQLAlchemy, CSV into COPY)."""

import os
import sys

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")

import dlt
from dlt.sources.sql_database import sql_table

source, target, how, folder = sys.argv[1:5]
table = sql_table(credentials=source.replace("postgres://", "postgresql+psycopg2://"), schema="public", table="usage_events",
                  backend="pyarrow", chunk_size=50_000, reflection_level="full_with_precision")
table.apply_hints(primary_key="event_id", write_disposition=how)
pipeline = dlt.pipeline("usage_" + how, pipelines_dir=folder, destination=dlt.destinations.postgres(target.replace("postgres://", "postgresql://")),
                        dataset_name="usage_" + how)
pipeline.run(table, loader_file_format="csv")
