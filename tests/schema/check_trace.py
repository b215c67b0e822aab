#!/usr/bin/env python3
"""Checks timelines (ortho-bench run --trace): check_trace.py FILE... Each must fit reports/schema/trace.schema.json,
every track must have a name, stretches of a track nest or are disjoint (on the GPU: are disjoint), times begin at 0, and
the kernels' times add up to the file's own summary. Exit 0: all good; 1: not; 77: no jsonschema here.

check_trace.py --self-test FILE: breaks a good file in one way at a time and demands that each is found."""
import collections
import copy
import decimal
import json
import os
import sys

from check_schema import refuse_constant, refuse_duplicates

import jsonschema

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../reports/schema/trace.schema.json")
HOST, GPU = 1, 2
EACH = 20000  # events; of a longer file each sort of event is held against the schema, and every n-th


def validator(schema, part):
    types = jsonschema.Draft7Validator.TYPE_CHECKER.redefine(
        "number", lambda _, v: isinstance(v, (int, decimal.Decimal)) and not isinstance(v, bool))
    kind = jsonschema.validators.extend(jsonschema.Draft7Validator, type_checker=types)
    kind.check_schema(schema)
    return kind({"$ref": part, "definitions": schema["definitions"]} if part else schema)


def breaches(document, schema):
    events = document.get("traceEvents", []) if isinstance(document, dict) else []
    for e in validator(schema, None).iter_errors({**document, "traceEvents": []} if events else document):
        yield f"{'.'.join(map(str, e.absolute_path)) or 'document'}: {e.message[:200]}"
    of_event, seen = validator(schema, "#/definitions/event"), set()
    every = max(1, len(events) // EACH)
    for i, event in enumerate(events):
        shape = isinstance(event, dict) and (event.get("ph"), event.get("cat"), *event, *event.get("args", ()))
        if i % every and shape in seen:
            continue
        seen.add(shape)
        for e in of_event.iter_errors(event):
            yield f"traceEvents[{i}]: {e.message[:200]}"


def nanoseconds(value):
    ns = value * 1000
    if ns != int(ns):
        raise ValueError(f"{value} us is finer than a nanosecond")
    return int(ns)


def overlaps(track, spans):
    around = []
    for start, end, name in sorted(spans, key=lambda s: (s[0], -s[1])):
        while around and around[-1][0] <= start:
            around.pop()
        if around and (end > around[-1][0] or track[0] == GPU):
            yield f"track {track}: {name[:60]!r} overlaps {around[-1][1][:60]!r}"
        around.append((end, name))


def contradictions(document):
    names, tracks, first, kernels = set(), collections.defaultdict(list), None, collections.Counter()
    launches = collections.Counter()
    for event in document["traceEvents"]:
        track = (event["pid"], event.get("tid"))
        if event["ph"] == "M":
            if event["name"] == "process_name" or event["name"] == "thread_name":
                if track in names:
                    yield f"track {track} is named twice"
                names.add(track)
            continue
        start = nanoseconds(event["ts"])
        first = start if first is None else min(first, start)
        if event["ph"] != "X":
            continue
        tracks[track].append((start, start + nanoseconds(event["dur"]), event["name"]))
        if event["cat"] == "kernel" and event["pid"] == GPU:
            kernels[event["name"]] += nanoseconds(event["dur"])
            launches[event["name"]] += 1
    if first not in (None, 0):
        yield f"the first event is at {first} ns, not at 0"
    for track, spans in tracks.items():
        if track not in names or (track[0], None) not in names:
            yield f"track {track} has no name"
        yield from overlaps(track, spans)
    if len({tid for _, tid in tracks}) != len(tracks):
        yield "two processes have a thread of one number"
    yield from summary(document["otherData"], kernels, launches)


def summary(told, kernels, launches):
    if told["kernel_ns"] != sum(kernels.values()) or told["kernel_count"] != sum(launches.values()):
        yield f"kernel_ns {told['kernel_ns']} of {told['kernel_count']}, the events say {sum(kernels.values())} of " \
              f"{sum(launches.values())}"
    ns, count = collections.Counter(), collections.Counter()
    for kernel in told["kernels"]:  # two mangled names may read the same
        ns[kernel["name"]] += kernel["ns"]
        count[kernel["name"]] += kernel["launches"]
    for name in ns.keys() | kernels.keys():
        if ns[name] != kernels[name] or count[name] != launches[name]:
            yield f"kernel {name[:60]!r}: {ns[name]} ns of {count[name]}, the events say {kernels[name]} of {launches[name]}"
    if [k["ns"] for k in told["kernels"]] != sorted((k["ns"] for k in told["kernels"]), reverse=True):
        yield "kernels: not the longest first"


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f, parse_constant=refuse_constant, parse_float=decimal.Decimal,
                         object_pairs_hook=refuse_duplicates)


def complaints(document, schema):
    return list(breaches(document, schema)) or list(contradictions(document))


def kernel(d):
    return next(e for e in d["traceEvents"] if e.get("cat") == "kernel")


def host(d):
    return next(e for e in d["traceEvents"] if e["ph"] == "X" and e["pid"] == HOST)


BREACHES = {
    "no-summary": lambda d: d.pop("otherData"),
    "unknown-kind": lambda d: kernel(d).update(ph="B"),
    "no-duration": lambda d: kernel(d).pop("dur"),
    "time-as-text": lambda d: kernel(d).update(ts="1.0"),
    "negative-time": lambda d: kernel(d).update(ts=decimal.Decimal("-0.001")),
    "finer-than-ns": lambda d: kernel(d).update(ts=decimal.Decimal("0.0001")),
    "grid-of-two": lambda d: kernel(d)["args"].update(grid=[1, 1]),
    "longer-than-told": lambda d: kernel(d).update(dur=kernel(d)["dur"] + decimal.Decimal("0.001")),
    "kernel-twice": lambda d: d["traceEvents"].append(copy.deepcopy(kernel(d))),
    "another-name": lambda d: kernel(d).update(name="another"),
    "track-without-name": lambda d: host(d).update(tid=9999),
    "thread-of-both": lambda d: host(d).update(tid=kernel(d)["tid"]),
    "later-origin": lambda d: [e.update(ts=e["ts"] + 1) for e in d["traceEvents"] if "ts" in e],
    "overlap": lambda d: d["traceEvents"].append({**host(d), "ts": host(d)["ts"] + decimal.Decimal("0.001"), "dur": 10**9}),
    "negative-memory": lambda d: next(e for e in d["traceEvents"] if e["ph"] == "C")["args"].update(bytes=-1),
    "unknown-argument": lambda d: host(d)["args"].update(colour="red"),
}


def self_test(document, schema):
    missed = []
    for name, breach in BREACHES.items():
        broken = copy.deepcopy(document)
        breach(broken)
        try:
            found = complaints(broken, schema)
        except ValueError as e:
            found = [str(e)]
        if not found:
            missed.append(name)
        print(f"{name}: {found[0] if found else 'accepted, though it must be refused'}")
    return 1 if missed else 0


def main():
    schema = load(SCHEMA)
    if sys.argv[1] == "--self-test":
        return self_test(load(sys.argv[2]), schema)
    bad = 0
    for path in sys.argv[1:]:
        try:
            document = load(path)
            found = complaints(document, schema)
        except ValueError as e:
            found = [str(e)]
        bad += bool(found)
        print(f"{path}: " + ("; ".join(found[:8]) if found else
                             f"good: {len(document['traceEvents'])} events, {document['otherData']['kernel_count']} "
                             f"kernels, {document['otherData']['dropped_records']} records dropped"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
