#!/usr/bin/env python3
"""How much of Planhat's permitted rate a run uses: `bench/planhat_rate.py [TIDEGATE] [CALLS]`.

A twin that answers in 50 ms and keeps Planhat's limits (200 calls a minute), a one-way sync in small batches, the calls
of the twin's own log. Prints the share of the permitted rate; below 95 % the exit code is 1."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request

PER_MINUTE = 200
BATCH = 5

tidegate = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "target/release/tidegate")
calls = int(sys.argv[2]) if len(sys.argv) > 2 else 300
with tempfile.TemporaryDirectory() as folder:
    def write(name, text):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    knobs = write("knobs.json", json.dumps({"latency_ms": 50}))
    command = [tidegate, "sandbox", "planhat", "--listen", "127.0.0.1:0", "--knobs", knobs, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as twin:
        try:
            told = json.loads(twin.stdout.readline())
            url = told["listen"]
            write("tidegate.yaml", "version: 1\nname: rate\n")
            write("connections/lake.yaml", "version: 1\ntype: sqlite\npath: lake.db\n")
            write("connections/crm.yaml", f"version: 1\ntype: planhat\ntoken: sandbox-token\nurl: {url}\n")
            write("syncs/companies.yaml", "version: 1\nwarehouse: { connection: lake, relation: companies }\n"
                  "platform: { connection: crm, model: company }\ndirection: to_platform\n"
                  f"key: {{ warehouse: id, platform: externalId }}\nbatch_size: {BATCH}\n"
                  "fields:\n  - { warehouse: name, platform: name }\n")
            lake = sqlite3.connect(os.path.join(folder, "lake.db"))
            lake.execute("CREATE TABLE companies (id TEXT PRIMARY KEY, name TEXT)")
            lake.executemany("INSERT INTO companies VALUES (?, ?)", [(f"C{n:06}", f"N{n}") for n in range(calls * BATCH)])
            lake.commit()
            subprocess.run([tidegate, "--project", folder, "--quiet", "run"], check=True, timeout=900)
            seen = json.load(urllib.request.urlopen(url + "/_twin/requests"))
        finally:
            twin.terminate()
puts = [one for one in seen if one["method"] == "PUT"]
good = [one["at"] for one in puts if one["status"] == 200]
minutes = (good[-1] - good[0]) / 60e6
share = (len(good) - 1) / minutes / PER_MINUTE
print(f"{len(good)} calls in {minutes * 60:.1f} s, {len(puts) - len(good)} refused: {share:.1%} of {PER_MINUTE} a minute")
sys.exit(0 if share >= 0.95 else 1)
