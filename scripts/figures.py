"""Figures of results files: medians over processes, floors, and how they are written.

scripts/readme-tables makes its tables of them.
"""

import math
import statistics

RULE_READS = {"outlier": 4, "residual": 2, "legacy": 2}  # of W: docs/GPU.md, "The sieve's floors"


def digits(value, count=3):
    """So many significant digits, no exponent."""
    if value <= 0:
        return "0"
    value = float(f"{value:.{count}g}")
    decimals = max(0, count - 1 - math.floor(math.log10(value)))
    return f"{value:,.{decimals}f}"


def scaled(value, units):
    for factor, unit in units:
        if value >= factor:
            return f"{digits(value / factor)} {unit}"
    return f"{digits(value)} {units[-1][1]}"


def duration(ns):
    return scaled(ns, ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")))


def size(count):
    return scaled(count, ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")))


def name_of(row):
    """What a row is called in a table: its variant, of a pass its form unless that is single, and its
    activations unless they are exact."""
    form, activations = row.get("form", "single"), row.get("activations", "exact")
    return (row["variant"] + ("" if form == "single" else f"/{form}") +
            ("" if activations == "exact" else f"/{activations}"))


def state_of(row):
    """ok, ambiguous, failed, skipped or absent. No number without a verdict."""
    if row is None:
        return "absent"
    if row["status"] not in ("ok", "ambiguous"):
        return row["status"]
    verified = row.get("verified", {})
    if any(verified.get(when) not in ("pass", "n/a") for when in ("before", "after")):
        return "failed"
    return row["status"] if row.get("time_ns", {}).get("median", 0) > 0 else "failed"


class Figure:
    """What the processes say of one variant in one place."""

    WORST = ("failed", "skipped", "absent", "ambiguous", "ok")

    def __init__(self, rows):
        self.rows = rows or [None]
        self.state = min((state_of(r) for r in self.rows), key=self.WORST.index)
        self.timed = self.state in ("ok", "ambiguous")
        self.ns = self.median(lambda r: r["time_ns"]["median"]) if self.timed else None

    def median(self, of):
        values = [of(r) for r in self.rows if r is not None]
        return statistics.median(values) if values and None not in values else None

    def spread(self):
        """Half of the range over processes, else of the interval in the one, as a share."""
        if len(self.rows) > 1:
            medians = [r["time_ns"]["median"] for r in self.rows]
            return (max(medians) - min(medians)) / 2 / self.ns
        time = self.rows[0]["time_ns"]
        return (time["hi"] - time["lo"]) / 2 / self.ns

    def over(self, baseline):
        """Median of the speed-ups in each process; None without a baseline that has a time."""
        if not self.timed or not baseline.timed or baseline is self:
            return None
        return statistics.median(b["time_ns"]["median"] / r["time_ns"]["median"]
                                 for b, r in zip(baseline.rows, self.rows))

    def floor(self):
        return self.median(lambda r: r.get("floor_ns")) if self.timed else None

    def word(self):
        """What stands for a time that there isn't."""
        return {"absent": "–", "failed": "**failed**", "skipped": "skipped"}[self.state]

    def time(self, write):
        if not self.timed:
            return self.word()
        mark = "~ " if self.state == "ambiguous" else ""
        return f"{mark}{write(self.ns)} ± {digits(100 * self.spread(), 2)} %"

    def share(self):
        floor = self.floor()
        return f"{digits(100 * floor / self.ns)} %" if floor else "–"


def sieve_outputs(row):
    """Bytes that a sieve must write: q, scales, row pointers, columns and values."""
    n, k, nnz = row["n"], row["k"], row["nnz"]
    group = k if row["group"] == "row" else int(row["group"])
    entry = (2 if k <= 65536 else 4) + 2
    return n * ((k + 1) // 2) + 2 * n * math.ceil(k / group) + 4 * (n + 1) + nnz * entry


def over_reads(row):
    """Time over the floor of the reads of W that the rule needs; a row's own counts one read."""
    if not row.get("floor_ns") or not row.get("bytes") or row.get("nnz") is None:
        return None
    more = (RULE_READS[row["rule"]] - 1) * (row["bytes"] - sieve_outputs(row))
    return row["time_ns"]["median"] / (row["floor_ns"] * (1 + more / row["bytes"]))


def ratio(value):
    return f"{digits(value)}×" if value else ""
