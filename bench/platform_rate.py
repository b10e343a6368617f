#!/usr/bin/env python3
"""How much of an endpoint's permitted rate a run uses: `bench/platform_rate.py TIDEGATE planhat|batch|mass|http [SECONDS]`.

A one-way sync for about so many seconds against something that answers in 50 ms: for `planhat` its twin, which keeps the
limits, and the calls of its log; for the others a stand-in of this file's, which refuses nothing, counts, and says whether
the limit was ever exceeded. Prints the share of the permitted rate; below 95 %, or above the limit, the exit code is 1."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HTTP_PER_MINUTE = 6000
LATENCY = 0.05

# Per door: records in a second (or calls in a minute), records of a call, what may come at once before the rate holds.
DOORS = {
    "planhat": {"per_minute": 200, "batch": 5},
    "batch": {"per_second": 300, "burst": 1000},
    "mass": {"per_second": 10_000, "burst": 10_000},
    "http": {"per_minute": HTTP_PER_MINUTE},
}


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class Counter:
    """An endpoint that answers everything after 50 ms, and notes when it came."""

    def __init__(self):
        self.seen, self.ready, self.url = [], threading.Event(), None
        threading.Thread(target=lambda: asyncio.run(self.listen()), daemon=True).start()
        self.ready.wait()

    async def listen(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.ready.set()
        await server.serve_forever()

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = [line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length:")]
                body = await reader.readexactly(int(length[0]) if length else 0)
                self.seen.append((time.time(), body.count(b'"custom_id"') or 1))
                await asyncio.sleep(LATENCY)
                answer = b'{"code":"SUCCESS"}'
                head = f"HTTP/1.1 202 OK\r\ncontent-length: {len(answer)}\r\ncontent-type: application/json\r\n\r\n"
                writer.write(head.encode() + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def project(folder, kind, url, rows, more):
    write(folder, "tidegate.yaml", "version: 1\nname: rate\nserve: { private_targets: [127.0.0.1] }\n")
    write(folder, "connections/lake.yaml", "version: 1\ntype: sqlite\npath: lake.db\n")
    connections = {
        "planhat": f"type: planhat\ntoken: sandbox-token\nurl: {url}\n",
        "batch": f"type: batch\nproject_key: project_sandbox\nrest_api_key: sandbox-key\nurl: {url}\n",
        "http": f"type: http\nurl: {url}/{{{{key}}}}\nmethod: PUT\nquota: {{ requests_per_minute: {HTTP_PER_MINUTE} }}\n",
    }
    model, key, name = {"planhat": ("company", "externalId", "name"), "batch": ("profile", "custom_id", "custom.name"),
                        "http": ("record", "key", "name")}[kind]
    write(folder, "connections/crm.yaml", "version: 1\n" + connections[kind])
    write(folder, "syncs/companies.yaml", "version: 1\nwarehouse: { connection: lake, relation: companies }\n"
          f"platform: {{ connection: crm, model: {model} }}\ndirection: to_platform\n"
          f"key: {{ warehouse: id, platform: {key} }}\n{more}"
          f"fields:\n  - {{ warehouse: name, platform: {name} }}\n")
    lake = sqlite3.connect(os.path.join(folder, "lake.db"))
    lake.execute("CREATE TABLE companies (id TEXT PRIMARY KEY, name TEXT)")
    lake.executemany("INSERT INTO companies VALUES (?, ?)", [(f"C{n:07}", f"N{n}") for n in range(rows)])
    lake.commit()


def run(tidegate, folder):
    subprocess.run([tidegate, "--project", folder, "--quiet", "run"], check=True, timeout=900)


def http(tidegate, folder, seconds):
    counter = Counter()
    rows = HTTP_PER_MINUTE * seconds // 60
    project(folder, "http", counter.url, rows, "")
    run(tidegate, folder)
    times = [at for at, _ in counter.seen]
    worst = max(sum(1 for at in times if start <= at < start + 60) for start in times[::100])
    told = f"{rows} requests in {times[-1] - times[0]:.1f} s, at most {worst} in a minute"
    return (rows - 1) / (times[-1] - times[0]), HTTP_PER_MINUTE / 60, told, worst > HTTP_PER_MINUTE


def batch(tidegate, folder, name, seconds):
    """The bucket of Batch's limits: so many come at once, and it fills at the rate."""
    counter, door = Counter(), DOORS[name]
    rows = door["burst"] + door["per_second"] * seconds
    # A run of more than 1,000 profiles takes the mass door by itself: the small one is reached in runs of 1,000.
    rounds = [rows] if name == "mass" else [1000] * (rows // 1000)
    project(folder, "batch", counter.url, 0, "")
    made, lake = 0, sqlite3.connect(os.path.join(folder, "lake.db"))
    for part in rounds:
        lake.executemany("INSERT INTO companies VALUES (?, ?)", [(f"C{n:07}", f"N{n}") for n in range(made, made + part)])
        lake.commit()
        made += part
        run(tidegate, folder)
    filled, least, before = door["burst"], door["burst"], counter.seen[0][0]
    for at, records in counter.seen:
        filled = min(door["burst"], filled + (at - before) * door["per_second"]) - records
        least, before = min(least, filled), at
    took = counter.seen[-1][0] - counter.seen[0][0]
    told = f"{made} profiles in {len(counter.seen)} calls and {took:.1f} s, never less than {least:.0f} left in the bucket"
    return (made - door["burst"]) / took, door["per_second"], told, least < 0


def planhat(tidegate, folder, seconds):
    door = DOORS["planhat"]
    knobs = write(folder, "knobs.json", json.dumps({"latency_ms": round(LATENCY * 1000)}))
    command = [tidegate, "sandbox", "planhat", "--listen", "127.0.0.1:0", "--knobs", knobs, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = json.loads(server.stdout.readline())["listen"]
            rows = door["per_minute"] * seconds // 60 * door["batch"]
            project(folder, "planhat", url, rows, f"batch_size: {door['batch']}\n")
            run(tidegate, folder)
            seen = json.load(urllib.request.urlopen(url + "/_twin/requests"))
        finally:
            server.terminate()
    calls = [one for one in seen if one["method"] == "PUT"]
    good = [one["at"] for one in calls if one["status"] == 200]
    took = (good[-1] - good[0]) / 1e6
    told = f"{len(good)} calls in {took:.1f} s, {len(calls) - len(good)} refused"
    return (len(good) - 1) / took, door["per_minute"] / 60, told, False


def main():
    tidegate, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    runs = {"planhat": planhat, "http": http}
    with tempfile.TemporaryDirectory() as folder:
        doing = runs[name](tidegate, folder, seconds) if name in runs else batch(tidegate, folder, name, seconds)
    rate, permitted, told, over = doing
    print(f"{name}: {told}: {rate / permitted:.1%} of {permitted:.1f} a second")
    sys.exit(0 if rate >= 0.95 * permitted and not over else 1)


if __name__ == "__main__":
    main()
