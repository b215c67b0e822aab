"""The cache: killed and interrupted fetches, two at once, files that were damaged since."""

import json
import os
import pty
import signal
import threading
import time
import unittest

import hub
from fetching import BENCH, SPEC, Case


class Interrupted(Case):
    """A hub that stops answering after some slices, so that a kill comes in the middle."""

    def setUp(self):
        super().setUp()
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        self.wanted = self.linears((0, 1, 2), ("q", "k", "up", "down"))

    def stall_after(self, slices):
        """Further slices wait for self.go. Returns what tells that they do."""
        left, lock, stalled = [slices], threading.Lock(), threading.Event()

        def fault(request):
            if request.headers.get("Range", "bytes=0-").startswith("bytes=0-"):
                return False
            with lock:
                left[0] -= 1
                if left[0] >= 0:
                    return False
            stalled.set()
            self.go.wait(20)
            return False
        self.hub.faults = [fault]
        return stalled

    def begin(self, slices, *arguments):
        stalled = self.stall_after(slices)
        process = self.start("fetch", SPEC, "--layers", "0-2", "--jobs", "2", *arguments)
        self.assertTrue(stalled.wait(20))
        return process

    def asked_bytes(self):
        return sum(int(e) - int(b) + 1 for b, e in (
            h["Range"].removeprefix("bytes=").split("-") for _, h in self.hub.asked("model-0"))
            if b != "0")

    def go_on(self):
        """The rest; returns how many bytes of tensors were asked for."""
        self.hub.faults = []
        self.go.set()
        self.hub.log.clear()
        self.fetch("--layers", "0-2")
        self.check_cache(self.wanted)
        return self.asked_bytes()

    def test_killed(self):
        process = self.begin(12)
        time.sleep(2.5)  # the manifest is saved every 2 s
        process.kill()
        process.communicate()
        complete = self.check_cache()
        self.assertGreater(complete, 1)
        total = sum(len(self.tensors[name][2]) for name in self.wanted)
        self.assertLessEqual(self.go_on(), total - 11 * 4096)

    def test_killed_at_any_moment(self):
        for slices in range(0, 25, 4):
            process = self.begin(slices)
            process.kill()
            process.communicate()
            self.check_cache()
            self.go.set()
            self.go.clear()
        self.go_on()

    def test_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.forget()
            process = self.begin(9)
            time.sleep(0.2)
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
            self.assertEqual(process.returncode, 130, err)
            self.assertEqual(out, "")
            complete = self.check_cache()
            self.assertGreater(complete, 1)
            self.assertIn(f"interrupted; {complete} of 12 tensors are complete", err)
            # what is complete can be used at once
            listed = json.loads(self.bench("inspect", "--json", SPEC))["tensors"]
            self.assertEqual(len(listed), complete)
            self.assertLess(self.go_on(), sum(len(self.tensors[n][2]) for n in self.wanted) - 8 * 4000)
            self.go.clear()

    def test_pieces_of_another_size_are_not_believed(self):
        process = self.begin(4)  # the third tensor in part
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        self.more = {"ORTHO_FETCH_PIECE": "5000"}
        self.go_on()

    def test_two_at_once(self):
        first = self.begin(3)
        self.hub.log.clear()
        second = self.start("fetch", SPEC, "--layers", "0-2", "--json")
        time.sleep(0.5)
        self.assertEqual(self.hub.asked("index"), [])  # it waits
        self.assertIsNone(second.poll())
        self.go.set()
        out, err = first.communicate(timeout=30)
        self.assertEqual(first.returncode, 0, err)
        out, err = second.communicate(timeout=30)
        self.assertEqual(second.returncode, 0, err)
        self.assertIn("another process is fetching this model: waiting for it", err)
        self.assertEqual(json.loads(out)["tensors"], {"wanted": 12, "fetched": 0})
        self.check_cache(self.wanted)

    def test_interrupted_while_waiting(self):
        first = self.begin(3)
        second = self.start("fetch", SPEC)
        time.sleep(0.3)
        second.send_signal(signal.SIGINT)
        out, err = second.communicate(timeout=5)
        self.assertEqual(second.returncode, 130, err)
        self.go.set()
        first.communicate(timeout=30)
        self.assertEqual(first.returncode, 0)

    def test_interrupted_while_retrying(self):
        self.hub.faults = [lambda r: r.say(429, Retry_After="50")]
        process = self.start("fetch", SPEC)
        while not self.hub.log:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
        self.assertEqual(process.returncode, 130)


class Damaged(Case):
    def setUp(self):
        super().setUp()
        self.fetch("--layers", "0-1")
        self.wanted = self.linears((0, 1), ("q", "k", "up", "down"))
        self.shard = self.folder / (hub.SHARDS[0] + ".slices")
        self.path = self.folder / "manifest.json"

    def check(self, code=0, says=None):
        return self.bench("fetch", "--check", SPEC, code=code, says=says)

    def write(self, path, offset, data):
        with open(path, "r+b") as f:
            f.seek(offset)
            f.write(data)

    def check_mended(self):
        self.fetch("--layers", "0-1")
        self.check_cache(self.wanted)
        self.assertIn("all as they were fetched", self.check())

    def test_sound(self):
        self.assertIn("8 tensors checked (73.7 kB), all as they were fetched", self.check())
        verdict = json.loads(self.bench("fetch", "--check", SPEC, "--json"))
        self.assertEqual(verdict["tensors"], {"checked": 8, "damaged": 0})
        self.assertIn("nothing to fetch", self.fetch("--layers", "0-1"))

    def test_a_changed_byte(self):
        name = "model.layers.0.mlp.up_proj.weight"
        self.write(self.shard, self.manifest()["tensors"][name]["range"][1] - 1, b"\xee")
        self.check(code=1, says=f'damaged: tensor "{name}": its bytes are not those')
        self.assertNotIn(name, self.manifest()["tensors"])
        out = self.fetch("--layers", "0-1", "--json")
        self.assertEqual(json.loads(out)["tensors"]["fetched"], 1)
        self.check_mended()

    def test_a_changed_header(self):
        self.write(self.shard, 20, b"x")
        self.bench("inspect", SPEC, code=1, says=["its header was changed", "fetch --check hf:"])
        self.check(code=1, says="its header was changed")
        self.check_mended()

    def test_a_changed_header_is_fetched_anew(self):
        self.write(self.shard, 20, b"x")
        self.fetch("--layers", "0-1", says="a shard in the cache is missing or damaged")
        self.check_mended()

    def test_a_missing_file(self):
        self.shard.unlink()
        self.bench("inspect", SPEC, code=1, says=["No such file", "fetch --check hf:"])
        self.check(code=1, says="No such file")
        self.check_mended()

    def test_a_truncated_file(self):
        os.truncate(self.shard, 9000)
        self.bench("inspect", SPEC, code=1, says=["the file ends there", "fetch --check hf:"])
        self.check(code=1, says="the file ends there")
        self.check_mended()

    def test_a_longer_file(self):
        os.truncate(self.shard, self.shard.stat().st_size + 1)
        self.bench("inspect", SPEC, code=1, says="the shard has")
        self.check_mended()

    def test_manifests(self):
        good = self.path.read_text()
        first = next(iter(self.manifest()["tensors"]))

        def edit(change):
            document = json.loads(good)
            change(document)
            return json.dumps(document)

        def tensor(**fields):
            return edit(lambda d: d["tensors"][first].update(fields))

        def shard(**fields):
            return edit(lambda d: d["shards"][hub.SHARDS[0]].update(fields))

        bad = {"": "JSON", good[:len(good) // 2]: "JSON", "[]": "begin", "{}": "schema", good + "x": "JSON",
               edit(lambda d: d.update(schema="ortho-slices/2")): "schema",
               edit(lambda d: d.update(commit="../../etc")): "commit",
               edit(lambda d: d.update(repository="x")): "repository",
               edit(lambda d: d.update(tensors=[])): "must be objects",
               edit(lambda d: d["shards"].clear()): "no sound entry of a tensor",
               edit(lambda d: d["shards"].update({"../x": d["shards"][hub.SHARDS[0]]})): "of a shard",
               shard(bytes=-1): "of a shard", shard(header=2**40): "of a shard", shard(header_xxh3="x"): "shard",
               tensor(range=[0, 8]): "of a tensor", tensor(range=[2000, 1000]): "of a tensor",
               tensor(range=[2000, 2**50]): "of a tensor", tensor(range="x"): "of a tensor",
               tensor(xxh3="00"): "of a tensor", tensor(shard="model-3"): "of a tensor",
               edit(lambda d: d["partial"].update({first: d["tensors"][first]})): "in parts",
               edit(lambda d: d["partial"].update(
                   {first: d["tensors"][first] | {"piece": 1, "done": [-1]}})): "in parts"}
        for text, words in bad.items():
            self.path.write_text(text)
            for arguments in (("inspect", SPEC), ("fetch", SPEC), ("fetch", "--check", SPEC)):
                err = self.bench(*arguments, code=1, says=[words, "manifest.json", "remove it"])
        self.path.unlink()
        self.bench("inspect", SPEC, code=1, says="no complete tensor of it is at hand")
        self.fetch("--layers", "0-1")
        self.check_cache(self.wanted)

    def test_a_manifest_that_claims_too_much(self):
        document = self.manifest()
        first = next(iter(document["tensors"]))
        entry = document["tensors"].pop(first)
        document["tensors"]["model.layers.7.mlp.up_proj.weight"] = entry
        self.path.write_text(json.dumps(document))
        self.bench("inspect", SPEC, code=1, says="the shard's header has not")
        begin, end = entry["range"]
        for other in ([begin, end - 2], [begin + 2, end]):
            document["tensors"] = {first: entry | {"range": other}}
            self.path.write_text(json.dumps(document))
            self.bench("inspect", SPEC, code=1, says="the manifest has another range")

    def test_what_a_kill_left_behind(self):
        for name in ("manifest.json.Ab3xYz", "NOTICE.Ab3xYz", "manifest.json.keep", "mine.json.Ab3xYz",
                     "model.safetensors.slices.new"):
            (self.folder / name).write_text("half")
        self.fetch()
        left = {p.name for p in self.folder.iterdir()}
        self.assertTrue({"manifest.json.keep", "mine.json.Ab3xYz", "NOTICE"} <= left)
        self.assertFalse({"manifest.json.Ab3xYz", "NOTICE.Ab3xYz", "model.safetensors.slices.new"} & left)

    def test_refs(self):
        ref = self.model / "refs/main"
        for text in ("", "main", "../../x", hub.COMMIT[:39], "f" * 64):
            ref.write_text(text)
            self.bench("inspect", SPEC, code=1, says="not a revision")
        self.fetch()
        self.bench("inspect", SPEC)

    def test_check_without_a_cache(self):
        self.forget()
        self.check(code=1, says="ortho-bench fetch hf:")


class Bar(Case):
    def run_on_terminal(self, *arguments):
        """What a terminal of 80 columns gets to see."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.home)
            os.execve(BENCH, [BENCH, *arguments], self.environment() | {"TERM": "xterm"})
        seen = b""
        try:
            while chunk := os.read(terminal, 4096):
                seen += chunk
        except OSError:
            pass
        os.close(terminal)
        self.assertEqual(os.waitpid(pid, 0)[1], 0, seen)
        return seen.decode()

    def test_progress(self):
        self.hub.delay = 0.06
        seen = self.run_on_terminal("fetch", SPEC, "--layers", "0-2", "--jobs", "2")
        self.assertRegex(seen, r"\[#+\.+\] [0-9.]+ k?B of 111 kB .*model\.layers")
        self.assertRegex(seen, r"[0-9.]+ kB/s  ETA 0:0")
        self.assertIn("tensors    12, 111 kB", seen)
        quiet = self.run_on_terminal("fetch", SPEC, "--all", "--quiet")
        self.assertNotIn("[", quiet)


if __name__ == "__main__":
    unittest.main()
