#!/usr/bin/env python3
"""A first load through a platform's connector without limits or latency, against serialising the same records and posting
them to the same null sink: `bench/null_sink.py TIDEGATE POST_SPEED [planhat|batch|http …]`. POST_SPEED is the example
`post_speed` of crates/platforms. What a platform permits cannot be switched off, so a run loads the same records into several
accounts, each with as many as it takes at once after a pause. Prints, as the median of five rounds, the ratio of throughputs by
the clock and by processor time, and the peak memory; exit code 1 if the clock's is below 0.5 or the memory above 100 MB."""

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile

MODELS = {
    "planhat": ("company", "externalId", ["name", "phase", "web", "city"], "type: planhat\ntoken: token\nurl: {url}\n"),
    "batch": ("profile", "custom_id", ["custom.name", "custom.phase", "custom.web", "custom.city"],
              "type: batch\nproject_key: project_x\nrest_api_key: token\nurl: {url}\n"),
    "http": ("record", "key", ["name", "phase", "web", "city"],
             "type: http\nurl: {url}/contacts/{{{{key}}}}\nmethod: PUT\nauth: {{ method: bearer, token: token }}\n"
             "body: {{ name: \"{{{{record.name}}}}\", phase: \"{{{{record.phase}}}}\", web: \"{{{{record.web}}}}\", city: \"{{{{record.city}}}}\" }}\n"),
}
# What comes at once after a pause: five calls of 5,000 a minute, and a bucket of 10,000 less a twentieth.
ROWS = {"planhat": 25_000, "batch": 9_500, "http": 20_000}
ACCOUNTS = {"planhat": 8, "batch": 16, "http": 2}
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


def project(folder, kind, url, rows, accounts):
    model, key, fields, connection = MODELS[kind]
    files = {
        "tidegate.yaml": "version: 1\nname: sink\nserve: { private_targets: [127.0.0.1] }\n",
        "connections/lake.yaml": "version: 1\ntype: sqlite\npath: lake.db\n",
    }
    for n in range(accounts):
        files[f"connections/crm{n}.yaml"] = "version: 1\n" + connection.format(url=url)
        files[f"syncs/companies{n}.yaml"] = (
            "version: 1\nwarehouse: { connection: lake, relation: companies }\n"
            f"platform: {{ connection: crm{n}, model: {model} }}\ndirection: to_platform\n"
            f"key: {{ warehouse: id, platform: {key} }}\nfields:\n"
            + "".join(f"  - {{ warehouse: {name.split('.')[-1]}, platform: {name} }}\n" for name in fields))
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    lake = sqlite3.connect(os.path.join(folder, "lake.db"))
    lake.execute("CREATE TABLE companies (id TEXT PRIMARY KEY, name TEXT, phase TEXT, web TEXT, city TEXT)")
    lake.executemany("INSERT INTO companies VALUES (?, ?, ?, ?, ?)", (
        (f"c{n:08}", f"Company number {n}", "live" if n % 3 else "trial", f"https://www.company-{n}.example", "Stockholm")
        for n in range(rows)))
    lake.commit()


def first_load(tidegate, folder, rows, accounts):
    """One run from nothing."""
    shutil.rmtree(os.path.join(folder, ".tidegate"), ignore_errors=True)
    seconds, processor, peak, out = measured(tidegate, "--project", folder, "run", "--json")
    created = sum(json.loads(line)["created"] for line in out.strip().splitlines())
    assert created == rows * accounts, out
    return seconds, processor, peak


def compare(kind, tidegate, poster, url, folder):
    """Prints what the rounds came to; whether it is over the budget."""
    rows, accounts = ROWS[kind], ACCOUNTS[kind]
    records = rows * accounts
    project(folder, kind, url, rows, accounts)
    # In turn, so that what else the machine does meets both.
    rounds = [(measured(poster, "post", kind, str(records), url)[:2], first_load(tidegate, folder, rows, accounts))
              for _ in range(ROUNDS)]
    middle = statistics.median
    clock = middle(alone[0] / ours[0] for alone, ours in rounds)
    processor = middle(alone[1] / ours[1] for alone, ours in rounds)
    peak = max(ours[2] for _, ours in rounds)
    over = clock < 0.5 or peak > 100
    print(f"{'OVER' if over else 'ok  '}  {kind}: {records / middle(o[0] for _, o in rounds):,.0f} records/s of "
          f"{records / middle(a[0] for a, _ in rounds):,.0f} posted alone: {clock:.2f}x by the clock (budget 0.5x); "
          f"{1e6 * middle(o[1] for _, o in rounds) / records:.1f} us of processor a record, alone "
          f"{1e6 * middle(a[1] for a, _ in rounds) / records:.1f}: {processor:.2f}x; peak {peak:.0f} MB (budget 100); "
          f"load {os.getloadavg()[0]:.1f}", flush=True)
    return over


def main():
    tidegate, poster = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    with subprocess.Popen([poster, "sink"], stdout=subprocess.PIPE, text=True) as sink:
        try:
            url, over = sink.stdout.readline().strip(), False
            for kind in sys.argv[3:] or MODELS:
                with tempfile.TemporaryDirectory() as folder:
                    over |= compare(kind, tidegate, poster, url, folder)
        finally:
            sink.terminate()
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
