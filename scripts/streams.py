"""Streams of a checkpoint through the sieve: scripts/readme-tables makes a table of what
`ortho-bench sieve --measure --json` printed. A row is one setting, its files the runs of it, named
SETTING-N.json; a figure is the median over its runs, a share also the least.
"""

import collections
import glob
import json
import pathlib
import re
import statistics

from figures import digits, size


class Refused(Exception):
    """Why a table can't be made, in words."""


PARTS = {"read": "reading", "write": "writing", "both": "reading and writing at once",
         "copy": "copying to the GPU", "sieve": "sieving"}


def load(root, pattern):
    """{setting: [document]} in the order of the names."""
    runs = collections.defaultdict(list)
    for path in sorted(glob.glob(str(root / pattern))):
        document = json.loads(pathlib.Path(path).read_text())
        if document.get("schema") != "ortho-bench-sieve/1" or document.get("status") != "ok":
            raise Refused(f"{path}: no run that ended well")
        if "ceilings" not in document:
            raise Refused(f"{path}: made without --measure")
        runs[re.sub(r"-\d+$", "", pathlib.Path(path).stem).replace("-", " ")].append(document)
    if not runs:
        raise Refused(f"{pattern}: no such file")
    return runs


def median(documents, *keys):
    def look_up(value):
        for key in keys:
            value = value[key]
        return value
    return statistics.median(look_up(d) for d in documents)


def row(setting, documents):
    first = documents[0]
    shares = [d["ceilings"]["share"] for d in documents]
    slowest = collections.Counter(d["ceilings"]["slowest"] for d in documents).most_common(1)[0][0]
    device = f"{size(median(documents, 'memory', 'device_peak'))}" if first["backend"] == "cuda" else "–"
    grown = statistics.median(d["memory"]["host_peak"] - d["memory"]["host_before"] for d in documents)
    return [setting, str(len(documents)), f"{median(documents, 'seconds'):.2f} s",
            f"{median(documents, 'ceilings', 'floor_seconds'):.2f} s, {PARTS[slowest]}",
            f"{100 * statistics.median(shares):.0f} % (least {100 * min(shares):.0f} %)",
            size(grown), device]


def table(root, _, words, __):
    """Lines above the table, its head and its body."""
    runs = load(root, words[0])
    first = next(iter(runs.values()))[0]
    if len({(d["model"]["name"], d["bytes"]["read"]) for runs_ in runs.values() for d in runs_}) > 1:
        raise Refused("runs over several models")
    lines = [f"{first['model']['name']} · {digits(first['bytes']['read'] / 1e9, 3)} GB read, "
             f"{digits(first['bytes']['written'] / 1e9, 3)} GB written and synced, "
             f"{first['size']['bits_per_weight']:.2f} bits a weight · memory budget "
             f"{size(first['options']['memory_budget'])}.",
             "Medians over the runs; the floor is the slowest part alone, over what it had to move."]
    if first["model"]["synthetic"]:
        lines.insert(0, "**SYNTHETIC weights: made, not trained.** Times are real.")
    head = ["run", "runs", "time", "floor, set by", "share reached", "host memory", "device memory"]
    return lines, head, [row(setting, documents) for setting, documents in runs.items()]


KINDS = {"stream": table}
