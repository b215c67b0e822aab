"""What the tests of fetch share: a folder and a hub for each, and ortho-bench run in them."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import hub

BENCH = os.environ.get("ORTHO_BENCH", "ortho-bench")
SPEC = f"hf:{hub.REPO}"
OWN = ("HF_", "ORTHO_", "XDG_", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "CURL_", "SSL_")


class Case(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.home = pathlib.Path(self.scratch.name)
        self.files, self.tensors = map(dict, hub.llama())
        self.hub = hub.Hub(self.files)
        self.addCleanup(self.scratch.cleanup)
        self.addCleanup(self.hub.close)
        self.more = {}

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.lower().startswith(tuple(
            prefix.lower() for prefix in OWN))}
        env |= {"HOME": str(self.home), "ORTHO_CACHE": str(self.home / "cache"),
                "HF_ENDPOINT": self.hub.url, "ORTHO_BENCH_BACKEND": "cpu",
                "ORTHO_FETCH_BACKOFF": "0.01", "ORTHO_FETCH_TIMEOUT": "5",
                "ORTHO_FETCH_ATTEMPTS": "3", "ORTHO_FETCH_PIECE": "4096"}
        return env | self.more

    def start(self, *arguments):
        return subprocess.Popen([BENCH, *arguments], env=self.environment(), cwd=self.home,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def bench(self, *arguments, code=0, says=None):
        """Runs ortho-bench; its exit code must be this one, and its stderr hold these words."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, f"{arguments}\n{out}{err}")
        for words in [says] if isinstance(says, str) else says or ():
            self.assertIn(words, err)
        if code != 0 and "--check" not in arguments:
            self.assertEqual(out, "")
        return out if code == 0 else err

    def fetch(self, *arguments, **how):
        return self.bench("fetch", SPEC, *arguments, **how)

    @property
    def model(self):
        return self.home / "cache/slices" / hub.REPO.replace("/", "--")

    @property
    def folder(self):
        return self.model / self.hub.commit

    def manifest(self):
        return json.loads((self.folder / "manifest.json").read_text())

    def linears(self, layers, projs):
        """Names of linear tensors."""
        return {name for name in self.tensors if any(f".layers.{layer}." in name for layer in layers)
                and any(f".{proj}_proj." in name for proj in projs)}

    def check_cache(self, wanted=None):
        """What the manifest calls complete is, byte for byte, what the hub has; and is all of
        `wanted`. Returns how many."""
        complete = self.manifest()["tensors"] if (self.folder / "manifest.json").exists() else {}
        for name, entry in complete.items():
            begin, end = entry["range"]
            data = (self.folder / (entry["shard"] + ".slices")).read_bytes()[begin:end]
            self.assertEqual(data, self.tensors[name][2], name)
            self.assertEqual(data, self.files[entry["shard"]][begin:end], name)
        if wanted is not None:
            self.assertEqual(set(complete), set(wanted))
        return len(complete)

    def forget(self):
        """An empty cache again."""
        shutil.rmtree(self.home / "cache", ignore_errors=True)

    def check_sound(self):
        """After a failure: whatever is complete is right, and a fetch without faults succeeds."""
        self.check_cache()
        self.hub.faults = []
        if self.hub.storage:
            self.hub.storage.faults = []
        self.fetch("--layers", "0-2")
        self.check_cache(self.linears((0, 1, 2), ("q", "k", "up", "down")))
        leftovers = [p.name for p in self.model.rglob("*") if ".json." in p.name]
        self.assertEqual(leftovers, [])
        self.forget()
