"""Reading of large BigQuery results: our client against a bare drain of the same streams (crates/warehouses/examples/bigquery_read.rs)."""

import json
import os
import statistics
import subprocess
import sys

# Runs of each, one after the other in turn; the medians count, since it is the emulator that both wait for.
ROUNDS = 5
# The share of the drain's speed that has to be reached.
SHARE = 0.7
# Rows of a message of the emulator; each message is a page.
PAGE_ROWS = 4_096


class Table:
    """A table of so many rows on the emulator that TIDEGATE_TEST_BIGQUERY names."""

    def __init__(self, bench, rows):
        if not os.environ.get("TIDEGATE_TEST_BIGQUERY"):
            sys.exit("TIDEGATE_TEST_BIGQUERY names no emulator: `./test bench` starts one, and so does scripts/services")
        self.program, self.rows = os.path.join(bench.examples, "bigquery_read"), rows
        made = subprocess.run([self.program, "fill", str(rows)], stdout=subprocess.PIPE, check=True)
        self.dataset = made.stdout.decode().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.program, "drop", self.dataset], check=True)

    def side(self, measured, side, *more):
        """Runs one side: its seconds with the query, those of its streams, and its peak memory."""
        command = [self.program, side, self.dataset, str(self.rows), *more]
        _, peak, code, out, err = measured(command)
        if code:
            raise SystemExit(f"{' '.join(command)} ended with {code}:\n{err}")
        told = json.loads(out)
        return told["seconds"], told["streams"], peak


def read(bench, measured):
    """1M rows of 6 columns in four streams, against receiving the same messages and dropping them."""
    with Table(bench, bench.rows) as table:
        sides = {"bare": [], "read": [], "sort": []}
        for _ in range(ROUNDS):
            sides["bare"].append(table.side(measured, "bare"))
            sides["read"].append(table.side(measured, "read", "0"))
            sides["sort"].append(table.side(measured, "sort"))
    whole, streams = ({name: statistics.median(one[at] for one in told) for name, told in sides.items()} for at in (0, 1))
    peak = max(peak for _, _, peak in sides["read"])
    speed = {name: f"{bench.rows / seconds:,.0f}" for name, seconds in streams.items()}
    print(f"      rows/s of the streams alone: bare {speed['bare']}, ours {speed['read']}, sorted by key in one stream {speed['sort']}; "
          f"rounds {[round(b[1] / o[1], 2) for b, o in zip(sides['bare'], sides['read'])]}", flush=True)
    limit = round(1 / SHARE, 2)
    bench.report(f"BigQuery: {bench.rows} rows, streams alone, median of {ROUNDS} ({SHARE} of a bare drain's speed is {limit})", streams["read"], streams["bare"], limit, peak, 150)
    bench.report(f"BigQuery: {bench.rows} rows with the query that makes them, median of {ROUNDS}", whole["read"], whole["bare"], limit, peak, 150)


def slow(bench, measured):
    """The same with a consumer that sleeps over each page: memory only."""
    pause_ms = 20
    with Table(bench, bench.rows) as table:
        _, streams, peak = table.side(measured, "read", str(pause_ms))
    alone = bench.rows / PAGE_ROWS * pause_ms / 1000
    bench.report(f"BigQuery: {bench.rows} rows to a consumer that sleeps {pause_ms} ms a page, against its sleep (what counts is the memory)", streams, alone, 10.0, peak, 150)
