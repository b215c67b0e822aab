"""Results documents for the tests of exports: the examples, one whose every name is hostile, and mangled ones."""

import json
import random

# Ends a string, a cell, an attribute, a CDATA section, a line; drives a terminal; no XML; turns the reading order.
HOSTILE = "a,b\"c'd`e|f<g>&amp;@x]]>\\\n\r\t\x01\x1b[31m\x7f\x9b\u202e\ufffe\uffff{%s}$# µ \U0001f600"
EXAMPLES = ("example", "example-gpu")


def status(row):
    """The status that a report shows: a time without both verdicts is a failure (reports/model.h)."""
    if row["status"] not in ("ok", "ambiguous"):
        return row["status"]
    verified = row.get("verified", {})
    passed = all(verified.get(when) in ("pass", "n/a") for when in ("before", "after"))
    return row["status"] if passed and row.get("time_ns", {}).get("median", 0) > 0 else "failed"


def is_timed(row):
    return status(row) in ("ok", "ambiguous")


def hostile(document):
    """Rows of every status whose words are hostile; three share a key; one lost its verdict; half are trained."""
    document["context"] |= {key: HOSTILE for key in ("binary", "commit", "host", "date")}
    document["context"]["cpu"]["model"] = document["context"]["model"]["name"] = HOSTILE
    document["context"]["model"]["synthetic"] = False
    document["context"]["interrupted"] = True
    rows = document["results"]
    for i, row in enumerate(rows):
        row["synthetic"] = i % 2 == 0
        row["key"] = HOSTILE + ("" if i < 3 else str(i))
        row |= {key: HOSTILE for key in ("variant", "proj", "rule")}
        if "reason" in row:
            row["reason"] = HOSTILE
        if "time_ns" in row and len(row["time_ns"]["samples"]) == 24:
            row["time_ns"]["processes"] = [10, 14]
    rows[4]["verified"]["after"] = "fail"
    rows[5]["time_ns"]["samples"] = [rows[5]["time_ns"]["median"]]
    rows[6]["key"] = "k" * 5000
    return document


ODD = (None, "", HOSTILE, [], {}, -(2 ** 63), 0, 1.7e308, -1e-310, True, [1, "x", [], {}], "w" * 5001)


def mangle(node, draw):
    """Replaces or removes about one value in 12, but for what the program wants of every row."""
    for key in list(node):
        if isinstance(node[key], dict):
            mangle(node[key], draw)
        if key in ("schema", "context", "results", "op", "status") or draw.random() > 1 / 12:
            continue
        if draw.random() < 0.3 and key not in ("key", "variant"):
            del node[key]
        elif key in ("key", "variant"):
            node[key] = draw.choice([odd for odd in ODD if isinstance(odd, str)])
        else:
            node[key] = draw.choice(ODD)


def mangled(document, seed):
    draw = random.Random(seed)
    mangle(document["context"], draw)
    document["results"] = document["results"][seed % 7::7]
    for row in document["results"]:
        mangle(row, draw)
    return document


def tame(root):
    """Name and document of what a program of ours wrote, or might."""
    for name in EXAMPLES:
        yield name, json.loads((root / f"tests/schema/{name}.json").read_text())
    for path in sorted((root / "reports/results").rglob("*.json"))[::5]:
        document = json.loads(path.read_text())
        if document.get("schema") == "ortho-bench/1":
            yield path.stem, document
    yield "hostile", hostile(json.loads((root / "tests/schema/example.json").read_text()))


def wild(root, rounds):
    for seed in range(rounds):
        name = EXAMPLES[seed % 2]
        yield f"mangled {seed}", mangled(json.loads((root / f"tests/schema/{name}.json").read_text()), seed)
