"""Reading of large Snowflake results: our client against a mock of the protocol (crates/warehouses/examples/snowflake_read.rs)."""

import json
import os
import subprocess
import time

# Runs of each, one after the other in turn: the best of each counts, since a busy machine only ever makes one slower.
ROUNDS = 7
# Threads of the comparison in which nothing is tied to a core.
THREADS = 2


class Mock:
    """A mock that serves so many rows, in a process of its own; on these cores only, if some are named."""

    def __init__(self, bench, rows, cores=None):
        self.program = os.path.join(bench.examples, "snowflake_read")
        port = os.path.join(bench.folder, f"snowflake-{rows}-{len(cores or [])}.port")
        tie = (lambda: os.sched_setaffinity(0, cores)) if cores else None
        self.process = subprocess.Popen([self.program, "serve", port, str(rows)], preexec_fn=tie)
        while not (os.path.exists(port) and open(port).read()):
            if self.process.poll() is not None:
                raise SystemExit("the mock of Snowflake did not start")
            time.sleep(0.05)
        self.port = open(port).read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def told(measured, *command):
    """Runs one side; its seconds and its peak memory."""
    _, peak, code, out, err = measured(list(command))
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}:\n{err}")
    return json.loads(out)["seconds"], peak


def read(bench, measured):
    """1M rows of 8 columns in gzip chunks, against inflating and decoding the same chunks from memory.

    What counts is one core each: from memory and through the client (its receiving included) on the same core, all their
    threads; the mock, which stands for the service, on the others. Without a second core nothing can be told apart."""
    rows = bench.rows // 50_000 * 50_000
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        print("      not measured: it needs a second core, for the mock", flush=True)
        return
    tied = ["taskset", "-c", str(first)]
    with Mock(bench, rows, others) as mock:
        ours, floor, peak = rounds(mock, measured, rows, 1, tied)
    bench.report(f"Snowflake: {rows} rows read and decoded on one core, best of {ROUNDS} (0.8 of the speed from memory is 1.25)", ours, floor, 1.25, peak, 100)
    with Mock(bench, rows) as mock:
        rounds(mock, measured, rows, THREADS, [])


def rounds(mock, measured, rows, threads, tied):
    """Both sides in turn; the best seconds of ours and of the floor, and our peak memory."""
    floor, ours, peak = [], [], 0
    for _ in range(ROUNDS):
        floor.append(told(measured, *tied, mock.program, "memory", str(rows), str(threads))[0])
        seconds, used = told(measured, *tied, mock.program, "read", mock.port, str(rows), str(threads))
        ours.append(seconds)
        peak = max(peak, used)
    place = "one core each" if tied else f"{threads} threads each, the mock on the same cores"
    print(f"      {place}: {rows / min(floor):,.0f} rows/s from memory, {rows / min(ours):,.0f} through the client, {min(floor) / min(ours):.2f} of it; "
          f"rounds {[round(f / o, 2) for f, o in zip(floor, ours)]}", flush=True)
    return min(ours), min(floor), peak


def slow(bench, measured):
    """20M rows with a consumer that sleeps over each page: memory only."""
    rows, pause_ms = bench.rows // 50_000 * 50_000 * 20, 5
    with Mock(bench, rows) as mock:
        seconds, peak = told(measured, mock.program, "read", mock.port, str(rows), str(THREADS), str(pause_ms))
    # The consumer alone takes so long: pages of 10,000 rows.
    alone = rows / 10_000 * pause_ms / 1000
    bench.report(f"Snowflake: {rows} rows to a consumer that sleeps {pause_ms} ms a page, against its sleep (what counts is the memory)", seconds, alone, 5.0, peak, 150)
