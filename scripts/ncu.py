"""The kernels of one run, from what `ncu --csv` wrote of several: scripts/readme-tables makes tables
of them.
"""

import csv
import re

METRICS = {"gpu__time_duration.sum": "ns",
           "smsp__issue_active.avg.pct_of_peak_sustained_active": "issues",
           "dram__bytes.sum": "bytes"}


def launches(path):
    """One dictionary a launch, in order: `kernel`, its whole `name`, and METRICS' values."""
    found = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = row["Kernel Name"]
            kernel = re.search(r"(\w+)_kernel\b", name)
            launch = found.setdefault(int(row["ID"]), {
                "name": name, "kernel": kernel.group(1) if kernel else name})
            if row["Metric Name"] in METRICS:
                launch[METRICS[row["Metric Name"]]] = float(row["Metric Value"].replace(",", ""))
    return [found[number] for number in sorted(found)]


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
