"""What the tests of streaming share: running ortho-bench, and looking at what it left."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

WORK = ".ortho-sieve"


class Bench:
    """ortho-bench sieve over one model, with one choice of options."""

    def __init__(self, program, model, *options):
        self.program, self.model, self.options = program, model, list(options)

    def command(self, out, *more):
        return [self.program, "sieve", self.model, "-o", out, "--backend", "cpu", "--quiet",
                *self.options, *more]

    def run(self, out, *more, **keywords):
        """Its exit code and its words on stderr."""
        environment = keywords.pop("env", None)
        done = subprocess.run(self.command(out, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, env=environ(environment), timeout=120, **keywords)
        return done.returncode, done.stderr.decode()

    def start(self, out, *more, env=None):
        return subprocess.Popen(self.command(out, *more), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environ(env))


def environ(more=None):
    mine = {k: v for k, v in os.environ.items() if not k.startswith("ORTHO_BENCH_")}
    mine["XDG_CONFIG_HOME"] = "/nonexistent"
    mine.update(more or {})
    return mine


def read(path):
    with open(path, "rb") as f:
        return f.read()


def files_of(folder):
    """{name: bytes} of what has its final name."""
    return {name: read(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name != WORK}


class Reference:
    """What an undisturbed run makes."""

    def __init__(self, folder):
        self.files = files_of(folder)
        assert not os.path.exists(os.path.join(folder, WORK)), "the work folder is left behind"
        shards = [n for n in self.files if n.endswith(".safetensors")]
        self.shards = sorted(shards)

    def check_whole(self, folder):
        """Nothing stands under a final name but what belongs there, whole."""
        for name, data in files_of(folder).items():
            assert name in self.files, f"{name} has no business there"
            assert data == self.files[name], f"{name} has its final name and isn't whole"

    def check_same(self, folder):
        self.check_whole(folder)
        missing = set(self.files) - set(os.listdir(folder))
        assert not missing, f"missing: {missing}"
        assert WORK not in os.listdir(folder), "the work folder is left behind"

    def check_journal(self, folder):
        """Each unit that the journal calls whole is whole; returns how many there are."""
        work = os.path.join(folder, WORK)
        try:
            lines = read(os.path.join(work, "journal")).split(b"\n")[1:-1]
        except FileNotFoundError:
            return 0
        for line in lines:
            shard, at, count = (int(word) for word in line.split()[:3])
            name = self.shards[shard]
            wanted = self.files[name]
            begin = 8 + struct.unpack_from("<Q", wanted)[0] + at
            path = os.path.join(work, name + ".partial")
            if not os.path.exists(path):
                path = os.path.join(folder, name)
            with open(path, "rb") as f:
                f.seek(begin)
                assert f.read(count) == wanted[begin:begin + count], f"{name} at {at}: in the journal, not whole"
        return len(lines)


def in_scratch(main, arguments=None):
    """Runs main(folder, *arguments) in a folder of its own; its AssertionError is exit code 1."""
    folder = tempfile.mkdtemp(prefix="ortho-stream-")
    try:
        main(folder, *(sys.argv[1:] if arguments is None else arguments))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def summary_of(bench, out, *more):
    """The JSON of a run that must succeed."""
    done = subprocess.run(bench.command(out, "--json", *more), stdout=subprocess.PIPE, check=True,
                          env=environ())
    return json.loads(done.stdout)
