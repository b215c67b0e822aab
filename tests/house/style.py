"""What clang-format doesn't see: files under 500 lines, no tab, no trailing blank, a final newline; and
nothing in the repository that was downloaded or left behind.

usage: style.py ROOT               exit 1 and one line for each violation
       style.py --self-test ROOT   plants violations and demands that each is found
"""

import pathlib
import subprocess
import sys
import tempfile

SUFFIXES = {".c", ".h", ".cpp", ".cu", ".cuh", ".py", ".sh", ".cmake", ".md", ".json", ".bats", ".yml"}
FOLDERS = ("include", "common", "kernels", "variants", "datasets", "reports", "lib", "harness",
           "cmake", "scripts", "tests", "python", "docs", ".ci", ".github")
MAX_LINES = 500
LONG_BY_NATURE = {".md", ".json"}  # prose and data
MAX_BYTES = 2 << 20  # of a tracked file: raw results are the largest
LEFT_BEHIND = {".whl", ".log", ".o", ".a", ".so", ".cubin", ".deb", ".gz", ".xz", ".zip"}


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


def tracked(root):
    """The files git knows; none where root is no working tree of its own."""
    if not (root / ".git").exists():
        return []
    names = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=True)
    return [root / name for name in names.stdout.decode().split("\0") if name]


def strays(root):
    for path in tracked(root):
        if path.suffix in LEFT_BEHIND:
            yield f"{path.relative_to(root)}: a {path.suffix} file doesn't belong in the repository"
        elif path.is_file() and path.stat().st_size > MAX_BYTES:
            yield f"{path.relative_to(root)}: {path.stat().st_size} bytes; {MAX_BYTES} is too large"


def violations(root):
    yield from strays(root)
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
    for name, size in (("numpy.whl", 1), ("data.bin", MAX_BYTES + 1)):
        with tempfile.TemporaryDirectory() as scratch:
            (pathlib.Path(scratch) / name).write_bytes(b"x" * size)
            for command in (["init", "-q"], ["add", "-A"]):
                subprocess.run(["git", "-C", scratch, *command], check=True)
            if not list(violations(pathlib.Path(scratch))):
                sys.exit(f"not caught: {name}")


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    found = list(violations(pathlib.Path(sys.argv[-1])))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
