#!/usr/bin/env python3
"""A first load through a platform's connector without limits or latency, against serialising the same records and posting
them to the same null sink: `bench/null_sink.py TIDEGATE POST_SPEED [planhat|batch|http …]`. POST_SPEED is the example
`post_speed` of crates/platforms. What a platform permits cannot be switched off, so as many records are written as it
takes at once after a pause. Prints the ratio of throughputs and the peak memory; exit code 1 below 0.5 or above 100 MB."""

import json
import os
import sqlite3
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
MEASURED = ("import resource,subprocess,sys,time,json\n"
            "s=time.monotonic(); p=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,stderr=subprocess.PIPE)\n"
            "e=time.monotonic()-s; r=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024\n"
            "sys.stdout.write(json.dumps([e,r,p.returncode,p.stdout.decode(),p.stderr.decode()]))")


def project(folder, kind, url, rows):
    model, key, fields, connection = MODELS[kind]
    files = {
        "tidegate.yaml": "version: 1\nname: sink\nserve: { private_targets: [127.0.0.1] }\n",
        "connections/lake.yaml": "version: 1\ntype: sqlite\npath: lake.db\n",
        "connections/crm.yaml": "version: 1\n" + connection.format(url=url),
        "syncs/companies.yaml": "version: 1\nwarehouse: { connection: lake, relation: companies }\n"
        f"platform: {{ connection: crm, model: {model} }}\ndirection: to_platform\n"
        f"key: {{ warehouse: id, platform: {key} }}\nfields:\n"
        + "".join(f"  - {{ warehouse: {name.split('.')[-1]}, platform: {name} }}\n" for name in fields),
    }
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


def main():
    tidegate, poster = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    bad = 0
    with subprocess.Popen([poster, "sink"], stdout=subprocess.PIPE, text=True) as sink:
        try:
            url = sink.stdout.readline().strip()
            for kind in sys.argv[3:] or MODELS:
                rows = ROWS[kind]
                alone = float(subprocess.run([poster, "post", kind, str(rows), url], stdout=subprocess.PIPE, check=True).stdout)
                with tempfile.TemporaryDirectory() as folder:
                    project(folder, kind, url, rows)
                    command = [sys.executable, "-c", MEASURED, tidegate, "--project", folder, "run", "--json"]
                    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                seconds, peak, code, out, err = json.loads(done.stdout)
                if code:
                    sys.exit(f"{kind}: {out}\n{err}")
                told = json.loads(out.strip().splitlines()[-1])
                assert told["created"] == rows, told
                ratio = alone / seconds
                over = ratio < 0.5 or peak > 100
                bad += over
                print(f"{'OVER' if over else 'ok  '}  {kind}: {rows / seconds:,.0f} records/s, peak {peak:.0f} MB; posted alone "
                      f"{rows / alone:,.0f} records/s: {ratio:.2f}x (budget 0.5x, 100 MB)", flush=True)
        finally:
            sink.terminate()
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
