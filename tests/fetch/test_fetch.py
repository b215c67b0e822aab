"""fetch, as its users meet it: what is fetched, what isn't, who gets the token, what a run sees."""

import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import unittest

import hub
from fetching import SPEC, Case


class Plain(Case):
    def test_only_the_wanted_bytes(self):
        out = self.fetch("--layers", "0,2", "--proj", "q,down")
        wanted = self.linears((0, 2), ("q", "down"))
        self.assertEqual(self.check_cache(wanted), 4)
        self.assertIn("tensors    4, 41 kB", out)
        self.assertIn("licence    Llama 3.2 Community License", out)
        asked = sum(int(e) - int(b) + 1 for b, e in (
            h["Range"].removeprefix("bytes=").split("-")
            for _, h in self.hub.asked(".safetensors") if h.get("Range", "")[6:8] not in ("", "0-")))
        self.assertEqual(asked, sum(len(self.tensors[name][2]) for name in wanted))
        # nothing else is in the shards: holes, and the header
        for shard in hub.SHARDS:
            data = (self.folder / (shard + ".slices")).read_bytes()
            self.assertEqual(len(data), len(self.files[shard]))
        self.assertIn("All Rights Reserved.", (self.folder / "NOTICE").read_text())
        self.assertEqual((self.folder / "config.json").read_bytes(), self.files["config.json"])
        self.assertEqual((self.model / "refs/main").read_text(), hub.COMMIT + "\n")

    def test_again_is_one_line_and_more_is_added(self):
        self.fetch("--layers", "0")
        before = len(self.hub.asked(".safetensors"))
        out = self.fetch("--layers", "0")
        self.assertRegex(out, r"^hf:meta-llama/Llama-3.2-3B@0123456789ab: nothing to fetch: all 4 "
                              r"tensors \(.*\) are there\n$")
        self.assertEqual(len([p for p, _ in self.hub.asked(".safetensors") if "index" not in p]),
                         before - 1)  # the index alone was asked for
        out = self.fetch("--layers", "0-1", "--json")
        summary = json.loads(out)
        self.assertEqual(summary["tensors"], {"wanted": 8, "fetched": 4})
        self.check_cache(self.linears((0, 1), ("q", "k", "up", "down")))

    def test_a_commit_at_hand_needs_no_hub(self):
        self.fetch()
        self.hub.close()
        out = self.bench("fetch", f"{SPEC}@{hub.COMMIT}")
        self.assertIn("nothing to fetch", out)
        out = self.bench("inspect", f"{SPEC}@{hub.COMMIT}", "--json")
        self.assertEqual(len(json.loads(out)["tensors"]), 4)

    def test_all(self):
        out = self.bench("fetch", SPEC, "--all", "--json", "--jobs", "1")
        self.assertEqual(json.loads(out)["tensors"]["wanted"], len(self.tensors))
        self.check_cache(self.tensors)
        for shard in hub.SHARDS:
            self.assertEqual((self.folder / (shard + ".slices")).read_bytes(), self.files[shard])
            sha256 = hashlib.sha256(self.files[shard]).hexdigest()
            self.assertEqual(self.manifest()["shards"][shard]["sha256"], sha256)

    def test_a_whole_shard_that_is_another(self):
        """Its ranges, length and ETag are right, its bytes are not: the hub's SHA-256 tells."""
        good = self.files[hub.SHARDS[0]]
        sha256 = hashlib.sha256(good).hexdigest()
        self.hub.files = self.files | {hub.SHARDS[0]: good[:-1] + b"?"}
        self.hub.etags = {hub.SHARDS[0]: sha256}
        self.fetch("--all", code=1, says="its SHA-256 is not the one")
        self.hub.files = self.files
        self.fetch("--all")
        self.check_cache(self.tensors)

    def test_one_file_without_an_index(self):
        self.hub.files = {"model.safetensors": hub.safetensors(self.tensors)}
        self.files |= self.hub.files
        self.fetch("--layers", "1")
        self.check_cache(self.linears((1,), ("q", "k", "up", "down")))
        self.assertFalse((self.folder / "config.json").exists())

    def test_a_long_header_takes_a_second_request(self):
        wide = {f"model.layers.{i}.self_attn.q_proj.weight": ("BF16", [2, 2], hub.bf16(2, 2, i))
                for i in range(900)}
        self.hub.files = {"model.safetensors": hub.safetensors(wide)}
        self.files, self.tensors = dict(self.hub.files), wide
        self.fetch("--layers", "3,899")
        self.check_cache({f"model.layers.{i}.self_attn.q_proj.weight" for i in (3, 899)})

    def test_large_pieces(self):
        """A piece that comes in many reads."""
        name = "model.layers.0.self_attn.q_proj.weight"
        self.more = {"ORTHO_FETCH_PIECE": "100000"}
        self.tensors = {name: ("BF16", [256, 256], hub.bf16(256, 256, 5))}
        self.hub.files = self.files = {"model.safetensors": hub.safetensors(self.tensors)}
        self.fetch()
        self.check_cache({name})

    def test_a_revision_with_a_slash(self):
        self.bench("fetch", SPEC + "@refs/pr/1")
        self.assertTrue((self.model / "refs/refs%2Fpr%2F1").is_file())
        self.bench("inspect", SPEC + "@refs/pr/1")
        self.bench("inspect", SPEC, code=1, says="ortho-bench fetch hf:meta-llama/Llama-3.2-3B@main")

    def test_a_branch_that_moved(self):
        self.fetch()
        self.hub.commit = hub.OTHER
        self.hub.faults = [hub.once(lambda r: r.say(500), 99, "model-0")]
        self.fetch(code=1)
        self.assertEqual((self.model / "refs/main").read_text(), hub.COMMIT + "\n")
        self.bench("inspect", SPEC)
        self.hub.faults = []
        self.fetch()
        self.assertEqual((self.model / "refs/main").read_text(), hub.OTHER + "\n")
        self.check_cache(self.linears((0,), ("q", "k", "up", "down")))


class Use(Case):
    def test_a_run_on_slices(self):
        self.fetch("--layers", "1", "--proj", "q,up")
        self.hub.close()  # a run needs no hub
        for model in (("--model", SPEC), ("--model", "llama-3.2-3b"), ()):
            keys = self.bench("run", "--dry-run", "--op", "sieve", "--variant", "csr", *model)
            self.assertIn("sieve/csr/cpu/L1.q/", keys, model)
            self.assertIn("sieve/csr/cpu/L1.up/", keys, model)
            self.assertNotIn("/L0.", keys, model)
        out = self.bench("verify", "--op", "sieve", "--variant", "csr", "--model", SPEC)
        self.assertRegex(out, "ok +pass .*sieve/csr/cpu/L1.q/")
        for model in (SPEC, "llama-3.2-3b"):
            self.assertRegex(self.bench("inspect", model), "model +llama-3.2-3b\n")

    def test_what_is_not_there(self):
        self.bench("inspect", SPEC, code=1, says="`ortho-bench fetch hf:meta-llama/Llama-3.2-3B@main")
        self.bench("inspect", "llama-3.2-3b", code=1, says="`ortho-bench fetch hf:meta-llama/")
        self.fetch("--layers", "1")
        self.bench("run", "--model", SPEC, "--layers", "0", code=2, says="layers 1-1")

    def test_one_hash_whatever_was_fetched(self):
        self.fetch("--layers", "1")
        first = re.search(r"hash +(\w+)", self.bench("inspect", SPEC)).group(1)
        self.fetch("--layers", "0,2")
        self.assertEqual(re.search(r"hash +(\w+)", self.bench("inspect", SPEC)).group(1), first)

    def test_made_weights_say_so(self):
        self.hub.files = {"model.safetensors": hub.safetensors(self.tensors, made=True)}
        self.fetch()
        self.assertIn("made, not trained", self.bench("inspect", SPEC))


    def test_a_model_that_nobody_knows(self):
        self.hub.repo = "someone/else"
        out = self.bench("fetch", "hf:someone/else")
        self.assertNotIn("licence", out)
        self.assertEqual(list((self.home / "cache").rglob("NOTICE")), [])
        self.assertRegex(self.bench("inspect", "hf:someone/else"), "model +hf:someone/else")


class Usage(Case):
    def test_words(self):
        for spec in ("hf:", "hf:x", "hf:a/b/c", "hf:a/../b", "hf:a/b@", "hf:a/b@x y", "hf:a/b@../c",
                     "https://huggingface.co/a/b", "hf:a--b/c"):
            self.bench("fetch", spec, code=1, says="hub" if "@" not in spec else "revision")
        self.bench("fetch", code=2)
        self.bench("fetch", SPEC, "--jobs", "0", code=2)
        self.bench("fetch", "smollm2-135m", code=1, says="scripts/setup")
        self.assertEqual(self.hub.log, [])

    def test_what_the_model_has_not(self):
        self.fetch("--layers", "0,9", code=1, says="--layers 9: this model has layers 0-2")
        self.fetch("--proj", "v", code=1, says="--proj v: this model has q, k, up, down")
        self.fetch("--proj", "w", code=1, says="--proj w: this model has")
        self.hub.files = {"model.safetensors": hub.safetensors({"x": ("F32", [1], bytes(4))})}
        self.fetch(code=1, says="--all fetches them all")

    def test_the_environment(self):
        self.fetch(code=0)
        for name, value, words in (
                ("HF_HUB_OFFLINE", "1", "HF_HUB_OFFLINE is set"),
                ("HF_ENDPOINT", "ftp://x", "HF_ENDPOINT"), ("HF_ENDPOINT", "nonsense:", "HF_ENDPOINT"),
                ("HF_ENDPOINT", "http://me:pw@127.0.0.1", "HF_ENDPOINT"),
                ("ORTHO_FETCH_PIECE", "1", "ORTHO_FETCH_PIECE"),
                ("ORTHO_FETCH_BACKOFF", "nan", "ORTHO_FETCH_BACKOFF")):
            self.more = {name: value}
            err = self.fetch(code=1, says=words)
            self.assertNotIn("pw", err)

    def test_no_room_or_no_place(self):
        (self.home / "cache").mkdir()
        (self.home / "cache/slices").write_text("in the way")
        self.fetch(code=1, says="slices")


class Token(Case):
    """Who gets it: the endpoint. Who doesn't: anybody else, and nobody who reads what we print."""

    def setUp(self):
        super().setUp()
        self.storage = hub.Hub(self.files, is_storage=True)
        self.addCleanup(self.storage.close)
        self.hub.storage = self.storage
        self.hub.token = "hf_" + "s" * 34
        self.more = {"HF_TOKEN": self.hub.token}

    def check_secret(self, text):
        self.assertNotIn(self.hub.token, text)
        self.assertNotIn("SECRETSIGN", text)

    def test_redirected_without_it(self):
        out = self.fetch("--layers", "0-2")
        self.check_secret(out)
        self.check_cache(self.linears((0, 1, 2), ("q", "k", "up", "down")))
        self.assertGreater(len(self.storage.log), 4)
        for _, headers in self.storage.log:
            self.assertNotIn("Authorization", headers)
            self.assertNotIn(self.hub.token, json.dumps(headers))
        for path, headers in self.hub.log:
            self.assertEqual(headers.get("Authorization"), f"Bearer {self.hub.token}", path)
        for path in self.home.rglob("*"):
            if path.is_file():
                self.check_secret(path.read_bytes().decode("latin-1"))

    def test_redirected_on_the_same_host(self):
        def moved(request):
            if "Renamed" in request.path:
                return False
            request.say(307, Location=request.path.replace("meta-llama", "Renamed", 1))
        self.hub.repo = self.storage.repo = "Renamed/Llama-3.2-3B"
        self.hub.faults = [moved]
        self.fetch()
        self.check_cache(self.linears((0,), ("q", "k", "up", "down")))

    def test_another_port_is_another_host(self):
        thief = hub.Hub(self.files, is_storage=True)
        self.addCleanup(thief.close)
        self.hub.faults = [lambda r: r.say(302, Location=thief.url + r.path)]
        self.fetch(code=1, says="X-Repo-Commit")
        self.assertTrue(thief.log)
        self.assertFalse(any("Authorization" in h for _, h in thief.log))

    def test_gated(self):
        for more, words in (({}, "no token was sent"), ({"HF_TOKEN": "hf_wrong"}, "the token that was sent")):
            self.more = more
            err = self.fetch(code=1, says=["gated", words, "HF_TOKEN",
                                           f"{self.hub.url}/meta-llama/Llama-3.2-3B"])
            self.assertNotIn("hf_wrong", err)
            self.assertEqual(len(self.hub.asked("index.json")), 1)  # not tried again
            self.hub.log.clear()

    def test_where_it_is_found(self):
        (self.home / ".cache/huggingface").mkdir(parents=True)
        (self.home / "hub").mkdir()
        places = {".cache/huggingface/token": {}, "hub/token": {"HF_HOME": str(self.home / "hub")},
                  "mine": {"HF_TOKEN_PATH": str(self.home / "mine"), "HF_TOKEN": ""}}
        for place, more in places.items():
            (self.home / place).write_text(self.hub.token + "\n")
            self.more = more
            self.fetch()
            (self.home / place).write_text("a\nb")
            err = self.fetch(code=1, says=os.path.basename(place))
            self.assertNotIn("a\nb", err)
            (self.home / place).unlink()
        self.more = {"HF_TOKEN": "x\r\nEvil: yes"}
        self.fetch(code=1, says="HF_TOKEN")

    def test_not_over_plain_http(self):
        self.more |= {"HF_ENDPOINT": "http://hub.invalid", "ORTHO_FETCH_ATTEMPTS": "1"}
        err = self.fetch(code=1, says="the token is not sent")
        self.check_secret(err)

    def test_failures_keep_secrets(self):
        self.storage.faults = [lambda r: r.say(503)]
        err = self.fetch("--verbose", code=1, says="HTTP 503")
        self.check_secret(err)
        self.assertIn(self.storage.url, err)
        self.storage.faults = [hub.once(lambda r: r.say(403), 2)]  # signatures that expired
        self.fetch()
        self.check_cache(self.linears((0,), ("q", "k", "up", "down")))


@unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
class Tls(Case):
    def setUp(self):
        super().setUp()
        key, certificate = self.home / "key.pem", self.home / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.plain = self.hub
        self.hub = hub.Hub(self.files, tls=context)
        self.addCleanup(self.hub.close)
        self.more = {"CURL_CA_BUNDLE": str(certificate), "HF_TOKEN": "hf_x"}

    def test_a_certificate(self):
        self.fetch()
        self.check_cache(self.linears((0,), ("q", "k", "up", "down")))
        self.assertEqual(self.hub.log[0][1]["Authorization"], "Bearer hf_x")
        self.more.pop("CURL_CA_BUNDLE")
        self.fetch(code=1, says="certificate")

    def test_no_way_down_to_plain_http(self):
        self.hub.storage = self.plain
        self.plain.is_storage = True
        self.fetch(code=1, says="a redirect from https to plain http is not followed")
        self.assertEqual(self.plain.log, [])


if __name__ == "__main__":
    unittest.main()
