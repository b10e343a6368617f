"""Benchmarks of tidegate: each prints a ratio against a limit or a peer measured in the same run.

Nothing here is a unit test. A ratio over its budget is shown as OVER and makes the exit code 1.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

import bigquery
import peers
import snowflake

COMPANY_FIELDS = [
    ("name", "TEXT"), ("phase", "TEXT"), ("country", "TEXT"), ("website", "TEXT"), ("arr", "DECIMAL(12,2)"),
    ("seats", "BIGINT"), ("health", "INTEGER"), ("since", "DATE"), ("updated", "TIMESTAMP"), ("active", "BOOLEAN"),
]


def run(command, **options):
    """Runs a command; returns seconds, peak resident megabytes and what it printed."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    out, err = process.communicate()
    seconds = time.monotonic() - start
    return seconds, process.returncode, out, err


def measured(command, **options):
    """As `run`, under a small Python parent that reads the peak memory of just this child."""
    script = (
        "import resource,subprocess,sys,time,json\n"
        "s=time.monotonic(); p=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,stderr=subprocess.PIPE)\n"
        "e=time.monotonic()-s; r=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024\n"
        "sys.stdout.write(json.dumps([e,r,p.returncode,p.stdout.decode(),p.stderr.decode()]))"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], stdout=subprocess.PIPE, check=True, **options)
    return json.loads(done.stdout)


class Bench:
    def __init__(self, binary, rows, folder, peers):
        self.binary, self.rows, self.folder, self.peers, self.over = binary, rows, folder, peers, 0
        self.examples = os.path.join(os.path.dirname(binary), "examples")

    def tidegate(self, project, *arguments, ok=(0,)):
        seconds, peak, code, out, err = measured([self.binary, "--project", project, *arguments])
        if code not in ok:
            sys.exit(f"tidegate {' '.join(arguments)} ended with {code}:\n{out}\n{err}")
        return seconds, peak, out

    def project(self, name, connections, syncs):
        folder = os.path.join(self.folder, name)
        for part in ("connections", "syncs"):
            os.makedirs(os.path.join(folder, part), exist_ok=True)
        with open(os.path.join(folder, "tidegate.yaml"), "w") as file:
            file.write(f"version: 1\nname: {name}\nstate: sqlite:.tidegate/state.db\n")
        for part, files in (("connections", connections), ("syncs", syncs)):
            for key, text in files.items():
                with open(os.path.join(folder, part, key + ".yaml"), "w") as file:
                    file.write("version: 1\n" + text)
        return folder

    def report(self, what, ours, theirs, budget, peak=None, peak_budget=None):
        ratio = ours / theirs if theirs else float("inf")
        bad = ratio > budget or (peak is not None and peak_budget is not None and peak > peak_budget)
        self.over += bad
        memory = "" if peak is None else f"  peak {peak:.0f} MB (budget {peak_budget} MB)"
        print(f"{'OVER' if bad else 'ok  '}  {what}: {ours:.2f} s against {theirs:.2f} s = {ratio:.2f}x (budget {budget}x){memory}", flush=True)


def company_lake(path, rows):
    lake = sqlite3.connect(path)
    columns = ", ".join(f"{name} {kind}" for name, kind in COMPANY_FIELDS)
    lake.execute(f"CREATE TABLE companies (company_id TEXT PRIMARY KEY, {columns})")
    lake.execute("PRAGMA journal_mode=WAL")
    make = ((f"c{i:08d}", f"Company {i}", "Live" if i % 3 else "Trial", "SE", f"https://c{i}.example", i % 99991 + 0.25,
             i % 500, i % 100, f"20{i % 24 + 1:02d}-0{i % 9 + 1}-1{i % 9}", f"2024-01-0{i % 9 + 1}T10:00:0{i % 10}", i % 2)
            for i in range(rows))
    lake.executemany("INSERT INTO companies VALUES (?,?,?,?,?,?,?,?,?,?,?)", make)
    lake.commit()
    lake.close()


def company_project(bench, name, rows):
    """A project with so many companies in a SQLite lake, and a sync of them into a SQLite hub."""
    fields = "".join(f"  - {{ warehouse: {name}, platform: {'name' if name == 'name' else 'custom.' + name} }}\n" for name, _ in COMPANY_FIELDS)
    folder = bench.project(name, {"lake": "type: sqlite\npath: lake.db\n", "crm": "type: hub\nurl: sqlite:hub.db\n"},
                           {"companies": "warehouse: { connection: lake, relation: companies }\nplatform: { connection: crm, model: company }\n"
                                         "direction: to_platform\nkey: { warehouse: company_id, platform: externalId }\nfields:\n" + fields})
    company_lake(os.path.join(folder, "lake.db"), rows)
    return folder


def size_gb(folder):
    """What a folder holds, in GB."""
    return sum(os.path.getsize(os.path.join(place, file)) for place, _, files in os.walk(folder) for file in files) / 1e9


def growth(bench):
    """A full sync where nothing changed, of so many companies and of ten times as many: time grows no faster than the rows."""
    took = {}
    for rows in (bench.rows, bench.rows * 10):
        folder = company_project(bench, f"growth{rows}", rows)
        loaded, peak, _ = bench.tidegate(folder, "run", "companies", "--quiet")
        print(f"      first load of {rows} companies: {loaded:.1f} s = {rows / loaded:.0f} records/s, peak {peak:.0f} MB, {size_gb(folder):.2f} GB on disk", flush=True)
        seconds, peak, out = bench.tidegate(folder, "run", "companies", "--json")
        told = json.loads(out.strip().splitlines()[-1])
        assert told["unchanged"] == rows and told["sent"] == 0, told
        print(f"      full sync of {rows} companies, nothing changed: {seconds:.1f} s = {rows / seconds:.0f} records/s, peak {peak:.0f} MB", flush=True)
        took[rows] = (seconds, peak)
        shutil.rmtree(folder)
    (few, _), (many, peak) = took[bench.rows], took[bench.rows * 10]
    # 5% for what a shared machine does to two measurements minutes apart.
    bench.report(f"full sync of {bench.rows * 10} companies against 10 x that of {bench.rows}", many, few * 10, 1.05, peak, 256)


def companies(bench):
    """A full sync where nothing changed, against reading the same rows in key order with the sqlite3 shell."""
    folder = company_project(bench, "companies", bench.rows)
    lake = os.path.join(folder, "lake.db")
    seconds, peak, _ = bench.tidegate(folder, "run", "companies", "--quiet")
    print(f"      first load of {bench.rows} companies x 10 fields: {seconds:.2f} s, peak {peak:.0f} MB", flush=True)
    query = "SELECT * FROM companies ORDER BY company_id"
    with open(os.devnull, "w") as null:
        start = time.monotonic()
        subprocess.run(["sqlite3", lake, query], stdout=null, check=True)
        shell = time.monotonic() - start
    seconds, peak, out = bench.tidegate(folder, "run", "companies", "--json")
    told = json.loads(out.strip().splitlines()[-1])
    assert told["unchanged"] == bench.rows and told["sent"] == 0, told
    bench.report(f"full sync of {bench.rows} companies, nothing changed", seconds, shell, 2.5, peak, 150 if bench.rows <= 2_000_000 else 256)
    db = sqlite3.connect(lake)
    db.execute("UPDATE companies SET seats = seats + 1 WHERE rowid % 100 = 0")
    db.commit()
    changed, peak, out = bench.tidegate(folder, "run", "companies", "--json")
    told = json.loads(out.strip().splitlines()[-1])
    assert told["updated"] == bench.rows // 100, told
    print(f"      1% changed: {changed:.2f} s, {changed - seconds:.2f} s more for {told['updated']} records, peak {peak:.0f} MB", flush=True)


def usage_sync(key="event_id"):
    return ("warehouse: { connection: lake, relation: usage_events }\nplatform: { connection: crm, model: user_activity }\n"
            "direction: to_platform\nkey: { warehouse: event_id }\nchanges: cursor\ncursor: { column: event_id }\nwrite: append\n"
            "fields:\n  - { warehouse: company_id, platform: companyExternalId }\n  - { warehouse: email, platform: email }\n"
            "  - { warehouse: action, platform: action }\n  - { warehouse: weight, platform: weight }\n"
            "  - { warehouse: happened_at, platform: date }\n  - { warehouse: info, platform: info }\n")


USAGE_COLUMNS = "event_id BIGINT PRIMARY KEY, company_id TEXT, email TEXT, action TEXT, weight BIGINT, happened_at TIMESTAMP, info JSON, note TEXT"


def usage_rows(rows):
    for i in range(rows):
        yield (i + 1, f"c{i % 1000}", f"u{i % 5000}@c{i % 1000}.example", ("login", "export", "invite", "report")[i % 4], i % 5 + 1,
               f"2024-03-{i // 40000 % 28 + 1:02d}T{i % 24:02d}:{i % 60:02d}:00", '{"a":1}', "n")


def parents(bench, folder):
    """A thousand companies and five thousand end users, so that events find their records."""
    lake = sqlite3.connect(os.path.join(folder, "parents.db"))
    lake.execute("CREATE TABLE companies (company_id TEXT PRIMARY KEY, name TEXT)")
    lake.execute("CREATE TABLE users (user_id TEXT PRIMARY KEY, company_id TEXT, email TEXT)")
    lake.executemany("INSERT INTO companies VALUES (?,?)", ((f"c{i}", f"Company {i}") for i in range(1000)))
    lake.executemany("INSERT INTO users VALUES (?,?,?)", ((f"u{i}", f"c{i % 1000}", f"u{i}@c{i % 1000}.example") for i in range(5000)))
    lake.commit()


PARENT_SYNCS = {
    "companies": "warehouse: { connection: parents, relation: companies }\nplatform: { connection: crm, model: company }\ndirection: to_platform\n"
                 "key: { warehouse: company_id, platform: externalId }\nfields:\n  - { warehouse: name, platform: name }\n",
    "users": "warehouse: { connection: parents, relation: users }\nplatform: { connection: crm, model: enduser }\ndirection: to_platform\n"
             "key: { warehouse: user_id, platform: externalId }\nfields:\n  - { warehouse: email, platform: email }\n  - { warehouse: company_id, platform: companyId }\n",
}


def usage_sqlite(bench):
    """Usage events, SQLite to SQLite hub, against ATTACH and SQL into the same table with index and roll-up."""
    folder = bench.project("usage-sqlite", {"lake": "type: sqlite\npath: lake.db\n", "parents": "type: sqlite\npath: parents.db\n", "crm": "type: hub\nurl: sqlite:hub.db\n"},
                           {**PARENT_SYNCS, "usage": usage_sync()})
    lake = sqlite3.connect(os.path.join(folder, "lake.db"))
    lake.execute(f"CREATE TABLE usage_events ({USAGE_COLUMNS})")
    lake.executemany("INSERT INTO usage_events VALUES (?,?,?,?,?,?,?,?)", usage_rows(bench.rows))
    lake.commit()
    lake.close()
    parents(bench, folder)
    bench.tidegate(folder, "run", "companies", "users", "--quiet")
    base = sqlite3.connect(os.path.join(folder, "base.db"))
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("CREATE TABLE events (source_key TEXT PRIMARY KEY, company TEXT, email TEXT, action TEXT, weight INTEGER, at TEXT, info TEXT)")
    base.execute("CREATE INDEX events_at ON events (company, at)")
    base.execute("CREATE TABLE rollup (company TEXT, action TEXT, day TEXT, n INTEGER, PRIMARY KEY (company, action, day))")
    base.execute("ATTACH ? AS lake", (os.path.join(folder, "lake.db"),))
    start = time.monotonic()
    base.execute("INSERT OR IGNORE INTO events SELECT event_id, company_id, email, action, weight, happened_at, info FROM lake.usage_events")
    base.execute("INSERT INTO rollup SELECT company, action, substr(at, 1, 10), sum(weight) FROM events GROUP BY 1, 2, 3")
    base.commit()
    sql = time.monotonic() - start
    seconds, peak, out = bench.tidegate(folder, "run", "usage", "--json")
    told = json.loads(out.strip().splitlines()[-1])
    assert told["created"] == bench.rows, told
    bench.report(f"usage, SQLite to SQLite hub, {bench.rows} events", seconds, sql, 3.0, peak, 150)


def psql(url, *statements):
    for statement in statements:
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url, "-c", statement], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"psql: {done.stderr.decode()}")


# The hub's table of activities as SQL would fill it: the same key with the same collation, the same columns, no other
# index; and the two series of daily sums that the hub keeps, by company and by end user.
PLAIN_TABLES = (
    'CREATE TABLE events (sync bigint, key text COLLATE "C", company text, email text, action text, weight numeric, '
    "at timestamp, info text, PRIMARY KEY (sync, key))",
    "CREATE TABLE rollup (model int, day date, entity text, action text, events bigint, total numeric, last_at timestamp, "
    "PRIMARY KEY (model, day, entity, action))",
    "CREATE TABLE staging (LIKE events)",
)
COPY_OUT = "COPY (SELECT 1::bigint, event_id::text, company_id, email, action, weight::numeric, happened_at, info::text FROM usage_events) TO STDOUT (FORMAT binary)"
ROLL_UP = ("INSERT INTO rollup SELECT 1, at::date, company, action, count(*), sum(weight), max(at) FROM events GROUP BY 2, 3, 4 "
           "UNION ALL SELECT 2, at::date, email, action, count(*), sum(weight), max(at) FROM events GROUP BY 2, 3, 4")


def sql_alone(lake, plain):
    """Binary COPY out and into a staging table, INSERT ON CONFLICT DO NOTHING, one roll-up statement; seconds."""
    psql(plain, *PLAIN_TABLES)
    start = time.monotonic()
    source = subprocess.Popen(["psql", "-X", "-q", lake, "-c", COPY_OUT], stdout=subprocess.PIPE)
    subprocess.run(["psql", "-X", "-q", plain, "-c", "COPY staging FROM STDIN (FORMAT binary)"], stdin=source.stdout, check=True)
    psql(plain, "INSERT INTO events SELECT * FROM staging ON CONFLICT DO NOTHING", ROLL_UP)
    return time.monotonic() - start


def usage_postgres(bench):
    """Usage events, Postgres to Postgres hub, against SQL alone, sling and dlt."""
    server = os.environ.get("TIDEGATE_TEST_PG")
    if not server:
        print("skip  usage, Postgres to Postgres hub: TIDEGATE_TEST_PG is not set (./test bench sets it)")
        return
    base = server.rsplit("/", 1)[0]
    names = [f"tg_bench_{os.getpid()}_{part}" for part in ("lake", "hub", "base", "peers")]
    for name in names:
        psql(server, f"CREATE DATABASE {name}")
    lake, hub, plain, other = (f"{base}/{name}" for name in names)
    try:
        folder = bench.project("usage-postgres", {"lake": f"type: postgres\nurl: {lake}\n", "parents": "type: sqlite\npath: parents.db\n", "crm": f"type: hub\nurl: {hub}\n"},
                               {**PARENT_SYNCS, "usage": usage_sync()})
        psql(lake, "CREATE TABLE usage_events (event_id bigint PRIMARY KEY, company_id text, email text, action text, weight bigint, happened_at timestamp, info jsonb, note text)")
        csv = os.path.join(folder, "usage.tsv")
        with open(csv, "w") as file:
            for row in usage_rows(bench.rows):
                file.write("\t".join(str(cell) for cell in row) + "\n")
        subprocess.run(["psql", "-X", "-q", lake, "-c", f"\\copy usage_events from '{csv}'"], check=True)
        os.remove(csv)
        psql(lake, "VACUUM ANALYZE usage_events")
        parents(bench, folder)
        bench.tidegate(folder, "run", "companies", "users", "--quiet")
        sql = sql_alone(lake, plain)
        seconds, peak, out = bench.tidegate(folder, "run", "usage", "--json")
        told = json.loads(out.strip().splitlines()[-1])
        assert told["created"] == bench.rows, told
        bench.report(f"usage, Postgres to Postgres hub, {bench.rows} events", seconds, sql, 2.0, peak, 150)
        side_by_side(bench, "SQL alone: by key, roll-ups", sql, None)
        side_by_side(bench, "tidegate: by key, references looked up, roll-ups", seconds, peak)
        if bench.peers:
            against_peers(bench, lake, other)
    finally:
        for name in names:
            psql(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def side_by_side(bench, what, seconds, peak):
    memory = "" if peak is None else f"{peak:5.0f} MB"
    print(f"      {bench.rows / seconds:>9,.0f} rows/s {seconds:7.2f} s {memory:>9}  {what}", flush=True)


def against_peers(bench, lake, target):
    commands, missing = peers.runs(bench.folder, lake, target)
    for what, table, command in commands:
        seconds, peak, code, out, err = measured(command)
        count = subprocess.run(["psql", "-XAtq", target, "-c", f"SELECT count(*) FROM {table}"], stdout=subprocess.PIPE)
        if code or count.stdout.strip() != str(bench.rows).encode():
            print(f"      failed: {what}: exit code {code}, {err.strip().splitlines()[-1:] or out.strip().splitlines()[-1:]}", flush=True)
        else:
            side_by_side(bench, what, seconds, peak)
    for why in missing:
        print(f"skip  {why}", flush=True)
    peers.clean(bench.folder)


def cold_start(bench):
    """Help and schema of the CLI, against a process that does nothing."""
    times = []
    for _ in range(20):
        start = time.monotonic()
        subprocess.run([bench.binary, "--version"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.monotonic() - start)
    bench.report("CLI cold start (median of 20) against 50 ms", sorted(times)[10], 0.05, 1.0)


def bigquery_read(bench):
    bigquery.read(bench, measured)


def bigquery_slow(bench):
    bigquery.slow(bench, measured)


def snowflake_read(bench):
    snowflake.read(bench, measured)


def snowflake_slow(bench):
    snowflake.slow(bench, measured)


ALL = {"cold_start": cold_start, "companies": companies, "growth": growth, "usage_sqlite": usage_sqlite, "usage_postgres": usage_postgres,
       "snowflake_read": snowflake_read, "snowflake_slow": snowflake_slow, "bigquery_read": bigquery_read, "bigquery_slow": bigquery_slow}
# Only by name: at the default size it needs 8 GB of disk and a quarter of an hour.
LARGE = {"growth"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ALL)}")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--no-peers", action="store_true", help="leave sling and dlt out, which need PyPI")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="tidegate-bench-")
    bench = Bench(os.path.abspath(options.binary), options.rows, folder, not options.no_peers)
    try:
        for name in options.names or (name for name in ALL if name not in LARGE):
            if name not in ALL:
                sys.exit(f"no benchmark {name}; there are {', '.join(ALL)}")
            ALL[name](bench)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if bench.over else 0)


if __name__ == "__main__":
    main()
