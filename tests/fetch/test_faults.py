"""A hub that misbehaves: each fault is told by its own words, costs no more than it must, and leaves a
cache that is sound: what it calls complete is right, and a later fetch succeeds."""

import email.utils
import json
import resource
import time
import unittest

import hub
import serve
from fetching import Case


def raw(data):
    """Exactly these bytes, then the end of the connection."""
    def fault(request):
        request.wfile.write(data)
        request.close_connection = True
    return fault


def partial(request, name="ETag", **change):
    """A right answer to a range, with fields changed (None: left out), and body or length."""
    body = request.server.hub.files[request.path.split("/")[5].split("?")[0]]
    begin, end = request.wanted(len(body))
    data = change.pop("body", body[begin:end])
    fields = {"Content_Range": f"bytes {begin}-{end - 1}/{len(body)}", "X_Repo_Commit": hub.COMMIT,
              "Content_Length": str(len(data))} | change
    request.say(206, data, **fields)


def slices_only(fault):
    """Not for the header's request, which begins at 0."""
    return lambda request: not request.headers.get("Range", "bytes=0").startswith("bytes=0") and fault(request)


class Passing(Case):
    """What another attempt may cure."""

    def check_retried(self, fault, words, part="model-0"):
        self.hub.faults = [hub.once(fault, 2, part)]
        self.fetch("--layers", "0", "--jobs", "1", says=[words, " of 3 in 0."])
        self.check_cache(self.linears((0,), ("q", "k", "up", "down")))
        # with no end of it, the fetch ends, and what it leaves is sound
        self.hub.faults = [hub.once(fault, 10**6, part)]
        self.fetch("--layers", "1", code=1, says=[words, "after 3 attempts"])
        self.check_sound()

    def test_server_errors(self):
        for status in (500, 502, 503, 504, 408):
            with self.subTest(status):
                self.check_retried(lambda r: r.say(status, b"x" * 100), f"HTTP {status}")

    def test_too_many_requests(self):
        self.check_retried(lambda r: r.say(429), "HTTP 429, too many requests")

    def test_reset_connection(self):
        self.check_retried(raw(b""), "")

    def test_reset_in_the_head(self):
        self.check_retried(raw(b"HTTP/1.1 206 Partial\r\nContent-Range: by"), "")

    def test_short_body(self):
        def short(request):
            data = b"x" * 10
            partial(request, body=data, Content_Length="4096")
            request.close_connection = True
        self.hub.faults = [hub.once(short, 1, "model-00001")]
        err = self.fetch("--layers", "0", code=1, says="Content-Length 4096 contradicts")
        self.assertNotIn("attempt", err)
        self.check_sound()

    def test_body_that_ends_early(self):
        def cut(request):
            body = request.server.hub.files[request.path.split("/")[5]]
            begin, end = request.wanted(len(body))
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(body)}")
            request.send_header("X-Repo-Commit", hub.COMMIT)
            request.send_header("Content-Length", str(end - begin))
            request.end_headers()
            request.wfile.write(body[begin:(begin + end) // 2])
            request.close_connection = True
        self.check_retried(cut, "")

    def test_chunks_that_are_too_few(self):
        def chunks(request):
            body = request.server.hub.files[request.path.split("/")[5]]
            begin, end = request.wanted(len(body))
            partial(request, body=b"", Content_Length=None, Transfer_Encoding="chunked")
            request.wfile.write(b"5\r\n" + body[begin:begin + 5] + b"\r\n0\r\n\r\n")
        self.check_retried(chunks, "only 5 of")

    def test_silence(self):
        self.more = {"ORTHO_FETCH_TIMEOUT": "1", "ORTHO_FETCH_ATTEMPTS": "1"}
        self.hub.faults = [hub.once(lambda r: time.sleep(3), 1, "model-00002")]
        began = time.monotonic()
        self.fetch("--layers", "2", code=1, says="after 1 attempts")
        self.assertLess(time.monotonic() - began, 2.9)
        self.check_sound()

    def test_nobody_listens(self):
        self.hub.close()
        self.fetch(code=1, says="after 3 attempts")

    def test_retry_after_is_heeded(self):
        for ask in (lambda: "1", lambda: email.utils.formatdate(time.time() + 2.5, usegmt=True)):
            value = ask()
            self.hub.faults = [hub.once(lambda r: r.say(429, Retry_After=value), 1, "index")]
            began = time.monotonic()
            self.fetch()
            self.assertGreater(time.monotonic() - began, 0.9, value)
        self.hub.faults = [hub.once(lambda r: r.say(503, Retry_After="nonsense"), 1, "index")]
        self.fetch()


class Lasting(Case):
    """What no attempt cures: one request, one clear sentence."""

    def check_refused(self, fault, words, part="model-0", times=1, arguments=()):
        self.hub.faults = [hub.once(fault, 10**6, part)]
        before = len(self.hub.asked(part))
        began = time.monotonic()
        err = self.fetch("--layers", "0", "--jobs", "1", *arguments, code=1, says=words)
        self.assertNotIn("attempt", err)
        self.assertLess(time.monotonic() - began, 4, words)
        if times:
            self.assertEqual(len(self.hub.asked(part)) - before, times, err)
        self.check_sound()

    def test_whole_instead_of_a_range(self):
        def whole(request):
            """Would send for ever: the client must leave at once."""
            request.send_response(200)
            request.send_header("Content-Length", str(10**12))
            request.end_headers()
            for _ in range(10**6):
                request.wfile.write(b"x" * 65536)
        self.check_refused(whole, "it answered 200, the whole file")

    def test_wrong_ranges(self):
        for field, words in ((None, "206 without Content-Range"), ("bytes 0-9/100", "it answered with 0 to 9"),
                             ("bytes 1-8/99999", "it answered with 1 to 8"), ("bytes 5-3/9", "is none"),
                             ("bytes 0-99999999999999999999/5", "is none"), ("lines 0-7/8", "is none"),
                             ("bytes 0-65535/99", "is none"), ("bytes 0-65535", "is none")):
            with self.subTest(field):
                self.check_refused(lambda r: partial(r, Content_Range=field), words)

    def test_a_range_without_the_length(self):
        self.check_refused(lambda r: partial(r, Content_Range="bytes 0-65535/*"), "")

    def test_more_than_was_asked_for(self):
        def endless(request):
            body = request.server.hub.files[request.path.split("/")[5]]
            begin, end = request.wanted(len(body))
            partial(request, body=b"", Content_Length=None, Content_Range=f"bytes {begin}-{end - 1}/{len(body)}")
            request.close_connection = True
            for _ in range(10**4):
                request.wfile.write(b"x" * 65536)
        self.check_refused(endless, "it sends more than the")

    def test_an_endless_small_file(self):
        def endless(request):
            request.send_response(200)
            request.send_header("X-Repo-Commit", hub.COMMIT)
            request.end_headers()
            request.close_connection = True
            for _ in range(10**4):
                request.wfile.write(b"x" * 65536)
        self.check_refused(endless, "it sends more than the 1000000 bytes", part="config.json")
        self.check_refused(lambda r: r.say(200, Content_Length="100000001"), "the most that such a file has",
                           part="index.json")

    def test_endless_heads(self):
        def many(request):
            request.wfile.write(b"HTTP/1.1 206 Partial\r\n")
            for i in range(10**6):
                request.wfile.write(b"X-%d: y\r\n" % i)
        self.check_refused(many, "a head of more than 256 lines")
        def long(request):
            request.wfile.write(b"HTTP/1.1 206 Partial\r\nX: ")
            for _ in range(10**4):
                request.wfile.write(b"y" * 4096)
        self.hub.faults = [hub.once(long, 10**6, "model-0")]
        self.fetch("--layers", "0", code=1)
        self.check_sound()
        self.check_refused(raw(b"HTTP/1.1 206 P\r\n" + (b"X: " + b"y" * 30000 + b"\r\n") * 5 + b"\r\n"),
                           "a head of more than")

    def test_not_http(self):
        self.hub.faults = [hub.once(raw(b"SSH-2.0-OpenSSH_9.2\r\n"), 10**6, "model-0")]
        self.fetch("--layers", "0", code=1)
        self.check_sound()

    def test_redirects(self):
        loop = lambda r: r.say(302, Location=r.path)
        self.check_refused(loop, "more than 10 redirects", times=11)
        self.check_refused(lambda r: r.say(302), "without a Location")
        self.check_refused(lambda r: r.say(302, Location="file:///etc/passwd"), "http:// or https://")
        self.check_refused(lambda r: r.say(302, Location="ftp://127.0.0.1/x"), "http:// or https://")
        self.check_refused(lambda r: r.say(302, Location="http://me:pw@127.0.0.1/x"), "user or password")

    def test_refusals(self):
        self.check_refused(lambda r: r.say(401), ["gated", "HTTP 401"])
        self.check_refused(lambda r: r.say(403), ["gated", "HTTP 403"])
        self.check_refused(lambda r: r.say(404), "no such repository, revision or file")
        self.check_refused(lambda r: r.say(404, X_Error_Code="EntryNotFound"), "the model has no such file")
        self.check_refused(lambda r: r.say(404, X_Error_Code="RepoNotFound"), "the hub has no model",
                           part="index")
        self.check_refused(lambda r: r.say(404, X_Error_Code="RevisionNotFound"), "no revision main",
                           part="index")
        self.check_refused(lambda r: r.say(400), "HTTP 400")
        self.check_refused(lambda r: r.say(204), "HTTP 204 means nothing here")
        self.check_refused(slices_only(lambda r: r.say(416)), "HTTP 416", times=0)

    def test_no_safetensors(self):
        self.hub.files = {"pytorch_model.bin": b"x"}
        self.fetch(code=1, says="isn't stored as safetensors")

    def test_another_commit(self):
        self.check_refused(lambda r: partial(r, X_Repo_Commit=hub.OTHER), "the repository moved meanwhile")
        self.check_refused(lambda r: partial(r, X_Repo_Commit="main"), "X-Repo-Commit is not one commit")
        self.check_refused(lambda r: partial(r, X_Repo_Commit=None), "no X-Repo-Commit")

    def test_another_file(self):
        """The header was of one file, a slice is of another."""
        change = slices_only(lambda r: partial(r, ETag='"another"'))
        self.check_refused(change, "the hub gives another file", times=0)
        linked = slices_only(lambda r: partial(r, X_Linked_Size="7"))
        self.check_refused(linked, "the hub says 7 bytes", times=0)

    def test_compressed(self):
        self.check_refused(lambda r: partial(r, Content_Encoding="gzip"), "compressed")


class Content(Case):
    """Files that aren't what they say."""

    def check_index(self, text, words):
        self.hub.faults = [hub.once(lambda r: r.say(200, text, X_Repo_Commit=hub.COMMIT), 1, "index")]
        self.fetch(code=1, says=words)

    def test_indexes(self):
        self.check_index(b"", "JSON must begin")
        self.check_index(b"{", "model.safetensors.index.json")
        self.check_index(b'{"weight_map": []}', 'no "weight_map" object')
        self.check_index(b'{"weight_map": {"a": "../../x"}}', "plain name")
        self.check_index(b'{"weight_map": {"a": 1}}', "plain name")
        lie = b'{"weight_map": {"model.layers.0.mlp.gate_proj.weight": "model-00001-of-00002.safetensors"}}'
        self.check_index(lie, "has no such tensor")
        self.check_sound()

    def check_header(self, data, words):
        self.hub.files = self.files | {hub.SHARDS[0]: data}
        self.fetch(code=1, says=words)
        self.hub.files = dict(self.files)

    def test_headers(self):
        good = self.files[hub.SHARDS[0]]
        self.check_header(b"", "HTTP 416")
        self.check_header(b"1234567", "too few for a header")
        self.check_header((2**63).to_bytes(8, "little") + good[8:], "at most 100000000 are legal")
        self.check_header((len(good)).to_bytes(8, "little") + good[8:], "the file ends at")
        self.check_header(good[:8] + b"[" + good[9:], "JSON must begin with '{'")
        self.check_header(good[:-1], "the file ends at")
        self.check_header(good.replace(b'"BF16"', b'"BF17"', 1), "unknown dtype BF17")
        self.check_sound()


class Disk(Case):
    """A limit on the size of files is a full disk of our own."""

    def fetch_limited(self, limit, words, *arguments):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            self.fetch("--layers", "0-2", *arguments, code=1, says=words)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def test_no_room_for_a_shard(self):
        self.fetch_limited(8192, "can't make a file of")
        self.check_sound()

    def test_no_room_for_a_slice(self):
        self.fetch("--layers", "0,2", "--proj", "q")  # the shards are there
        self.fetch_limited(20000, "writing failed", "--jobs", "1")
        self.assertGreater(self.check_cache(), 2)  # what had room was kept
        self.check_sound()

    def test_no_room_for_a_manifest(self):
        self.fetch("--all")
        document = self.manifest()
        document["tensors"].popitem()
        (self.folder / "manifest.json").write_text(json.dumps(document))
        good = (self.folder / "manifest.json").read_bytes()
        self.fetch_limited(2000, "writing failed", "--all")
        self.assertEqual((self.folder / "manifest.json").read_bytes(), good)
        self.fetch("--all")
        self.check_cache(self.tensors)

    def test_more_than_any_disk_has(self):
        name = "model.layers.0.self_attn.q_proj.weight"
        self.hub.files = {"model.safetensors": serve.Shard([(name, [1 << 21, 1 << 20])])}
        self.hub.etags = {"model.safetensors": "made"}
        self.more = {"ORTHO_FETCH_PIECE": str(1 << 23)}
        err = self.fetch(code=1)
        self.assertRegex(err, "4398046.5 MB are to be fetched, and there is room for|can't make a file of")
        self.forget()
        self.more = {"ORTHO_FETCH_PIECE": "4096"}
        self.assertRegex(self.fetch(code=1), "are more than one fetch takes|can't make a file of")


if __name__ == "__main__":
    unittest.main()
