"""Exports, read as their consumers read them.

usage: check.py FORMAT ORTHO_BENCH ROOT [XMLLINT]
  FORMAT   gha        reports/schema/gha.schema.json, and the action's rule for ranges
           bmf        reports/schema/bmf.schema.json, and bounds that hold their value
           junit      junitparser reads it, and finds what the results say
           junit-xsd  xmllint with reports/schema/junit.xsd

The documents are the examples, real results, one with hostile names, and mangled ones. Exit: 0, 1 with a line, or 77
where the tool that reads it isn't installed.
"""

import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

import documents
from documents import is_timed, status

ROUNDS = 24


def demand(condition, words):
    if not condition:
        sys.exit(words)


def skip(words):
    print(f"skipped: {words}")
    sys.exit(77)


def export(bench, form, document, scratch):
    """The path of the export; None where the program refuses the document."""
    source, path = scratch / "results.json", scratch / f"results.{form}"
    source.write_text(json.dumps(document))
    done = subprocess.run([bench, "report", source, "--format", form, "--out", path], capture_output=True, text=True,
                          check=False)
    demand(done.returncode in (0, 1), f"exit {done.returncode}: {done.stderr}")
    return path if done.returncode == 0 else None


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


def unique(pairs):
    demand(len(dict(pairs)) == len(pairs), f"a key stands twice among {[k for k, _ in pairs]}")
    return dict(pairs)


def read_json(path):
    return json.loads(path.read_text(), parse_constant=refuse_constant, object_pairs_hook=unique)


def validator(root, form, refused):
    """The schema of a format, which must refuse each of `refused`."""
    try:
        import jsonschema
    except ImportError:
        skip("jsonschema is not installed")
    schema = json.loads((root / f"reports/schema/{form}.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    check = jsonschema.Draft7Validator(schema)
    for document in refused:
        demand(not check.is_valid(document), f"the schema takes {document}")
    return check


def validate(check, document, name):
    for error in check.iter_errors(document):
        sys.exit(f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message}")


# ---- github-action-benchmark ----------------------------------------------------------------------------------------

ENTRY = {"name": "k", "value": 1.0, "unit": "ns", "extra": "x"}
GHA_REFUSED = [{}, [1], [{"name": "k"}], *([ENTRY | {key: bad}] for key, bad in (
    ("name", ""), ("name", "a`b"), ("name", "a|b"), ("name", "a\nb"), ("name", 1), ("value", 0), ("value", "1"),
    ("value", None), ("unit", "µs"), ("range", "3"), ("range", "± 3"), ("range", 3), ("extra", "a\tb"),
    ("status", "ok")))]


def check_gha(out, document, name):
    timed = [row for row in document["results"] if is_timed(row)]
    names = [entry["name"] for entry in out]
    demand(len(set(names)) == len(names), f"{name}: a name stands twice")
    demand([entry["value"] for entry in out] == [row["time_ns"]["median"] for row in timed], f"{name}: values")
    for entry, row in zip(out, timed):
        # The action multiplies what follows ± when it changes the unit, if that is a number.
        told = re.search(r"(?:\+-|±)\s*(\d.+)", entry.get("range", "± 1 %"))
        demand(told and not re.fullmatch(r"[\d.e+-]+", told[1].strip()), f"{name}: range {entry.get('range')}")
        lines = entry["extra"].split("\n")
        synthetic = row.get("synthetic") is True or document["context"].get("model", {}).get("synthetic") is True
        demand(("SYNTHETIC" in lines[0]) == synthetic, f"{name}: {entry['name']}: synthetic or not?")
        demand(any(line.startswith("ambiguous: ") for line in lines) == (status(row) == "ambiguous"), lines)
        demand(lines[-1].startswith(f"run: {len(document['results'])} case"), lines[-1])


# ---- Bencher --------------------------------------------------------------------------------------------------------

MEASURES = {"latency": {"value": 1}, "throughput": {"value": 1}}
BMF_REFUSED = [[], {"": MEASURES}, {"k" * 1025: MEASURES}, {"k": {}}, {"k": {"latency": {"value": 1}}},
               {"k": MEASURES | {"a b": {"value": 1}}}, {"k": MEASURES | {"latency": 1}},
               {"k": MEASURES | {"latency": {"lower_value": 1}}}, {"k": MEASURES | {"latency": {"value": "1"}}},
               {"k": MEASURES | {"latency": {"value": 1, "unit": "ns"}}}]


def check_bmf(out, document, name):
    timed = [row for row in document["results"] if is_timed(row)]
    demand(len(out) == len(timed), f"{name}: {len(out)} benchmarks of {len(timed)} timed cases")
    trained = document["context"].get("model", {}).get("synthetic") is not True
    for (key, measures), row in zip(out.items(), timed):
        time = row["time_ns"]
        for measure, metric in measures.items():
            lo, hi = metric.get("lower_value", -math.inf), metric.get("upper_value", math.inf)
            demand(lo <= metric["value"] <= hi, f"{name}: {key}: {measure}: {metric}")
        demand(measures["latency"]["value"] == time["median"], f"{name}: {key}: latency")
        demand(len(time["samples"]) == 1 or measures["latency"].get("lower_value") == time["lo"], f"{name}: {key}: lo")
        demand(math.isclose(measures["throughput"]["value"] * time["median"], 1e9), f"{name}: {key}: throughput")
        demand((" (synthetic)" in key) == (not trained or row.get("synthetic") is True), f"{name}: {key}: synthetic?")
        demand(len(key.encode()) <= 1024, f"{name}: a name of {len(key.encode())} bytes")


# ---- JUnit ----------------------------------------------------------------------------------------------------------

LOST = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def result_of(case):
    """Kind and message of a test's result."""
    demand(len(case.result) <= 1, f"{case.name}: {case.result}")
    return (type(case.result[0]).__name__, case.result[0].message) if case.result else ("pass", None)


def check_junit(xml, document, name):
    kinds = {"ok": "pass", "ambiguous": "pass", "failed": "Failure", "skipped": "Skipped"}
    rows, cases = document["results"], [case for suite in xml for case in suite]
    interrupted = document["context"].get("interrupted") is True
    demand(len(cases) == len(rows) + interrupted, f"{name}: {len(cases)} tests of {len(rows)} cases")
    demand(len({(case.classname, case.name) for case in cases}) == len(cases), f"{name}: a test stands twice")
    wanted = {kind: sum(kinds[status(row)] == kind for row in rows) for kind in ("Failure", "Skipped")}
    demand((xml.failures, xml.errors, xml.tests) == (wanted["Failure"], interrupted, len(cases)), f"{name}: counts")
    demand(sum(suite.skipped for suite in xml) == wanted["Skipped"], f"{name}: skipped")
    for kind, count in wanted.items():
        demand(sum(result_of(case)[0] == kind for case in cases) == count, f"{name}: {kind}s")
    told = [result_of(case)[1] for case in cases]
    for row in rows:
        if row["status"] in ("failed", "skipped") and isinstance(row.get("reason"), str):
            demand(LOST.sub("\ufffd", row["reason"]) in told, f"{name}: nobody says {row['reason']!r}")
    notes = sum("ambiguous: " in (case.system_out or "") for case in cases)
    demand(notes == sum(status(row) == "ambiguous" for row in rows), f"{name}: {notes} notes")
    times = sorted(case.time for case in cases if case.time is not None)
    medians = sorted(row["time_ns"]["median"] * 1e-9 for row in rows if is_timed(row))
    demand(len(times) == len(medians) and all(map(lambda a, b: math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-12),
                                                  times, medians)), f"{name}: times")


def check_properties(xml, document, name):
    for suite in xml:
        told = {p.name: p.value for p in suite.properties()}
        demand(suite.name == "run" or told.get("synthetic") in ("true", "false"), f"{name}: {suite.name}: {told}")
        gpu = (document["context"].get("gpu") or {}).get("name")
        demand(suite.name == "run" or told.get("gpu") == gpu, f"{name}: {suite.name}: {told}")


def run_junit(bench, root, scratch):
    try:
        from junitparser import JUnitXml
    except ImportError:
        skip("junitparser is not installed: run scripts/setup")
    count = 0
    for name, document in documents.tame(root):
        xml = JUnitXml.fromfile(export(bench, "junit", document, scratch))
        check_junit(xml, document, name)
        check_properties(xml, document, name)
        count += 1
    for name, document in documents.wild(root, ROUNDS):
        path = export(bench, "junit", document, scratch)
        if path is not None:
            cases = [case for suite in JUnitXml.fromfile(path) for case in suite]
            demand(len(cases) >= len(document["results"]), f"{name}: {len(cases)} tests")
            count += 1
    return count


def run_junit_xsd(bench, root, scratch, xmllint):
    if not xmllint or xmllint.endswith("-NOTFOUND"):
        skip("xmllint is not installed (Debian: libxml2-utils)")
    command = [xmllint, "--noout", "--schema", root / "reports/schema/junit.xsd"]
    count = 0
    for name, document in [*documents.tame(root), *documents.wild(root, ROUNDS)]:
        path = export(bench, "junit", document, scratch)
        if path is None:
            continue
        done = subprocess.run([*command, path], capture_output=True, text=True, check=False)
        demand(done.returncode == 0, f"{name}: {done.stderr}")
        count += 1
    for what, broken in (("testsuite", "tests"), (' failures="', ' faults="'), ("<property ", "<propriety "),
                         (' time="0.', ' time="1e-')):
        text = path.read_text()
        demand(what in text, f"the last export has no {what}")
        (scratch / "broken.xml").write_text(text.replace(what, broken))
        done = subprocess.run([*command, scratch / "broken.xml"], capture_output=True, text=True, check=False)
        demand(done.returncode != 0, f"the XSD takes {broken} for {what}")
    return count


def run_json(form, bench, root, scratch):
    check = validator(root, form, {"gha": GHA_REFUSED, "bmf": BMF_REFUSED}[form])
    count = 0
    for name, document in documents.tame(root):
        out = read_json(export(bench, form, document, scratch))
        validate(check, out, name)
        {"gha": check_gha, "bmf": check_bmf}[form](out, document, name)
        count += 1
    for name, document in documents.wild(root, ROUNDS):
        path = export(bench, form, document, scratch)
        if path is not None:
            validate(check, read_json(path), name)
            count += 1
    return count


def main():
    form, bench, root = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        if form == "junit":
            count = run_junit(bench, root, scratch)
        elif form == "junit-xsd":
            count = run_junit_xsd(bench, root, scratch, sys.argv[4] if len(sys.argv) > 4 else "")
        else:
            count = run_json(form, bench, root, scratch)
    demand(count > ROUNDS // 2, f"only {count} documents were written")
    print(f"{form}: {count} documents read")


if __name__ == "__main__":
    main()
