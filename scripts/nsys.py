#!/usr/bin/env python3
"""What an nsys timeline of `ortho-bench run --profile` holds: each case's kernels, and whether they
ran within the case's NVTX range. scripts/nsight-capture runs it on what it captured.

usage: nsys.py TIMELINE.sqlite       (nsys export -t sqlite)

exit: 0; 1 when a range or a kernel is missing or out of place; 2 when the file can't be read
"""

import collections
import re
import sqlite3
import sys

DOMAIN = "ortho"
PHASE = "profile"  # the range around a case's: verification has ranges of the same names
PUSH_POP, DOMAIN_CREATE = 59, 75
KEY = re.compile(r"(?:gemm|sieve|pass)/\S+")
PROCESS = 1 << 24  # a globalTid is its globalPid plus the thread's number below this
SLACK_NS = 10_000  # nsys converts the GPU's clock to the host's, which is off by some microseconds

Range = collections.namedtuple("Range", "start end text thread")
Kernel = collections.namedtuple("Kernel", "start end name launched thread")


class Refused(Exception):
    """Why a file can't be judged, in words."""


def columns_of(db, table):
    """The names of a table's columns; none where there is no such table."""
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def rows_of(db, table, wanted):
    """Rows as dictionaries; a column that this version's schema lacks is None."""
    have = columns_of(db, table)
    chosen = [f'"{name}"' if name in have else f'NULL AS "{name}"' for name in wanted]
    if not have:
        return []
    return [dict(zip(wanted, row)) for row in db.execute(f"SELECT {', '.join(chosen)} FROM {table}")]


# ---- reading ------------------------------------------------------------------------------------


def read_ranges(db, strings):
    """Push/pop ranges of our domain. Where the domain's creation isn't in the file (it precedes the
    capture), those that are named as ours are."""
    events = rows_of(db, "NVTX_EVENTS", ("start", "end", "eventType", "text", "textId", "domainId",
                                         "globalTid"))
    for event in events:
        event["name"] = event["text"] or strings.get(event["textId"]) or ""
    ours = {e["domainId"] for e in events if e["eventType"] == DOMAIN_CREATE and e["name"] == DOMAIN}
    return [Range(e["start"], e["end"], e["name"], e["globalTid"]) for e in events
            if e["eventType"] in (PUSH_POP, None) and e["end"] is not None
            and (not ours or e["domainId"] in ours)]


def read_launches(db):
    """(process, correlation) to the host's time and thread of the call that launched."""
    found = {}
    for row in rows_of(db, "CUPTI_ACTIVITY_KIND_RUNTIME", ("start", "correlationId", "globalTid")):
        process = (row["globalTid"] or 0) // PROCESS
        found[process, row["correlationId"]] = (row["start"], row["globalTid"])
    return found


def read_work(db, strings, launches):
    """Kernels, then copies and fills, which are what some cases launch in their place."""
    kernels, copies = [], []
    for table, into in (("CUPTI_ACTIVITY_KIND_KERNEL", kernels),
                        ("CUPTI_ACTIVITY_KIND_MEMCPY", copies), ("CUPTI_ACTIVITY_KIND_MEMSET", copies)):
        for row in rows_of(db, table, ("start", "end", "shortName", "demangledName", "correlationId",
                                       "globalPid")):
            process = (row["globalPid"] or 0) // PROCESS
            launched, thread = launches.get((process, row["correlationId"]), (None, None))
            name = strings.get(row["shortName"]) or strings.get(row["demangledName"]) or "a kernel"
            into.append(Kernel(row["start"], row["end"], name, launched, thread))
    return kernels, copies


def cases_of(ranges):
    """Ranges that are named by a case's key and lie within one of PHASE; all so named, where there is
    no such phase."""
    keyed = [r for r in ranges if KEY.fullmatch(r.text)]
    phases = [r for r in ranges if r.text == PHASE]
    within = [r for r in keyed if any(p.start <= r.start and r.end <= p.end and p.thread == r.thread
                                      for p in phases)]
    return sorted(within if phases else keyed)


# ---- judging ------------------------------------------------------------------------------------


def belongs(kernel, case):
    """Whether it was launched in the range; by its own time, where the call isn't in the file."""
    if kernel.launched is not None:
        return kernel.thread in (None, case.thread) and case.start <= kernel.launched <= case.end
    return kernel.start < case.end and case.start < kernel.end


def place(kernels, cases):
    """The kernels of each case, in the cases' order, and those of none."""
    placed, rest = [[] for _ in cases], []
    for kernel in kernels:
        for case, own in zip(cases, placed):
            if belongs(kernel, case):
                own.append(kernel)
                break
        else:
            rest.append(kernel)
    return placed, rest


def strays(case, kernels):
    return [k for k in kernels if k.start < case.start - SLACK_NS or k.end > case.end + SLACK_NS]


def faults(cases, placed, copies):
    """What is wrong, a line each."""
    for case, kernels, transfers in zip(cases, placed, copies):
        if not kernels and not transfers:
            yield f"{case.text}: nothing was launched in its range"
        for kernel in strays(case, kernels):
            early, late = case.start - kernel.start, kernel.end - case.end
            yield (f"{case.text}: {kernel.name} ran {max(early, late)} ns "
                   f"{'before' if early > late else 'after'} its range")


def summary(kernels):
    """Names with counts, the most frequent first."""
    counts = collections.Counter(kernel.name for kernel in kernels).most_common()
    shown = ", ".join(f"{name} {count}" for name, count in counts[:6])
    return shown + (f" and {len(counts) - 6} more" if len(counts) > 6 else "")


def judge(path):
    """Prints a line a case and the verdict; the exit code."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    strings = {row["id"]: row["value"] for row in rows_of(db, "StringIds", ("id", "value"))}
    cases = cases_of(read_ranges(db, strings))
    kernels, copies = read_work(db, strings, read_launches(db))
    if not cases:
        raise Refused(f"no case's range of the NVTX domain '{DOMAIN}' is in {path}: capture with "
                      "-t cuda,nvtx and --profile")
    if not kernels:
        raise Refused(f"no kernel is in {path}: capture with -t cuda,nvtx on a GPU")
    placed, rest = place(kernels, cases)
    transfers = place(copies, cases)[0]
    print(f"{'kernels':>7} {'copies':>6} {'total ns':>10}  case")
    for case, own, moved in zip(cases, placed, transfers):
        total = sum(k.end - k.start for k in own + moved)
        print(f"{len(own):7} {len(moved):6} {total:10}  {case.text}")
    if rest:
        print(f"outside the cases' ranges, as preparation, flushes and verification are: {summary(rest)}")
    wrong = list(faults(cases, placed, transfers))
    for line in wrong:
        print(f"FAIL {line}")
    inside = len(kernels) - len(rest)
    print(f"nsys: {len(cases)} cases, {inside} kernels"
          + (f", {len(wrong)} faults" if wrong else ", each within its case's range"))
    return 1 if wrong else 0


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    try:
        sys.exit(judge(sys.argv[1]))
    except Refused as why:
        print(f"nsys: FAIL: {why}")
        sys.exit(1)
    except sqlite3.Error as error:
        print(f"nsys: {sys.argv[1]} can't be read: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
