"""Google Benchmark's own compare.py reads our gbench and gbench-median exports, and finds what was put there.

usage: check.py EXPORT RESULTS COMPARE
  EXPORT   the program built from export.c
  RESULTS  a native results file with cases of every status
  COMPARE  compare.py of Debian's libbenchmark-tools; "" where it isn't installed

Every sample of a copy of RESULTS is made half as slow again; compare.py must then report +0.5 for
each timed case, name the cases as we do, and be sure of it (of the median alone it can't be: it is one number). Without
the tool the rules that its
reader relies on are checked, which is less, and the last line says so. Exit: 0, or 1 with a line.
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile

SLOWER = 1.5
CONTEXT = ("date", "host_name", "executable", "num_cpus", "mhz_per_cpu", "cpu_scaling_enabled",
           "caches", "load_avg", "library_build_type", "json_schema_version")
ROW = ("name", "run_name", "family_index", "per_family_instance_index", "run_type", "repetitions",
       "threads", "iterations", "real_time", "cpu_time", "time_unit")


def demand(condition, words):
    if not condition:
        sys.exit(words)


def write_slower(results, path):
    """A copy of the results in which everything took SLOWER times as long."""
    copy = json.loads(json.dumps(results))
    for row in copy["results"]:
        for key, value in row.get("time_ns", {}).items():
            if key in ("median", "lo", "hi", "mad"):
                row["time_ns"][key] = value * SLOWER
            elif key == "samples":
                row["time_ns"][key] = [v * SLOWER for v in value]
    path.write_text(json.dumps(copy))


def refuse_constant(name):
    sys.exit(f"the export holds {name}, which is no JSON")


def check_rules(path, timed, untimed, repetitions):
    """What Google Benchmark's reader relies on (its docs and report.py)."""
    export = json.loads(path.read_text(), parse_constant=refuse_constant)
    for key in CONTEXT:
        demand(key in export["context"], f"context has no {key}")
    seen = {}
    for row in export["benchmarks"]:
        for key in ROW:
            demand(key in row, f"{row.get('name')}: no {key}")
        demand(row["time_unit"] == "ns" and row["run_type"] in ("iteration", "aggregate"),
               f"{row['name']}: unit {row['time_unit']}, run type {row['run_type']}")
        for key, value in row.items():
            demand(not isinstance(value, (dict, list)), f"{row['name']}: {key} is nested")
            demand(not isinstance(value, float) or math.isfinite(value), f"{row['name']}: {key}")
        if row["run_type"] == "iteration":
            demand(row["name"] == row["run_name"], f"{row['name']} runs as {row['run_name']}")
            demand(("error_message" in row) == (row["name"] in untimed), f"{row['name']}: errors")
            seen[row["name"]] = seen.get(row["name"], 0) + 1
        else:
            demand(row["name"] == f"{row['run_name']}_{row['aggregate_name']}", row["name"])
    demand(set(seen) == timed | untimed, f"cases that differ: {set(seen) ^ (timed | untimed)}")
    demand(all(seen[name] == repetitions[name] for name in timed), "repetitions that differ")


def run_compare(tool, scratch, *arguments):
    """compare.py's own account of a comparison, by case."""
    dump = scratch / "compared.json"
    done = subprocess.run([sys.executable, tool, "--no-color", "--dump_to_json", dump, *arguments],
                          capture_output=True, text=True, check=False)
    demand(done.returncode == 0, f"compare.py {arguments[0]}: {done.stdout}{done.stderr}")
    return {case["name"]: case for case in json.loads(dump.read_text())}


def check_slower_medians(compared, timed):
    for name in timed:
        demand(name in compared, f"compare.py doesn't list {name}")
        case = compared[name]
        demand(len(case["measurements"]) == 1 and not case["utest"], f"{name}: {case}")
        demand(abs(case["measurements"][0]["time"] - (SLOWER - 1.0)) < 1e-6, f"{name}: {case}")
        demand(name + "_median" not in compared, f"{name}: an aggregate of one row")


def check_slower(compared, timed, repetitions):
    for name in timed:
        demand(name in compared, f"compare.py doesn't list {name}")
        case = compared[name]
        times = [m["time"] for m in case["measurements"]]
        demand(len(times) == repetitions[name], f"{name}: {len(times)} measurements")
        demand(all(abs(t - (SLOWER - 1.0)) < 1e-6 for t in times), f"{name}: {times}")
        demand(case["utest"]["time_pvalue"] < 0.01, f"{name}: {case['utest']}")
        median = compared[name + "_median"]["measurements"][0]
        demand(abs(median["time"] - (SLOWER - 1.0)) < 1e-6, f"{name}: median {median}")


def check_filters(tool, scratch, export, results):
    """csr against dense within one file: the tool's answer is our ratio of medians."""
    compared = run_compare(tool, scratch, "filters", export, "gemm/dense/", "gemm/csr/")
    medians = {row["key"]: row["time_ns"]["median"] for row in results if "time_ns" in row}
    checked = 0
    for key, old in medians.items():
        new = medians.get(key.replace("gemm/dense/", "gemm/csr/"))
        if not key.startswith("gemm/dense/") or new is None:
            continue
        name = key.replace("gemm/dense/", "[gemm/dense/ vs. gemm/csr/]") + "_median"
        demand(name in compared, f"compare.py filters doesn't list {name}")
        told = compared[name]["measurements"][0]["time"]
        demand(abs(told - (new - old) / old) < 1e-6, f"{name}: {told}")
        checked += 1
    demand(checked > 0, "no case has both csr and dense")


def main():
    exporter, source, tool = sys.argv[1:]
    document = json.loads(pathlib.Path(source).read_text())
    results = document["results"]
    timed = {row["key"] for row in results if "time_ns" in row}
    untimed = {row["key"] for row in results} - timed
    samples = {r["key"]: len(r["time_ns"]["samples"]) for r in results if "time_ns" in r}
    demand(timed and untimed, f"{source} lacks a kind of case")
    demand(min(samples.values()) >= 9, "fewer than the 9 repetitions that compare.py wants")
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        slower = scratch / "slower.json"
        write_slower(document, slower)
        exports = {}
        for writer, repetitions in (("gbench", samples), ("gbench-median", dict.fromkeys(timed, 1))):
            exports[writer] = [scratch / f"{path.stem}.{writer}.json" for path in (pathlib.Path(source), slower)]
            for path, out in zip((source, slower), exports[writer]):
                subprocess.run([exporter, writer, path, out], check=True)
                check_rules(out, timed, untimed, repetitions)
        if not tool:
            print("compare.py is not installed: the exports were checked against its rules alone")
            return
        check_slower(run_compare(tool, scratch, "benchmarks", *exports["gbench"]), timed, samples)
        check_slower_medians(run_compare(tool, scratch, "benchmarks", *exports["gbench-median"]), timed)
        check_filters(tool, scratch, exports["gbench"][0], results)
        print(f"{tool} read {len(timed)} timed cases and {len(untimed)} others, and agrees")


if __name__ == "__main__":
    main()
