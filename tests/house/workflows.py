"""The workflows of .github/ are what GitHub takes, and careful: its schema holds, every action is pinned
by a commit, permissions are named, and no script has text from outside pasted into it.

usage: workflows.py ROOT               exit 1 and one line for each fault; 77 without the tools
       workflows.py --self-test ROOT   plants faults and demands that each is found
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import check_jsonschema  # noqa: F401  run as a program, below
    import yaml
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed (scripts/setup --dev brings it)")
    sys.exit(77)

PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$")


def schema_faults(path):
    said = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema",
                           "vendor.github-workflows", path], capture_output=True, text=True)
    if said.returncode != 0:
        yield said.stdout.strip() or said.stderr.strip()


def script_faults(name, script):
    if "${{" in script:
        yield f"{name}: ${{{{ }}}} within a script: give it in env"
    if shutil.which("shellcheck"):
        said = subprocess.run(["shellcheck", "--shell", "bash", "-"], input=script,
                              capture_output=True, text=True)
        if said.returncode != 0:
            yield f"{name}: {said.stdout.strip()}"


def faults(path):
    text = path.read_text()
    yield from schema_faults(path)
    for number, line in enumerate(text.split("\n"), 1):
        if re.match(r"[ #-]*uses:", line) and not PINNED.search(line):
            yield f"{number}: an action that no commit and version pin: {line.strip()}"
    workflow = yaml.safe_load(text)
    if "permissions" not in workflow:
        yield "no permissions at its top: it would have what the repository's default gives"
    for job in workflow.get("jobs", {}).values():
        if "timeout-minutes" not in job:
            yield "a job without timeout-minutes: six hours are the default"
        for step in job.get("steps", []):
            if "run" in step:
                yield from script_faults(step.get("name", "a step"), step["run"])


# What stands in bench.yml as a comment must be right, too, once the # are taken away.
def uncommented(text):
    head, found, tail = text.partition("  # compare-gpu:")
    return head + (found + tail).replace("\n  # ", "\n  ").replace("  # compare", "  compare", 1)


def check(root):
    folder = root / ".github" / "workflows"
    found = [f"{path.name}: {fault}" for path in sorted(folder.glob("*.yml")) for fault in faults(path)]
    if (folder / "bench.yml").exists():
        with tempfile.TemporaryDirectory() as scratch:
            path = pathlib.Path(scratch) / "bench.yml"
            path.write_text(uncommented((folder / "bench.yml").read_text()))
            if "compare-gpu" not in yaml.safe_load(path.read_text())["jobs"]:
                found.append("bench.yml: without its #, the job compare-gpu is none")
            found += [f"bench.yml without its #: {fault}" for fault in faults(path)]
    return found


def self_test():
    good = ("on: push\npermissions: {}\njobs:\n  a:\n    runs-on: x\n    timeout-minutes: 5\n    steps:\n"
            f"      - uses: actions/checkout@{'0' * 40} # v7.0.1\n      - run: echo \"$A\"\n")
    plants = {"jobs:": "jbos:", "0" * 40: "v7", " # v7.0.1": "", "permissions: {}\n": "",
              "    timeout-minutes: 5\n": "", '"$A"': '"${{ github.head_ref }}"', "runs-on: x": "runs: x"}
    if shutil.which("shellcheck"):
        plants['"$A"'] = "$A"
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / ".github" / "workflows" / "planted.yml"
        path.parent.mkdir(parents=True)
        path.write_text(good)
        if check(pathlib.Path(scratch)):
            sys.exit(f"finds a fault where none is: {check(pathlib.Path(scratch))}")
        for was, planted in plants.items():
            path.write_text(good.replace(was, planted))
            if not check(pathlib.Path(scratch)):
                sys.exit(f"not caught: {planted!r} for {was!r}")


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    found = check(pathlib.Path(sys.argv[-1]))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
