"""What Nsight's programs write, made up: timelines in SQLite, and ncu's CSV.

usage: make_nsight.py timeline FILE [FAULT]   FAULT: late, empty, no-ranges, no-kernels, no-domain, plain
       make_nsight.py csv FILE [FAULT]        FAULT: count, dram, no-ranges, short, order, scaled, long, lost
       make_nsight.py results FILE [FAULT]    FAULT: uncounted
"""

import csv
import json
import sqlite3
import sys

CSR = "gemm/csr/cuda/L0.k/m1/d0.01/outlier/g128/fp16/cold"
ROWS = CSR + "/lognormal:1"  # a key that another begins, and that has a colon
SIEVE = "sieve/csr/cuda/L0.k/d0.01/outlier/g128/cold"
COPY = "gemm/memcpy/cuda/L0.k/m1/d0.01/outlier/g128/fp16/cold"
TID = 7 << 24 | 3


# ---- timelines ----------------------------------------------------------------------------------


class Timeline:
    """The tables that nsys exports, of one process and one thread."""

    def __init__(self, path, plain):
        self.db = sqlite3.connect(path)
        self.strings = {}
        self.correlation = 0
        self.plain = plain  # an older schema: fewer columns, no launches
        self.db.executescript("""
            CREATE TABLE StringIds (id INTEGER, value TEXT);
            CREATE TABLE NVTX_EVENTS (start INTEGER, end INTEGER, eventType INTEGER, text TEXT,
                                      textId INTEGER, domainId INTEGER, globalTid INTEGER);
            CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (start INTEGER, end INTEGER, bytes INTEGER,
                                                     correlationId INTEGER, globalPid INTEGER);""")
        if plain:
            self.db.execute("CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER, "
                            "demangledName INTEGER)")
        else:
            self.db.executescript("""
                CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER, end INTEGER,
                                                          globalTid INTEGER, correlationId INTEGER);
                CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER, shortName INTEGER,
                    demangledName INTEGER, correlationId INTEGER, globalPid INTEGER);""")

    def string(self, text):
        if text not in self.strings:
            self.strings[text] = len(self.strings) + 1
            self.db.execute("INSERT INTO StringIds VALUES (?, ?)", (self.strings[text], text))
        return self.strings[text]

    def event(self, start, end, text, *, kind=59, registered=False, domain=1):
        self.db.execute("INSERT INTO NVTX_EVENTS VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (start, end, kind, None if registered else text,
                         self.string(text) if registered else None, domain, TID))

    def work(self, table, launched, start, end, name):
        self.correlation += 1
        if self.plain and table == "KERNEL":
            self.db.execute("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?, ?, ?)",
                            (start, end, self.string(name)))
            return
        if not self.plain:
            self.db.execute("INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (?, ?, ?, ?)",
                            (launched, launched + 500, TID, self.correlation))
        what = (0,) if table == "MEMCPY" else (self.string(name), self.string(f"void {name}(int)"))
        self.db.execute(f"INSERT INTO CUPTI_ACTIVITY_KIND_{table} VALUES "
                        f"({', '.join('?' * (4 + len(what)))})",
                        (start, end, *what, self.correlation, TID >> 24 << 24))


def case(timeline, at, key, phase="profile"):
    timeline.event(at, at + 90_000, phase, registered=True)
    timeline.event(at + 1_000, at + 89_000, key)


def timeline(path, fault):
    made = Timeline(path, fault == "plain")
    if fault != "no-domain":
        made.event(0, None, "ortho", kind=75)
    made.event(0, None, "another", kind=75, domain=2)
    made.event(0, 10_000_000, "gemm/not/ours", domain=2)
    if fault != "no-ranges":
        case(made, 1_000_000, CSR, "verify")
        case(made, 2_000_000, CSR)
        case(made, 3_000_000, COPY)
    if fault != "no-kernels":
        made.work("KERNEL", 1_010_000, 1_020_000, 1_030_000, "csr_rows")
        made.work("KERNEL", 1_500_000, 1_510_000, 1_590_000, "evict_kernel")
        if fault != "empty":
            made.work("KERNEL", 2_010_000, 2_020_000, 2_030_000, "csr_rows")
            late = 200_000 if fault == "late" else 0
            made.work("KERNEL", 2_040_000, 2_045_000 + late, 2_050_000 + late, "csr_sum")
    made.work("MEMCPY", 3_010_000, 3_020_000, 3_030_000, "copy")
    made.db.commit()


# ---- ncu's CSV ----------------------------------------------------------------------------------

INSTRUCTIONS, THREADS = "smsp__inst_executed.sum", "smsp__thread_inst_executed.sum"
DIVERGENT = "smsp__sass_branch_targets_threads_divergent.sum"
READ, WRITTEN = "dram__bytes_read.sum", "dram__bytes_write.sum"
METRICS = (INSTRUCTIONS, THREADS, DIVERGENT, READ, WRITTEN)
UNITS = ("inst", "inst", "", "byte", "byte")
RANGES = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
NAME = "void <unnamed>::{}<float, 1>(view, int)"

# (key, kernel, phase, values)
LAUNCHES = [
    (None, "evict_kernel", None, (9, 9, 0, 9, 9)),
    (CSR, "csr_rows", "verify", (1000, 9000, 7, 1_000_000, 10)),
    (CSR, "csr_rows", "profile", (1000, 9000, 7, 1_000_000, 10)),
    (CSR, "csr_sum", "profile", (200, 6400, 0, 300_000, 10)),
    (ROWS, "csr_rows", "profile", (5000, 90000, 70, 1_000_000, 10)),
    (SIEVE, "sieve_kernel", "profile", (100_000, 3_200_000, 500, 8_000_000, 4096)),
]


def stack(key, phase):
    ranges = ["blk.0.attn_k.weight", phase, key] if key else []
    return "1 " + " ".join(f'"ortho:{text}:none:none:none:none:none"' for text in ranges) if ranges else ""


def altered(fault, launches):
    made = [[key, kernel, phase, list(values)] for key, kernel, phase, values in launches]
    if fault == "count":
        made[3][3][0] += 1
    elif fault == "dram":
        made[3][3][3] += 100_000
    elif fault == "lost":
        del made[4]
    if fault in ("no-ranges", "short", "order"):
        made = [launch for launch in made if launch[2] != "verify"]
    if fault == "short":
        made.pop()
    elif fault == "order":
        made[1], made[4] = made[4], made[1]
    return made


def ncu(path, fault):
    launches = altered(fault, LAUNCHES)
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write("==PROF== Connected to process 7\n")
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        ranged = [RANGES] if fault not in ("no-ranges", "short", "order") else []
        fixed = ["ID", "Process ID", *ranged, "Kernel Name"]
        if fault == "long":
            writer.writerow([*fixed, "Section Name", "Metric Name", "Metric Unit", "Metric Value"])
        else:
            writer.writerow([*fixed, "gpu__time_duration.sum", *METRICS])
            bytes_in = "Kbyte" if fault == "scaled" else "byte"
            writer.writerow([""] * len(fixed)
                            + ["ns", *(bytes_in if unit == "byte" else unit for unit in UNITS)])
        for at, (key, kernel, phase, values) in enumerate(launches):
            head = [at, 7, *([stack(key, phase)] if ranged else []), NAME.format(kernel)]
            if fault == "long":
                for metric, unit, value in zip(METRICS, UNITS, values):
                    writer.writerow([*head, "Command line profiler metrics", metric, unit, f"{value:,}"])
            else:
                writer.writerow([*head, "1,500", *(f"{value:,}" for value in values)])


# ---- results ------------------------------------------------------------------------------------


def row(key, kernels, values, **more):
    counters = {name: {"value": value, "unit": "1", "status": "ok", "code": 0, "group": "x"}
                for name, value in zip(METRICS, values)}
    return {"key": key, "op": key.split("/")[0], "variant": key.split("/")[1], "status": "ok",
            "counters": counters,
            "activity": {"status": "ok", "kernels": [{"name": name} for name in kernels]}, **more}


def results(path, fault):
    rows = [row(CSR, ["csr_rows", "_ZN12_GLOBAL__N_17csr_sumIfEEvi"], (1200, 15400, 7, 1_310_000, 999)),
            row(ROWS, ["csr_rows"], (5000, 90000, 70, 1_010_000, 0)),
            row(SIEVE, ["sieve_kernel"], (100_900, 3_200_000, 500, 8_000_000, 4096)),
            row(COPY, [], (0, 0, 0, 600_000, 0)),
            {"key": "gemm/dense/x", "op": "gemm", "variant": "dense", "status": "skipped",
             "reason": "no memory"}]
    if fault == "uncounted":
        for one in rows:
            one["counters"] = {name: {"status": "n/a", "code": 35, "reason": "no permission"}
                               for name in METRICS}
    options = {"op": "gemm", "variant": "csr,memcpy", "model": "random:64x128", "alpha": "-0.5",
               "counters": "divergence,dram", "require-counters": "true", "out": "/tmp/x.json",
               "report": "/tmp/report", "trace": "t.json", "plot": "p", "format": "table",
               "quiet": "true", "plugin": "a.so,b.so"}
    document = {"schema": "ortho-bench/1", "context": {"options": options}, "results": rows}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)


if __name__ == "__main__":
    {"timeline": timeline, "csv": ncu, "results": results}[sys.argv[1]](
        sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
