#!/usr/bin/env python3
"""A first load through a platform's connector without limits or latency, against serialising the same records and posting
them to the same null sink: `bench/null_sink.py TIDEGATE POST_SPEED [planhat|batch|http …]`. POST_SPEED is the example
`post_speed` of crates/platforms; TIDEGATE is built with `--features tidegate/failpoints`, since any other keeps to what a
platform permits, whatever it is told (TIDEGATE_UNLIMITED). Prints, as the median of five rounds, the ratio of throughputs by
the clock and by processor time, and the peak memory; exit code 1 if the clock's is below 0.5 or the memory above 100 MB."""

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import urllib.request

# A company as `bench/run.py companies` has it; with 4 fields, the first four.
FIELDS = [("name", "TEXT"), ("phase", "TEXT"), ("country", "TEXT"), ("web", "TEXT"), ("arr", "DECIMAL(12,2)"),
          ("seats", "BIGINT"), ("health", "INTEGER"), ("since", "DATE"), ("seen", "TIMESTAMP"), ("active", "BOOLEAN")]
# Model, key, the name of a field there, and the connection.
MODELS = {
    "planhat": ("company", "externalId", lambda at, name: name if at < 4 else "custom." + name,
                "type: planhat\ntoken: token\nurl: {url}\n"),
    "batch": ("profile", "custom_id", lambda at, name: "custom." + name,
              "type: batch\nproject_key: project_x\nrest_api_key: token\nurl: {url}\n"),
    "http": ("record", "key", lambda at, name: name,
             "type: http\nurl: {url}/contacts/{{{{key}}}}\nmethod: PUT\nauth: {{ method: bearer, token: token }}\n"
             "body: {{ {body} }}\n"),
}
ROWS = {"planhat": 500_000, "batch": 500_000, "http": 50_000}
ROUNDS = 5
MEASURED = ("import resource,subprocess,sys,time,json\n"
            "s=time.monotonic(); p=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,stderr=subprocess.PIPE)\n"
            "e=time.monotonic()-s; r=resource.getrusage(resource.RUSAGE_CHILDREN)\n"
            "sys.stdout.write(json.dumps([e,r.ru_utime+r.ru_stime,r.ru_maxrss/1024,p.returncode,p.stdout.decode(),p.stderr.decode()]))")


def measured(*command):
    """Seconds by the clock, of the processor, peak MB, and what it printed."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *command], stdout=subprocess.PIPE, check=True)
    seconds, processor, peak, code, out, err = json.loads(done.stdout)
    if code:
        sys.exit(f"{' '.join(command)}: {out}\n{err}")
    return seconds, processor, peak, out


def project(folder, kind, url, rows, fields):
    """A lake with so many companies, and a sync of their first so many fields."""
    model, key, named, connection = MODELS[kind]
    columns = FIELDS[:fields]
    body = ", ".join(f'{name}: "{{{{record.{name}}}}}"' for name, _ in columns)
    files = {
        "tidegate.yaml": "version: 1\nname: sink\nserve: { private_targets: [127.0.0.1] }\n",
        "connections/lake.yaml": "version: 1\ntype: sqlite\npath: lake.db\n",
        "connections/crm.yaml": "version: 1\n" + connection.format(url=url, body=body),
        "syncs/companies.yaml": (
            "version: 1\nwarehouse: { connection: lake, relation: companies }\n"
            f"platform: {{ connection: crm, model: {model} }}\ndirection: to_platform\n"
            f"key: {{ warehouse: id, platform: {key} }}\nfields:\n"
            + "".join(f"  - {{ warehouse: {name}, platform: {named(at, name)} }}\n" for at, (name, _) in enumerate(columns))),
    }
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    lake = sqlite3.connect(os.path.join(folder, "lake.db"))
    lake.execute("CREATE TABLE companies (id TEXT PRIMARY KEY, " + ", ".join(f"{name} {kind}" for name, kind in FIELDS) + ")")
    lake.executemany("INSERT INTO companies VALUES (?,?,?,?,?,?,?,?,?,?,?)", (
        (f"c{n:08}", f"Company number {n}", "Live" if n % 3 else "Trial", "SE", f"https://www.company-{n}.example",
         n % 99991 + 0.25, n % 500, n % 100, f"20{n % 24 + 1:02d}-0{n % 9 + 1}-1{n % 9}",
         f"2024-01-0{n % 9 + 1}T10:00:0{n % 10}", n % 2)
        for n in range(rows)))
    lake.commit()


def received(url):
    """Bytes of bodies that the sink has had since it was last asked."""
    with urllib.request.urlopen(url + "/bytes") as answer:
        return int(answer.read())


def first_load(tidegate, folder, rows):
    """One run from nothing."""
    shutil.rmtree(os.path.join(folder, ".tidegate"), ignore_errors=True)
    seconds, processor, peak, out = measured("env", "TIDEGATE_UNLIMITED=1", tidegate, "--project", folder, "run", "--json")
    created = sum(json.loads(line)["created"] for line in out.strip().splitlines())
    assert created == rows, out
    return seconds, processor, peak


def compare(kind, fields, tidegate, poster, url, folder):
    """Prints what the rounds came to; whether it is over the budget."""
    records = ROWS[kind]
    project(folder, kind, url, records, fields)
    received(url)
    measured(poster, "post", kind, str(records), str(fields), url)
    alone = received(url)
    first_load(tidegate, folder, records)
    ours = received(url)
    # Numbers may be written with a digit more or less.
    assert abs(ours - alone) < alone / 50, f"bodies are not the same: {ours} bytes and {alone} alone"
    # In turn, so that what else the machine does meets both.
    rounds = [(measured(poster, "post", kind, str(records), str(fields), url)[:2], first_load(tidegate, folder, records))
              for _ in range(ROUNDS)]
    middle = statistics.median
    clock = middle(alone[0] / ours[0] for alone, ours in rounds)
    processor = middle(alone[1] / ours[1] for alone, ours in rounds)
    peak = max(ours[2] for _, ours in rounds)
    over = clock < 0.5 or peak > 100
    print(f"{'OVER' if over else 'ok  '}  {kind}, {fields} fields: {records / middle(o[0] for _, o in rounds):,.0f} records/s of "
          f"{records / middle(a[0] for a, _ in rounds):,.0f} posted alone: {clock:.2f}x by the clock (budget 0.5x); "
          f"{1e6 * middle(o[1] for _, o in rounds) / records:.1f} us of processor a record, alone "
          f"{1e6 * middle(a[1] for a, _ in rounds) / records:.1f}: {processor:.2f}x; peak {peak:.0f} MB (budget 100); "
          f"load {os.getloadavg()[0]:.1f}", flush=True)
    return over


def before_all():
    """What begins the sink: it stands for another machine, so where the bench goes before everything else (`chrt -r`), the
    sink goes before the bench."""
    if os.sched_getscheduler(0) != os.SCHED_RR:
        return []
    return ["chrt", "-r", str(os.sched_getparam(0).sched_priority + 10)]


def main():
    tidegate, poster = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    with subprocess.Popen([*before_all(), poster, "sink"], stdout=subprocess.PIPE, text=True) as sink:
        try:
            url, over = sink.stdout.readline().strip(), False
            for kind in sys.argv[3:] or MODELS:
                for fields in (10, 4):
                    with tempfile.TemporaryDirectory() as folder:
                        over |= compare(kind, fields, tidegate, poster, url, folder)
        finally:
            sink.terminate()
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
