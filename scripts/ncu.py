#!/usr/bin/env python3
"""The kernels of what `ncu --csv` wrote: scripts/readme-tables makes tables of them, scripts/compare-ncu
sets them beside our own counters. Run alone it names a capture's cases.

usage: ncu.py [--keys] KERNELS.csv      --keys: the cases' keys alone

exit: 0; 1 when no case's kernels are in it
"""

import csv
import re
import sys

DURATION = "gpu__time_duration.sum"
METRICS = {DURATION: "ns",
           "smsp__issue_active.avg.pct_of_peak_sustained_active": "issues",
           "dram__bytes.sum": "bytes"}

# A case's key within a column of ranges: `1 "ortho:profile:none:…" "ortho:gemm/csr/…:none:…"`, where a
# colon ends it but for the one of lognormal:SIGMA.
KEY = re.compile(r"\b(?:gemm|sieve|pass)/[^\s:\"]+(?:(?<=/lognormal):[\d.eE+-]+)?")
PHASE = re.compile(r"(?<![\w/-])profile(?![\w/-])")
FLUSH = "evict_kernel"  # the harness's own, between cases


class Refused(Exception):
    """Why a file can't be used, in words."""


# ---- reading ------------------------------------------------------------------------------------


def table(path):
    """The rows as dictionaries, from the header on: ncu's own messages may stand before it."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = file.readlines()
    for at, line in enumerate(lines):
        if '"ID"' in line and '"Kernel Name"' in line or line.startswith("ID,"):
            return list(csv.DictReader(lines[at:]))
    raise Refused(f"{path} isn't what `ncu --csv` writes: no line has the columns ID and Kernel Name")


def number(text):
    """ncu groups digits by commas; None for what is no number."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def ranges_of(row):
    """What its columns say of NVTX ranges, one text."""
    return " ".join(value or "" for name, value in row.items()
                    if name and ("Push/Pop" in name or "NVTX" in name.upper()))


def new_launch(row):
    kernel = re.search(r"(\w+)_kernel\b", row["Kernel Name"])
    ranges = ranges_of(row)
    keys = KEY.findall(ranges)
    return {"name": row["Kernel Name"], "kernel": kernel.group(1) if kernel else row["Kernel Name"],
            "key": keys[-1] if keys else None, "profiled": bool(PHASE.search(ranges)),
            "metrics": {}, "units": {}}


def records(path):
    """One dictionary a launch, in order: `name`, `kernel`, `key` (None: in no case's range), `metrics`
    and `units` by metric. Takes both pages: a metric a row (details), a metric a column (raw)."""
    found, units = {}, {}
    for row in table(path):
        if not (row["ID"] or "").strip():
            units = row  # the raw page's second line
            continue
        launch = found.setdefault(int(row["ID"]), new_launch(row))
        if "Metric Name" in row:
            values = {row["Metric Name"]: (row["Metric Value"], row.get("Metric Unit"))}
        else:
            values = {name: (text, units.get(name)) for name, text in row.items() if "__" in (name or "")}
        for name, (text, unit) in values.items():
            if number(text or "") is not None:
                launch["metrics"][name] = number(text)
                launch["units"][name] = unit or ""
    return [found[at] for at in sorted(found)]


def launches(path):
    """One dictionary a launch, in order: `kernel`, its whole `name`, and METRICS' values."""
    return [{"name": launch["name"], "kernel": launch["kernel"],
             **{METRICS[name]: value for name, value in launch["metrics"].items() if name in METRICS}}
            for launch in records(path)]


def one_run(every, first):
    """Launches from the first whose kernel is `first`, around to it again: runs follow each other, and
    the file may begin in the middle of one. None where it doesn't hold a whole one."""
    names = [launch["name"] for launch in every]
    for period in range(1, len(names)):
        if names[period:] == names[:-period]:
            break
    else:
        return None
    starts = [i for i in range(period) if every[i]["kernel"] == first]
    return every[starts[0]:period] + every[:starts[0]] if starts else None


def by_case(every):
    """Each case's launches by its key, in order. Verification has ranges of the same keys: where a
    launch lies in the phase that profiles, only such count."""
    phased = any(launch["profiled"] for launch in every)
    found = {}
    for launch in every:
        if launch["key"] is not None and (launch["profiled"] or not phased):
            found.setdefault(launch["key"], []).append(launch)
    return found


# ---- main ---------------------------------------------------------------------------------------


def show(cases):
    print(f"{'kernels':>7} {'total ns':>10}  case")
    for key, own in cases.items():
        times = [launch["metrics"].get(DURATION) for launch in own]
        total = "-" if None in times else f"{sum(times):.0f}"
        print(f"{len(own):7} {total:>10}  {key}")


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if arguments else 2)
    try:
        cases = by_case(records(arguments[-1]))
        if not cases:
            raise Refused(f"{arguments[-1]} holds no kernel in a case's range: capture with --nvtx, "
                          "as scripts/ncu-capture does")
    except (Refused, OSError) as why:
        sys.exit(f"ncu.py: {why}")
    if arguments[0] == "--keys":
        print("\n".join(cases))
    else:
        show(cases)


if __name__ == "__main__":
    main()
