#!/usr/bin/env python3
"""Validates results documents with the schema: check_schema.py SCHEMA FILE... ; a FILE named !FILE must be refused.
Exit 0: all as wanted; 1: not; 77: no jsonschema here. NaN and Infinity, which Python's json would read, are refused
too, and so are the arithmetic contradictions that a schema can't tell: lo above the median, a histogram whose mean is
not its value."""
import json
import sys

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON number")


def refuse_duplicates(pairs):
    keys = [k for k, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"a key stands twice: {sorted(k for k in keys if keys.count(k) > 1)[0]}")
    return dict(pairs)


def contradictions(document):
    keys = set()
    told = document["context"].get("processes")
    for i, row in enumerate(document["results"]):
        where = f"results[{i}]"
        if row["key"] in keys:
            yield f"{where}.key: stands twice"
        keys.add(row["key"])
        time = row.get("time_ns")
        if time and not time["lo"] <= time["median"] <= time["hi"]:
            yield f"{where}.time_ns: lo <= median <= hi does not hold"
        if time and max(time.get("throttled", [0])) >= len(time["samples"]):
            yield f"{where}.time_ns.throttled: there is no sample {max(time['throttled'])}"
        if time and sum(time.get("processes", [len(time["samples"])])) != len(time["samples"]):
            yield f"{where}.time_ns.processes: gave {sum(time['processes'])} samples of {len(time['samples'])}"
        if time and told and len(time.get("processes", [])) > sum(p["status"] == "ok" for p in told):
            yield f"{where}.time_ns.processes: more than finished by context.processes"
        at = [r["s"] for r in row.get("clocks", {}).get("readings", [])]
        if at != sorted(at):
            yield f"{where}.clocks.readings: not in the order of time"
        tokens = row.get("tokens_per_s")
        if tokens and not tokens["lo"] <= tokens["value"] <= tokens["hi"]:
            yield f"{where}.tokens_per_s: lo <= value <= hi does not hold"
        for name in ("speedup", "speedup_grouped"):
            ratio = row.get(name, {})
            if "lo" in ratio and "hi" in ratio and not ratio["lo"] <= ratio["ratio"] <= ratio["hi"]:
                yield f"{where}.{name}: lo <= ratio <= hi does not hold"
        yield from histogram_contradictions(row.get("divergence", {}), where + ".divergence")
        yield from counter_contradictions(row, where)


def histogram_contradictions(divergence, where):
    # What is measured is binned by the mean of each instruction, to a whole lane: half a lane of 32 at most.
    for part, tolerance in (("predicted", 1e-3), ("exact", 1e-3), ("measured", 0.5 / 32 + 1e-3)):
        lanes = divergence.get(part, {})
        if "histogram" not in lanes:
            continue
        issued = sum(lanes["histogram"])
        mean = sum(a * c for a, c in enumerate(lanes["histogram"])) / (32 * issued) if issued else 0
        if abs(mean - lanes["value"]) > tolerance:
            yield f"{where}.{part}: value {lanes['value']}, its histogram says {mean:.4f}"
    measured, predicted = divergence.get("measured", {}), divergence.get("predicted")
    if "difference" in measured:
        if not predicted:
            yield f"{where}.measured.difference: there is no prediction that it could differ from"
        elif abs(measured["value"] / predicted["value"] - 1 - measured["difference"]) > 1e-3:
            yield f"{where}.measured.difference: {measured['difference']} is not measured / predicted - 1"


def counter_contradictions(row, where):
    activity, time = row.get("activity", {}), row.get("time_ns", {}).get("median")
    if "difference" in activity and abs(activity["ns"] / time - 1 - activity["difference"]) > 1e-3:
        yield f"{where}.activity.difference: {activity['difference']} is not ns / time_ns.median - 1"
    if "agrees" in activity and activity["agrees"] != (abs(activity["difference"]) <= 0.05):
        yield f"{where}.activity.agrees: {activity['agrees']} at a difference of {activity['difference']}"


def complaints(validator, path):
    try:
        with open(path, encoding="utf-8") as f:
            document = json.load(f, parse_constant=refuse_constant, object_pairs_hook=refuse_duplicates)
    except ValueError as e:
        return [str(e)]
    found = [f"{'.'.join(map(str, e.absolute_path)) or 'document'}: {e.message[:200]}"
             for e in validator.iter_errors(document)]
    return found or list(contradictions(document))


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        schema = json.load(f)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    bad = 0
    for arg in sys.argv[2:]:
        wanted, path = not arg.startswith("!"), arg.lstrip("!")
        found = complaints(validator, path)
        if wanted == (not found):
            print(f"{path}: {'valid' if wanted else 'refused, as it should be: ' + found[0]}")
            continue
        bad += 1
        print(f"{path}: " + ("; ".join(found[:8]) if wanted else "accepted, though it must be refused"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
