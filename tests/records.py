"""What a run wrote, for tests."""

import json


def read_rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def without_clock(row):
    """What has to be reproducible, bit for bit."""
    return {name: value for name, value in row.items() if not name.endswith(("_s", "_per_s"))}


def reproducible(rows):
    return [without_clock(row) for row in rows]
