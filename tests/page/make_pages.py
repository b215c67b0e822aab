"""Makes the pages that the other tests of this folder look at.

usage: make_pages.py ORTHO_BENCH SOURCE_DIR OUT

OUT/NAME/index.html, and OUT/sources/NAME.json with the native document that each was made of.
"""
import json
import pathlib
import shutil
import subprocess
import sys

# Ends an element, an attribute, a script, a line; turns the reading order; is longer than any cell.
HOSTILE = ("<script>window.pwned=1</script><img src=x onerror=window.pwned=2>\"'&quot;&amp;</script></style></title>"
           "-->]]>\u2028\u2029\u202e\u200f\\u003c \\\\u003c \t\r\n")
LONG = "W" * 300


def poison(value):
    """Every string of a document, and what it calls its keys where it may."""
    if isinstance(value, dict):
        return {key: poison(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [poison(inner) for inner in value]
    return HOSTILE + LONG if isinstance(value, str) else value


def hostile(document):
    rows = [dict(row) for row in document["results"][:12]]
    for number, row in enumerate(rows):
        kept = {key: row[key] for key in ("status", "verified", "role") if key in row}
        row.update(poison({key: value for key, value in row.items() if key not in kept}))
        row["variant"] = f"{HOSTILE}{number}" if number % 2 else LONG + str(number)
        row["counters"] = {HOSTILE: {"status": "ok", "value": 1.0, "unit": HOSTILE},
                           LONG: {"status": "n/a", "reason": HOSTILE}}
        row["kernels"] = [{"name": HOSTILE, "threads": 1, "registers": 2, "shared_bytes": 3, "spilled_bytes": 4}]
    return {"schema": document["schema"], "context": poison(document["context"]) | {HOSTILE: {LONG: [HOSTILE, 1]}},
            "results": rows}


def hostile_comparison(document):
    made = poison(document)
    made["schema"] = document["schema"]
    for before, after in zip(document["cases"], made["cases"]):
        after["verdict"] = before["verdict"]
    return made


def write(path, document):
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def main():
    bench, source, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    shutil.rmtree(out, ignore_errors=True)
    given = out / "sources"
    given.mkdir(parents=True)
    example, gpu = source / "tests/schema/example.json", source / "tests/schema/example-gpu.json"
    comparison = source / "tests/page/comparison.json"
    cpu_document, compared = (json.loads(path.read_text(encoding="utf-8")) for path in (example, comparison))
    nothing = cpu_document | {"results": []}
    bad = given / "<img src=x onerror=window.pwned=3>.json"
    pages = {
        "example": [example],
        "gpu": [gpu],
        "gemm": [source / "reports/results/h100/gemm-m1-1.json"],
        "counters": [source / "reports/results/h100/counters-1.json"],
        "comparison": [shutil.copy(comparison, given / "comparison.json"), example, gpu],
        "nothing": [write(given / "nothing.json", nothing)],
        "hostile": [write(bad, hostile(cpu_document)),
                    write(given / "hostile-comparison.json", hostile_comparison(compared))],
    }
    for name, files in pages.items():
        subprocess.run([bench, "report", *map(str, files), "-o", str(out / name), "--quiet"], check=True)
        write(given / f"{name}.list", [str(path) for path in files])


if __name__ == "__main__":
    main()
