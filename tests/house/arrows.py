"""Who may include whom: common <- kernels <- variants <- lib <- harness, and nothing includes harness/.

usage: arrows.py ROOT               exit 1 and one line for each violation
       arrows.py --self-test ROOT   plants violations in a copy and demands that each is found
"""

import pathlib
import re
import shutil
import sys
import tempfile

# Folder: the folders whose headers it may include, besides include/ortho.
ALLOWED = {
    "include": (),
    "common": ("common",),
    "kernels": ("kernels", "common"),
    "variants": ("variants", "kernels", "common"),
    "datasets": ("datasets", "common"),
    "reports": ("reports", "common"),
    "lib": ("lib", "datasets", "variants", "kernels", "common"),
    "harness": ("harness", "lib", "reports", "datasets", "variants", "kernels", "common"),
}
SUFFIXES = {".c", ".h", ".cpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def resolve(root, source, name):
    """The path below root that the compiler would take: beside the source, in root, in include/."""
    for base in (source.parent, root, root / "include"):
        path = (base / name).resolve()
        if path.is_file() and root in path.parents:
            return path.relative_to(root).parts
    return None


def judge(root, source, name):
    """What is wrong with this include, or None."""
    where = source.relative_to(root).parts
    if ".." in pathlib.PurePath(name).parts:
        return "steps upwards"
    target = resolve(root, source, name)
    if target is None:
        return "is no header of this tree"
    if target[:2] == ("include", "ortho"):
        return None
    if target[0] not in ALLOWED[where[0]]:
        return f"{where[0]}/ may not include {target[0]}/"
    if target[0] == "variants" and len(target) > 2:
        if where[0] == "variants" and where[1] != target[1]:
            return "a variant may not include another; what two share belongs to kernels/"
    return None


def violations(root):
    root = root.resolve()
    for folder in ALLOWED:
        for source in sorted((root / folder).rglob("*")):
            if source.suffix not in SUFFIXES:
                continue
            for name in INCLUDE.findall(source.read_text()):
                fault = judge(root, source, name)
                if fault:
                    yield f'{source.relative_to(root)}: #include "{name}": {fault}'


PLANTED = (
    ("common/planted.c", "kernels/cpu.h"),
    ("kernels/planted.h", "variants/table.h"),
    ("variants/csr/planted.c", "harness/stop.h"),
    ("variants/csr/planted.c", "variants/coo/planted.h"),
    ("variants/csr/planted.cu", "../coo/planted.h"),
    ("datasets/planted.c", "kernels/cpu.h"),
    ("reports/planted.c", "datasets/datasets.h"),
    ("lib/planted.c", "harness/stop.h"),
    ("include/ortho/planted.h", "common/error.h"),
    ("harness/planted.c", "no/such/header.h"),
)


def self_test(root):
    for path, name in PLANTED:
        with tempfile.TemporaryDirectory() as scratch:
            copy = pathlib.Path(scratch)
            for folder in ALLOWED:
                shutil.copytree(root / folder, copy / folder)
            (copy / "variants/coo/planted.h").write_text("")
            (copy / path).write_text(f'#include "{name}"\n')
            if not any(line.startswith(f"{path}:") for line in violations(copy)):
                sys.exit(f'not caught: #include "{name}" in {path}')


def main():
    root = pathlib.Path(sys.argv[-1])
    if sys.argv[1] == "--self-test":
        return self_test(root)
    found = list(violations(root))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
