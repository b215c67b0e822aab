#!/usr/bin/env python3
"""kill -9 at random points of a sieve: test_kills.py ORTHO_BENCH [SEED].

Most kills wait until the process has written a random share of what it has to write (/proc/PID/io; the
engine is threads, whose writes the kernel counts), the others come at a random time, so that beginning
and end get theirs. After each: whatever has a final name is whole to the byte, and whatever the journal
calls whole is. A folder is killed up to four times in a row, and now and then stopped politely (SIGTERM)
in between; then --resume must come to the very bytes of an undisturbed run and leave no work folder
behind.
"""
import os
import random
import shutil
import signal
import sys
import time

import models
from streaming import Bench, Reference, in_scratch

PLANS = (("large", 50, 40), ("tall", 6, 4))  # model, kills, at least so many of them amid writes


def written(pid):
    try:
        with open(f"/proc/{pid}/io") as f:
            return int(next(line for line in f if line.startswith("wchar")).split()[1])
    except (OSError, StopIteration, ProcessLookupError):
        return None


def end_after(process, number, seconds, share_bytes):
    """Sends the signal when that much is written, or (None) that much time is over. False: it ended
    before."""
    begun = time.monotonic()
    while process.poll() is None:
        now = written(process.pid) if share_bytes is not None else None
        if (now is not None and now >= share_bytes) or \
                (share_bytes is None and time.monotonic() - begun >= seconds):
            process.send_signal(number)
            break
        time.sleep(0.0005)
    process.wait()
    return process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)


class Driver:
    def __init__(self, scratch, program, plan, rng):
        kind, self.wanted, self.least_amid = plan
        self.kind, self.rng, self.scratch = kind, rng, os.path.join(scratch, kind)
        source, whole = os.path.join(self.scratch, "source"), os.path.join(self.scratch, "whole")
        models.make(kind, source)
        self.bench = Bench(program, source, "--threads", "1", "--memory-budget", "64M")
        begun = time.monotonic()
        code, words = self.bench.run(whole)
        assert code == 0, words
        self.seconds = time.monotonic() - begun
        self.reference = Reference(whole)
        self.bytes = sum(len(data) for data in self.reference.files.values())
        self.kills = self.amid = self.stops = self.units = self.parts = 0

    def end_once(self, folder, left):
        """Starts or resumes, and ends it. False: it came to its end by itself."""
        timed, polite = self.rng.random() < 0.1, self.rng.random() < 0.2
        share = None if timed else self.rng.uniform(0.001, 0.95) * left
        more = ["--resume"] if os.path.exists(folder) else []
        process = self.bench.start(folder, *more, env=None if timed else {"ORTHO_IO": "threads"})
        if not end_after(process, signal.SIGTERM if polite else signal.SIGKILL,
                         self.rng.uniform(0, 1.1) * self.seconds, share):
            assert process.returncode in (0, -signal.SIGTERM), f"exit {process.returncode} without a kill"
            return process.returncode != 0
        self.stops += polite
        self.kills += not polite
        if os.path.exists(folder):
            self.check(folder, amid=not timed and not polite)
        return True

    def check(self, folder, amid):
        self.reference.check_whole(folder)
        units = self.reference.check_journal(folder)
        self.units += units
        self.parts += units > 0
        self.amid += amid and any(name not in os.listdir(folder) for name in self.reference.files)

    def one_folder(self, number):
        folder = os.path.join(self.scratch, f"out-{number}")
        left = self.bytes
        for _ in range(self.rng.randint(1, 4)):
            if not self.end_once(folder, left):
                break
            left *= 0.7 # what is kept isn't written again
        code, words = self.bench.run(folder, "--resume")
        assert code == 0, words
        self.reference.check_same(folder)
        shutil.rmtree(folder)

    def drive(self):
        number = 0
        while self.kills < self.wanted or self.amid < self.least_amid:
            self.one_folder(number)
            number += 1
            assert number < 4 * self.wanted, "the process ends before it can be killed"
        shutil.rmtree(self.scratch)
        print(f"{self.kind}: {self.kills} kills in {number} folders, {self.amid} of them amid writes, {self.stops} "
              f"polite stops; {self.units} units stood in journals, all of them whole")
        assert self.parts > 0, "nothing left anything to resume"


def main(scratch, program, seed="1"):
    rng = random.Random(int(seed))
    for plan in PLANS:
        Driver(scratch, program, plan, rng).drive()


if __name__ == "__main__":
    try:
        in_scratch(main)
    except AssertionError as error:
        sys.exit(f"test_kills: {error}")
