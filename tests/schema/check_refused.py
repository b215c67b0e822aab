#!/usr/bin/env python3
"""Breaks the examples in one way at a time and asks check_schema.py to refuse each: check_refused.py SCHEMA EXAMPLE
GPU-EXAMPLE. Each breach is a sentence of docs/RESULTS.md that a document must not get away with."""
import copy
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def first(document, **wanted):
    return next(r for r in document["results"] if all(r.get(k) == v for k, v in wanted.items()))


def ok(d):
    return first(d, status="ok", variant="csr", op="gemm")


def in_processes(d, counts, *statuses):
    ok(d)["time_ns"].update(processes=counts)
    d["context"].update(processes=[{"status": s} if s == "ok" else {"status": s, "reason": "killed by signal 9"}
                                   for s in statuses])


BREACHES = {
    "another-schema": lambda d: d.update(schema="ortho-bench/2"),
    "no-context": lambda d: d.pop("context"),
    "results-no-list": lambda d: d.update(results={}),
    "unknown-status": lambda d: ok(d).update(status="fine"),
    "unknown-key": lambda d: ok(d).update(gflops=3.0),
    "ok-without-time": lambda d: ok(d).pop("time_ns"),
    "ok-without-verified": lambda d: ok(d).pop("verified"),
    "ok-with-failed-verdict": lambda d: ok(d)["verified"].update(after="fail"),
    "ok-verified-only-before": lambda d: ok(d)["verified"].pop("after"),
    "failed-with-time": lambda d: first(d, status="failed").update(time_ns=ok(d)["time_ns"]),
    "skipped-with-time": lambda d: first(d, status="skipped").update(time_ns=ok(d)["time_ns"]),
    "skipped-without-reason": lambda d: first(d, status="skipped").pop("reason"),
    "ambiguous-without-reason": lambda d: first(d, status="ambiguous").pop("reason"),
    "zero-for-absent": lambda d: ok(d)["time_ns"].update(median=0),
    "null-for-absent": lambda d: ok(d).update(floor_ns=None),
    "text-for-number": lambda d: ok(d).update(density="0.01"),
    "sieve-with-m": lambda d: first(d, op="sieve").update(m=1),
    "sieve-with-activations": lambda d: first(d, op="sieve").update(activations="int8"),
    "unknown-activations": lambda d: ok(d).update(activations="int4"),
    "gemm-with-quality": lambda d: ok(d).update(quality={"nnz": 1}),
    "short-histogram": lambda d: ok(d)["divergence"]["predicted"].update(histogram=[0.0] * 32),
    "lanes-above-one": lambda d: ok(d)["divergence"]["predicted"].update(value=1.5),
    "lanes-unlike-histogram": lambda d: ok(d)["divergence"]["predicted"].update(value=0.99),
    "interval-off-median": lambda d: ok(d)["time_ns"].update(lo=ok(d)["time_ns"]["hi"], hi=ok(d)["time_ns"]["hi"]),
    "processes-short-of-samples": lambda d: in_processes(d, [10, 13], "ok", "ok"),
    "processes-none": lambda d: in_processes(d, [], "ok"),
    "processes-empty": lambda d: in_processes(d, [0, 24], "ok", "ok"),
    "processes-not-finished": lambda d: in_processes(d, [12, 12], "ok", "failed"),
    "process-failed-without-reason": lambda d: d["context"].update(processes=[{"status": "failed"}]),
    "key-twice": lambda d: d["results"].append(copy.deepcopy(ok(d))),
    "not-a-number": lambda d: ok(d).update(bytes=float("nan")),
}


def one_pass(d):
    return first(d, status="ok", l2="pass", variant="csr")


def a_counter(d):
    return ok(d)["counters"]["memory.dram_read"]


GPU_BREACHES = {
    "gpu-without-name": lambda d: d["context"]["gpu"].pop("name"),
    "gpu-clock-zero-for-absent": lambda d: d["context"]["gpu"]["clocks"].update(sm_max_mhz=0),
    "gpu-ecc-as-text": lambda d: d["context"]["gpu"].update(ecc="on"),
    "no-throttled-sample": lambda d: ok(d)["time_ns"].update(throttled=[]),
    "throttled-beyond-samples": lambda d: ok(d)["time_ns"].update(throttled=[24]),
    "throttled-twice": lambda d: ok(d)["time_ns"].update(throttled=[2, 2]),
    "throttle-as-text": lambda d: ok(d)["clocks"].update(throttle="sw-power-cap"),
    "clock-without-range": lambda d: ok(d)["clocks"].update(sm_mhz=1980.0),
    "reading-without-time": lambda d: ok(d)["clocks"]["readings"][0].pop("s"),
    "reading-of-nothing": lambda d: ok(d)["clocks"].update(readings=[{"s": 0.5}]),
    "no-reading": lambda d: ok(d)["clocks"].update(readings=[]),
    "readings-of-all-samples": lambda d: ok(d)["clocks"].update(readings=[{"s": 0.5, "sm_mhz": 1980.0}] * 33),
    "readings-run-backwards": lambda d: ok(d)["clocks"]["readings"].reverse(),
    "reading-throttled-false": lambda d: ok(d)["clocks"]["readings"][0].update(throttled=False),
    "kernel-without-name": lambda d: ok(d)["kernels"][0].pop("name"),
    "pass-with-layer": lambda d: one_pass(d).update(layer=0),
    "pass-with-shape": lambda d: one_pass(d).update(n=3072, k=3072),
    "pass-without-linears": lambda d: one_pass(d).pop("linears"),
    "pass-another-form": lambda d: one_pass(d).update(form="threaded"),
    "pass-single-with-grouping": lambda d: one_pass(d).update(form="single", grouping="weights concatenated"),
    "pass-grouping-in-other-words": lambda d: first(d, form="grouped").update(grouping="side by side"),
    "pass-ratio-off-interval": lambda d: first(d, status="ok", form="persistent")["speedup_grouped"].update(ratio=9.0),
    "slice-with-form": lambda d: ok(d).update(form="single"),
    "slice-over-grouped": lambda d: ok(d).update(speedup_grouped=ok(d)["speedup"]),
    "slice-with-linears": lambda d: ok(d).update(linears=196),
    "slice-with-tokens": lambda d: ok(d).update(tokens_per_s=one_pass(d)["tokens_per_s"]),
    "measured-without-status": lambda d: ok(d)["divergence"]["measured"].pop("status"),
    "measured-another-status": lambda d: ok(d)["divergence"]["measured"].update(status="pending"),
    "measured-na-with-value": lambda d: ok(d)["divergence"]["measured"].update(status="n/a", reason="busy"),
    "measured-na-without-reason": lambda d: ok(d)["divergence"].update(measured={"status": "n/a"}),
    "measured-without-value": lambda d: ok(d)["divergence"]["measured"].pop("value"),
    "measured-unlike-histogram": lambda d: ok(d)["divergence"]["measured"].update(value=0.99, difference=2.0),
    "measured-difference-off": lambda d: ok(d)["divergence"]["measured"].update(difference=0.5),
    "measured-in-skipped": lambda d: first(d, status="skipped").update(
        divergence={"measured": ok(d)["divergence"]["measured"]}),
    "kernel-above-one": lambda d: ok(d)["divergence"]["kernel"].update(branch_efficiency=81.5),
    "exact-without-histogram": lambda d: ok(d)["divergence"].update(exact={"value": 0.5}),
    "counter-without-code": lambda d: a_counter(d).pop("code"),
    "counter-ok-with-code": lambda d: a_counter(d).update(code=35),
    "counter-ok-without-value": lambda d: a_counter(d).pop("value"),
    "counter-na-with-value": lambda d: a_counter(d).update(status="n/a", reason="busy", code=26),
    "counter-as-number": lambda d: ok(d)["counters"].update({"memory.dram_read": 5}),
    "no-counter": lambda d: ok(d).update(counters={}),
    "counters-in-skipped": lambda d: first(d, status="skipped").update(counters=ok(d)["counters"]),
    "activity-na-without-reason": lambda d: ok(d).update(activity={"status": "n/a"}),
    "activity-without-time": lambda d: ok(d)["activity"].pop("ns"),
    "activity-difference-off": lambda d: ok(d)["activity"].update(difference=0.04),
    "activity-agrees-off": lambda d: ok(d)["activity"].update(agrees=False),
    "activity-flat-grid": lambda d: ok(d)["activity"]["kernels"][0].update(grid=[512]),
    "cupti-na-without-reason": lambda d: d["context"].update(cupti={"status": "n/a", "cure": "install it"}),
    "cupti-ok-with-cure": lambda d: d["context"]["cupti"].update(cure="install it"),
    "tokens-off-interval": lambda d: one_pass(d)["tokens_per_s"].update(value=1.0),
}


def main():
    schema = sys.argv[1]
    examples = []
    for path in sys.argv[2:4]:
        with open(path, encoding="utf-8") as f:
            examples.append(json.load(f))
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, breach in (BREACHES | GPU_BREACHES).items():
            document = copy.deepcopy(examples[name in GPU_BREACHES])
            breach(document)
            files.append("!" + os.path.join(folder, name + ".json"))
            with open(files[-1][1:], "w", encoding="utf-8") as f:
                json.dump(document, f)
        return subprocess.run([sys.executable, os.path.join(HERE, "check_schema.py"), schema, *files]).returncode


if __name__ == "__main__":
    sys.exit(main())
