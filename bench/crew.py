#!/usr/bin/env python3
"""What more processes bring: `bench/crew.py [TIDEGATE] [CALLS]`. Needs TIDEGATE_TEST_PG (`scripts/services` sets it).

Eight syncs of usage events, each of so many calls to a twin that answers in 50 ms; state and warehouse in Postgres. One
`tidegate work --parallel 1`, then four. Prints how many times as long one takes; below 3 the exit code is 1."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

SYNCS, BATCH, LATENCY_MS, WANTED = 8, 10, 50, 3.0
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

tidegate = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "target/release/tidegate")
calls = int(sys.argv[2]) if len(sys.argv) > 2 else 200
server = os.environ["TIDEGATE_TEST_PG"]


def psql(url, sql):
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, "-c", sql], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def project(folder, url, twin):
    write(folder, "tidegate.yaml", "version: 1\nname: crew\nstate: \"${PG_URL}\"\n")
    write(folder, "connections/lake.yaml", "version: 1\ntype: postgres\nurl: \"${PG_URL}\"\n")
    write(folder, "connections/crm.yaml", f"version: 1\ntype: planhat\ntoken: sandbox-token\ntenant: {twin['tenant']}\nurl: {twin['listen']}\nanalytics_url: {twin['listen']}\n")
    for number in range(SYNCS):
        psql(url, f"CREATE TABLE u{number} (event_id BIGINT PRIMARY KEY, email TEXT, action TEXT, at TIMESTAMPTZ); INSERT INTO u{number} "
                  f"SELECT i, 'a' || i || '@x.com', 'login', '2026-01-01T00:00:00Z' FROM generate_series(1, {calls * BATCH}) i")
        write(folder, f"syncs/u{number}.yaml",
              f"version: 1\nwarehouse: {{ connection: lake, relation: public.u{number} }}\nplatform: {{ connection: crm, model: user_activity }}\n"
              "shared: true\ndirection: to_platform\nkey: { warehouse: event_id }\nchanges: cursor\ncursor: { column: event_id, lookback: 10 }\n"
              f"write: append\nbatch_size: {BATCH}\nfields:\n  - {{ warehouse: email, platform: email }}\n  - {{ warehouse: action, platform: action }}\n"
              "  - { warehouse: at, platform: date }\n")


def took(processes, twin):
    """Seconds from the first beginning to the last end of all syncs."""
    database = f"tidegate_crew_{os.getpid()}_{processes}"
    url = server.rsplit("/", 1)[0] + "/" + database
    psql(server, f"CREATE DATABASE {database}")
    crew = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            project(folder, url, twin)
            environment = {**os.environ, "PG_URL": url, "TIDEGATE_KEY": KEY}
            subprocess.run([tidegate, "--project", folder, "--quiet", "check"], check=True, env=environment, stdout=subprocess.DEVNULL)
            command = [tidegate, "--project", folder, "--json", "work", "--parallel", "1"]
            crew = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(processes)]
            for worker in crew:
                json.loads(worker.stdout.readline())
            time.sleep(3)  # each has looked once: the first look reads the project and opens the connections
            jobs = ", ".join(f"('u{number}', 'manual', 'changes', 0)" for number in range(SYNCS))
            psql(url, f"INSERT INTO tidegate.jobs (sync, started_by, mode, due_at) VALUES {jobs}")
            while psql(url, "SELECT count(*) FROM tidegate.jobs") != "0":
                time.sleep(0.2)
            good = psql(url, "SELECT count(*) FROM tidegate.runs WHERE status = 'succeeded'")
            assert good == str(SYNCS), f"{good} of {SYNCS} runs succeeded"
            return int(psql(url, "SELECT max(finished_at) - min(started_at) FROM tidegate.runs")) / 1e6
    finally:
        for worker in crew:
            worker.terminate()
            worker.wait()
        psql(server, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


with tempfile.TemporaryDirectory() as folder:
    knobs = write(folder, "knobs.json", json.dumps({"latency_ms": LATENCY_MS, "limits": "off"}))
    command = [tidegate, "sandbox", "planhat", "--listen", "127.0.0.1:0", "--knobs", knobs, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as twin:
        try:
            told = json.loads(twin.stdout.readline())
            one, four = took(1, told), took(4, told)
            sent = sum(line["method"] == "POST" for line in json.load(urllib.request.urlopen(told["listen"] + "/_twin/requests")))
        finally:
            twin.terminate()
print(f"{SYNCS} syncs of {calls} calls at {LATENCY_MS} ms: one process {one:.1f} s, four {four:.1f} s = {one / four:.2f}x (wanted {WANTED}x); the twin's log holds {sent} calls")
sys.exit(0 if one / four >= WANTED else 1)
