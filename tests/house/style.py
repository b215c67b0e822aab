"""What clang-format doesn't see: files under 500 lines, no tab, no trailing blank, a final newline.

usage: style.py ROOT               exit 1 and one line for each violation
       style.py --self-test ROOT   plants violations and demands that each is found
"""

import pathlib
import sys
import tempfile

SUFFIXES = {".c", ".h", ".cpp", ".cu", ".cuh", ".py", ".sh", ".cmake", ".md", ".json", ".bats"}
FOLDERS = ("include", "common", "kernels", "variants", "datasets", "reports", "lib", "harness",
           "cmake", "scripts", "tests", "python", "docs", ".ci")
MAX_LINES = 500
LONG_BY_NATURE = {".md", ".json"}  # prose and data


def is_ours(path):
    if path.suffix in SUFFIXES:
        return "seeds" not in path.parts and "golden" not in path.parts
    return path.parent.name in ("scripts", ".ci") and path.suffix == ""


def faults(path, text):
    lines = text.split("\n")
    if len(lines) - 1 >= MAX_LINES and path.suffix not in LONG_BY_NATURE:
        yield f"{len(lines) - 1} lines; {MAX_LINES} is too long"
    if text and not text.endswith("\n"):
        yield "no newline at its end"
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            yield f"{number}: a tab"
        if line != line.rstrip():
            yield f"{number}: a blank at the end of the line"


def violations(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and is_ours(path.relative_to(root)):
                for fault in faults(path, path.read_bytes().decode()):
                    yield f"{path.relative_to(root)}: {fault}"


def self_test():
    for text in ("a\tb\n", "a \n", "a", "a\r\n", "a\n" * MAX_LINES):
        with tempfile.TemporaryDirectory() as scratch:
            path = pathlib.Path(scratch) / "common" / "planted.c"
            path.parent.mkdir()
            path.write_text(text, newline="")
            if not list(violations(pathlib.Path(scratch))):
                sys.exit(f"not caught: {text[:20]!r}")


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    found = list(violations(pathlib.Path(sys.argv[-1])))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
