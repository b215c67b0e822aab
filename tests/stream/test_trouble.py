#!/usr/bin/env python3
"""What goes wrong with a sieve besides kills: test_trouble.py ORTHO_BENCH [TEST].

Full disks, sources that change, targets that are somebody else's, files that were damaged: each is told
in words that say what to do, costs nothing that was finished, and, once the cause is gone, --resume comes
to the bytes of an undisturbed run.
"""
import inspect
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import models
from streaming import Bench, Reference, environ, files_of, in_scratch, read, WORK


try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "reports", "schema",
                      "ortho-bench-sieve-1.schema.json")


class Skipped(Exception):
    pass


def flip(path, at, count=1):
    with open(path, "r+b") as f:
        f.seek(at)
        old = f.read(count)
        f.seek(at)
        f.write(bytes(b ^ 0x55 for b in old))


class Case:
    """A model of three shards, what an undisturbed run makes of it, and a folder for this test."""

    def __init__(self, scratch, program):
        self.scratch, self.program = scratch, program
        self.source = os.path.join(scratch, "large")
        models.make("large", self.source)
        self.bench = Bench(program, self.source, "--threads", "1", "--memory-budget", "32M")
        whole = os.path.join(scratch, "whole")
        code, words = self.bench.run(whole)
        assert code == 0, words
        self.reference = Reference(whole)
        self.whole = whole
        self.out = None

    def begin(self, name):
        self.out = os.path.join(self.scratch, name)

    def wants(self, result, code, *texts):
        got, words = result
        assert got == code, f"exit {got}, wanted {code}: {words}"
        for text in texts:
            assert text in words, f"wanted '{text}': {words}"

    def stop_at(self, share):
        """Begins, and leaves it stopped (SIGSTOP) when that share is written."""
        process = self.bench.start(self.out, env={"ORTHO_IO": "threads"})
        wanted = share * sum(len(d) for d in self.reference.files.values())
        while process.poll() is None:
            with open(f"/proc/{process.pid}/io") as f:
                if int(f.read().split("wchar: ")[1].split()[0]) >= wanted:
                    process.send_signal(signal.SIGSTOP)
                    return process
            time.sleep(0.0005)
        raise AssertionError("it ended too early")

    def interrupt(self, share=0.5):
        """A run that SIGTERM ended: all that it wrote is in the journal."""
        for _ in range(20):
            process = self.stop_at(share)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            process.wait()
            if process.returncode == 130 and self.reference.check_journal(self.out) > 0:
                return
            shutil.rmtree(self.out)
        raise AssertionError("it can't be interrupted")

    def unfinish(self):
        """As killed before any shard had its name."""
        for name in self.reference.shards + ["model.safetensors.index.json"]:
            if os.path.exists(os.path.join(self.out, name)):
                os.rename(os.path.join(self.out, name), self.work(name + ".partial"))

    def resume(self, *more):
        self.wants(self.bench.run(self.out, "--resume", *more), 0)
        self.reference.check_same(self.out)

    def work(self, name):
        return os.path.join(self.out, WORK, name)


# ---- the end of a run ---------------------------------------------------------------------------

def test_sigterm_keeps_what_is_finished(c):
    process = subprocess.Popen([w for w in c.bench.command(c.out) if w != "--quiet"], stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=environ())
    while not os.path.exists(c.out) or not os.path.exists(c.work("journal")):
        time.sleep(0.0005)
        if process.poll() is not None:
            raise AssertionError("it ended too early")
    process.send_signal(signal.SIGINT)
    out, words = process.communicate()
    words = words.decode()
    if process.returncode == 0:
        raise Skipped("the run was faster than the signal")
    assert process.returncode == 130, words
    assert "--resume goes on" in words and "layers and pieces are kept in" in words, words
    assert out == b"", "no summary of a run that didn't end"
    c.reference.check_whole(c.out)
    c.resume()


def test_an_interrupted_run_says_so_in_json(c):
    process = subprocess.Popen(c.bench.command(c.out, "--json"), stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=environ())
    while process.poll() is None and not os.path.exists(c.work("journal")):
        time.sleep(0.0005)
    process.send_signal(signal.SIGTERM)
    text = process.communicate()[0]
    if process.returncode == 0:
        raise Skipped("the run was faster than the signal")
    document = json.loads(text)
    assert process.returncode == 130 and document["status"] == "interrupted" and "size" not in document, document
    done = document["units"]
    assert done["layers_sieved"] + done["pieces_copied"] < done["total"], document
    if jsonschema is not None:
        with open(SCHEMA) as f:
            jsonschema.validate(document, json.load(f))
    c.resume()


def test_a_second_signal_ends_it_at_once(c):
    process = c.stop_at(0.2)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.002)
    process.wait()
    assert process.returncode in (-signal.SIGINT, 130, 0), process.returncode # 0: it was faster
    c.reference.check_whole(c.out)
    c.resume()


def test_without_resume_an_interrupted_run_is_not_touched(c):
    c.interrupt()
    before = read(c.work("journal"))
    c.wants(c.bench.run(c.out), 2, "--resume")
    assert read(c.work("journal")) == before
    c.resume()


def test_resume_in_an_empty_place_begins(c):
    c.resume()


def test_resume_of_a_complete_artifact_does_nothing(c):
    shutil.copytree(c.whole, c.out)
    before = {n: os.stat(os.path.join(c.out, n)) for n in os.listdir(c.out)}
    c.resume()
    for name, was in before.items():
        now = os.stat(os.path.join(c.out, name))
        assert (was.st_ino, was.st_mtime_ns) == (now.st_ino, now.st_mtime_ns), f"{name} was touched"
    c.wants(c.bench.run(c.out), 2, "is there already")


def test_a_killed_measurement_leaves_no_scrap(c):
    c.interrupt()
    for name in ("scratch", "config.json.AbCdEf"): # as a kill would leave them
        with open(c.work(name), "w") as f:
            f.write("x")
    c.resume()


def test_killed_between_the_journal_and_its_folder(c):
    shutil.copytree(c.whole, c.out)
    os.mkdir(os.path.join(c.out, WORK))
    c.resume()


# ---- room ---------------------------------------------------------------------------------------

def test_a_limit_on_file_sizes(c):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    c.wants(c.bench.run(c.out, preexec_fn=limit), 1, "model-00001-of-00003.safetensors")
    c.reference.check_whole(c.out)
    c.resume()


def in_small_disk(c, script):
    """Runs a shell script that has $OUT on a file system of 6 MB, and may `grow` it."""
    mount = os.path.join(c.scratch, "disk")
    os.makedirs(mount, exist_ok=True)
    head = 'mount -t tmpfs -o size=6m none "$DISK" || exit 77\n' \
           'grow() { mount -o remount,size=64m "$DISK"; }\n'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", head + script], capture_output=True, timeout=120,
                          env=environ({"DISK": mount, "OUT": mount + "/out", "KEEP": c.out,
                                       "BENCH": " ".join(c.bench.command(mount + "/out"))}), check=False)
    if done.returncode == 77 or b"unshare" in done.stderr:
        raise Skipped("no file system can be mounted here")
    return done.returncode, done.stderr.decode() + done.stdout.decode()


def test_a_full_disk(c):
    if shutil.which("unshare") is None:
        raise Skipped("no unshare")
    c.wants(in_small_disk(c, '$BENCH; echo "exit $?"; ls -A "$OUT"; grow; $BENCH --resume && cp -a "$OUT" "$KEEP"'),
            0, "no room", "make room, then --resume", "exit 1")
    c.reference.check_same(c.out)


def test_a_disk_that_fills_meanwhile(c):
    if shutil.which("unshare") is None:
        raise Skipped("no unshare")
    # holes instead of room: what fallocate can't say is found out by a write
    c.wants(in_small_disk(c, 'dd if=/dev/zero of="$DISK/fill" bs=1k count=5900 2>/dev/null; $BENCH; echo "exit $?"; '
                             'rm "$DISK/fill"; grow; $BENCH --resume && cp -a "$OUT" "$KEEP"'), 0, "exit 1")
    c.reference.check_same(c.out)


# ---- the source ---------------------------------------------------------------------------------

def test_the_source_becomes_shorter(c):
    path = os.path.join(c.source, "model-00003-of-00003.safetensors")
    whole, times = read(path), os.stat(path)
    process = c.stop_at(0.3)
    os.truncate(path, len(whole) // 2)
    process.send_signal(signal.SIGCONT)
    process.wait()
    with open(path, "r+b") as f:
        f.write(whole)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert process.returncode == 1, process.returncode
    c.reference.check_whole(c.out)
    c.resume()


def test_the_source_changes_between_runs(c):
    path = os.path.join(c.source, "model-00002-of-00003.safetensors")
    c.interrupt()
    times, journal = os.stat(path), read(c.work("journal"))
    os.utime(path)
    c.wants(c.bench.run(c.out, "--resume"), 2, "its source has changed", "begin anew")
    assert read(c.work("journal")) == journal
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    c.resume()


def test_the_source_changes_while_it_is_read(c):
    path = os.path.join(c.source, "model-00001-of-00003.safetensors")
    times = os.stat(path)
    process = c.stop_at(0.2)
    os.utime(path)
    process.send_signal(signal.SIGCONT)
    process.wait()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert process.returncode == 1, "a source that was written to is taken for whole"


def test_resume_with_other_options(c):
    c.interrupt()
    journal = read(c.work("journal"))
    for other in (("--density", "2%"), ("--rule", "residual"), ("--group", "64"), ("--layers", "0-3"),
                  ("--proj", "q,k")):
        code, words = c.bench.run(c.out, "--resume", *other)
        assert code == 2, f"{other}: exit {code}: {words}" # which is said depends on what is finished
        assert "choose another folder" in words or "give the options that it had" in words, words
    assert read(c.work("journal")) == journal
    c.resume()


def test_memory_and_threads_are_free_on_resume(c):
    c.interrupt()
    c.resume("--memory-budget", "256M", "--threads", "2")


# ---- the target ---------------------------------------------------------------------------------

def test_the_target_is_a_file(c):
    with open(c.out, "w") as f:
        f.write("mine")
    c.wants(c.bench.run(c.out), 1, c.out)
    assert read(c.out) == b"mine"


def test_the_target_can_not_be_made(c):
    c.wants(c.bench.run("/proc/ortho/out"), 1, "/proc/ortho")


def test_the_target_is_not_writable(c):
    if os.geteuid() == 0:
        raise Skipped("root may write anywhere")
    os.mkdir(c.out, 0o555)
    c.wants(c.bench.run(c.out), 1, c.out)


def test_two_runs_on_one_folder(c):
    first = c.stop_at(0.3)
    try:
        c.wants(c.bench.run(c.out), 1, "another run is writing there")
        c.wants(c.bench.run(c.out, "--resume"), 1, "another run is writing there")
    finally:
        first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    c.reference.check_same(c.out)


def test_foreign_files_under_final_names(c):
    for name, code, words in (("model-00002-of-00003.safetensors", 2, "is there already"),
                              ("model.safetensors.index.json", 2, "is there already"),
                              ("config.json", 2, "is there already")):
        for more in ([], ["--resume"]):
            os.mkdir(c.out)
            with open(os.path.join(c.out, name), "w") as f:
                f.write("mine")
            got, said = c.bench.run(c.out, *more)
            assert got in (code, 1) and (got == 1 or words in said) and name in said, f"{name}: exit {got}: {said}"
            assert files_of(c.out) == {name: b"mine"}, f"{name}: {os.listdir(c.out)}"
            assert WORK not in os.listdir(c.out), f"{name}: a run that never began left a work folder"
            shutil.rmtree(c.out)


def test_a_foreign_shard_beside_an_interrupted_run(c):
    c.interrupt(0.3)
    name = c.reference.shards[-1]
    assert name not in os.listdir(c.out)
    path = os.path.join(c.out, name)
    shutil.copy(os.path.join(c.whole, name), path) # even if it is right: nobody knows
    c.wants(c.bench.run(c.out, "--resume"), 2, name, "choose another folder")
    os.unlink(path)
    c.resume()


# ---- damage -------------------------------------------------------------------------------------

def test_a_torn_journal(c):
    c.interrupt()
    c.unfinish()
    whole = read(c.work("journal"))
    lines = whole.split(b"\n")
    for cut in (whole[:-1], whole[:-20], b"\n".join(lines[:2]) + b"\n3 17", lines[0] + b"\n", whole + b"\0" * 50):
        copy = c.out + "-copy"
        shutil.copytree(c.out, copy)
        with open(os.path.join(copy, WORK, "journal"), "wb") as f:
            f.write(cut)
        c.wants(c.bench.run(copy, "--resume"), 0)
        c.reference.check_same(copy)
        shutil.rmtree(copy)


def test_a_journal_that_was_only_begun(c):
    for length in (0, 1, 30):
        c.interrupt()
        c.unfinish()
        os.truncate(c.work("journal"), length)
        c.resume()
        shutil.rmtree(c.out)


def test_a_garbled_journal(c):
    c.interrupt()
    c.unfinish()
    whole = read(c.work("journal"))
    flip(c.work("journal"), whole.index(b"\n") + 5)
    c.resume()
    shutil.rmtree(c.out)
    c.interrupt(0.1)
    whole = read(c.work("journal"))
    flip(c.work("journal"), 3)
    c.wants(c.bench.run(c.out, "--resume"), 2, "journal", "begin anew")
    with open(c.work("journal"), "wb") as f:
        f.write(whole)
    c.resume()


def test_a_journal_whose_hashes_were_changed(c):
    """What is done again would hide most of it, but the source's hash goes into the artifact."""
    for field in (3, 4):
        c.interrupt()
        c.unfinish()
        lines = [line.split(b" ") for line in read(c.work("journal")).split(b"\n")]
        for words in lines[1:-1]:
            words[field] = (b"0" if words[field][:1] != b"0" else b"1") + words[field][1:]
        with open(c.work("journal"), "wb") as f:
            f.write(b"\n".join(b" ".join(words) for words in lines))
        c.resume()
        shutil.rmtree(c.out)


def test_a_journal_that_is_gone(c):
    c.interrupt()
    c.unfinish()
    os.unlink(c.work("journal"))
    c.resume()


def test_a_damaged_partial_file_is_mended(c):
    c.interrupt()
    c.unfinish()
    damaged = 0
    for line in read(c.work("journal")).split(b"\n")[1:-1]:
        shard, at, count = (int(word) for word in line.split()[:3])
        name = c.reference.shards[shard]
        path = c.work(name + ".partial")
        if os.path.exists(path):
            begin = 8 + int.from_bytes(c.reference.files[name][:8], "little") + at
            flip(path, begin + count // 2)
            damaged += 1
    assert damaged > 0, "nothing is half done"
    c.resume()


def test_a_partial_file_that_was_cut(c):
    c.interrupt()
    c.unfinish()
    for name in os.listdir(os.path.join(c.out, WORK)):
        if name.endswith(".partial"):
            os.truncate(c.work(name), 1000)
    c.resume()


def test_a_partial_file_that_is_gone(c):
    c.interrupt()
    c.unfinish()
    for name in os.listdir(os.path.join(c.out, WORK)):
        if name.endswith(".partial"):
            os.unlink(c.work(name))
    c.resume()


def test_a_finished_shard_that_was_damaged(c):
    c.interrupt(0.7)
    name = c.reference.shards[0]
    path = os.path.join(c.out, name)
    assert os.path.exists(path), "no shard is finished"
    flip(path, os.path.getsize(path) - 100)
    c.wants(c.bench.run(c.out, "--resume"), 1, name, "changed after it was written")
    os.unlink(path)
    c.resume()


def main(scratch, program, only=""):
    case = Case(scratch, program)
    failed = 0
    tests = [(n, f) for n, f in list(globals().items()) if n.startswith("test_") and inspect.isfunction(f)]
    for name, test in tests:
        if only not in name:
            continue
        case.begin(name)
        try:
            test(case)
            print(f"ok       {name}")
        except Skipped as why:
            print(f"skipped  {name}: {why}")
        except AssertionError as error:
            print(f"FAILED   {name}: {error}")
            failed += 1
        shutil.rmtree(case.out, ignore_errors=True)
        if os.path.isfile(case.out):
            os.unlink(case.out)
    sys.exit(failed > 0)


if __name__ == "__main__":
    in_scratch(main)
