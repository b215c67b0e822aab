"""A hub on this machine: one repository of safetensors, served as the hub does, or badly on demand.

Hub(files) serves /{repo}/resolve/{revision}/{file} with X-Repo-Commit, ETag and ranges. `storage`:
another Hub that large files are redirected to, as the hub redirects to its storage. A fault is put
into `faults`: a function of the request that answers it badly, or returns False and lets it pass.
`log` keeps what was asked: (path, headers).
"""

import functools
import hashlib
import http.server
import json
import struct
import threading
import time

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
REPO = "meta-llama/Llama-3.2-3B"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms

    def log_message(self, *_):
        pass

    def say(self, status, body=b"", **fields):
        """A whole answer; field names with _ for -."""
        self.send_response(status)
        fields.setdefault("Content_Length", str(len(body)))
        for name, value in fields.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def wanted(self, size):
        """The range that is asked for, as begin and end; None: all of it; False: past the end."""
        text = self.headers.get("Range")
        if text is None:
            return None
        first, last = text.removeprefix("bytes=").split("-")
        begin, end = int(first), min(int(last) + 1, size) if last else size
        return (begin, end) if begin < size else False

    def do_GET(self):
        hub = self.server.hub
        with hub.lock:
            hub.log.append((self.path, dict(self.headers)))
            faults = list(hub.faults)
        for fault in faults:
            if fault(self) is not False:
                return
        time.sleep(hub.delay)
        self.answer(hub)

    def answer(self, hub):
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self.say(401, b"no", X_Error_Code="GatedRepo")
            return
        parts = self.path.split("?")[0].split("/")
        if "/".join(parts[1:3]) != hub.repo:
            self.say(404, X_Error_Code="RepoNotFound")
        elif parts[4] not in ("main", "refs%2Fpr%2F1", hub.commit):
            self.say(404, X_Error_Code="RevisionNotFound")
        elif parts[5] not in hub.files:
            self.say(404, X_Error_Code="EntryNotFound", X_Repo_Commit=hub.commit)
        else:
            self.give(hub, parts[5])

    def give(self, hub, name):
        body = hub.files[name]
        etag = '"' + (hub.etags.get(name) or hashlib.sha256(body).hexdigest()) + '"'
        facts = {"X_Repo_Commit": hub.commit, "ETag": etag}
        if hub.storage and name.endswith(".safetensors"):
            self.say(302, b"elsewhere", Location=f"{hub.storage.url}{self.path}?signed=SECRETSIGN",
                     X_Linked_Size=str(len(body)), X_Linked_ETag=etag, **facts)
            return
        if hub.is_storage:
            facts = {"ETag": '"of the storage"'}
        span = self.wanted(len(body))
        if span is None:
            self.say(200, body, **facts)
        elif span is False:
            self.say(416, Content_Range=f"bytes */{len(body)}")
        else:
            begin, end = span
            self.say(206, body[begin:end], Content_Range=f"bytes {begin}-{end - 1}/{len(body)}",
                     **facts)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that left is what many tests are about


class Hub:
    def __init__(self, files, storage=None, is_storage=False, repo=REPO, port=0, tls=None):
        self.files, self.storage, self.is_storage, self.repo = files, storage, is_storage, repo
        self.commit, self.token, self.delay, self.etags = COMMIT, None, 0, {}
        self.faults, self.log, self.lock = [], [], threading.Lock()
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.hub = self
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, part):
        with self.lock:
            return [(path, headers) for path, headers in self.log if part in path]


def once(fault, times=1, part=".safetensors"):
    """This fault for so many requests whose path holds `part`, none after that."""
    left, lock = [times], threading.Lock()

    def limited(request):
        with lock:
            if part not in request.path or left[0] <= 0:
                return False
            left[0] -= 1
        return fault(request)

    return limited


def safetensors(tensors, made=False):
    """A file of {name: (dtype, shape, bytes)}."""
    header, offset = {"__metadata__": {"made": "for tests"}} if made else {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values())


@functools.cache
def bf16(n, k, seed):
    """Small numbers that look trained: BF16, deterministic, none of them NaN."""
    out, state = bytearray(), seed * 2654435761 % 2**32 or 1
    for _ in range(n * k):
        state = (state * 1664525 + 1013904223) % 2**32
        value = ((state >> 8) / 2**24 - 0.5) * 0.1
        out += struct.pack("<f", value)[2:]
    return bytes(out)


@functools.cache
def llama(layers=3, hidden=64, wide=96):
    """Files of a small repository: two shards, an index, a config; and all tensors' bytes."""
    shapes = {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (hidden // 2, hidden),
              "mlp.up_proj": (wide, hidden), "mlp.down_proj": (hidden, wide)}
    tensors, seed = {"model.embed_tokens.weight": ("BF16", [40, hidden], bf16(40, hidden, 99))}, 1
    for layer in range(layers):
        for proj, (n, k) in shapes.items():
            tensors[f"model.layers.{layer}.{proj}.weight"] = ("BF16", [n, k], bf16(n, k, seed))
            seed += 1
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = ("BF16", [hidden], bf16(1, hidden, seed))
    tensors["model.norm.weight"] = ("F32", [0], b"")
    names = list(tensors)
    half = [names[:len(names) // 2], names[len(names) // 2:]]
    files = {shard: safetensors({n: tensors[n] for n in part}) for shard, part in zip(SHARDS, half)}
    index = {"metadata": {}, "weight_map": {n: s for s, part in zip(SHARDS, half) for n in part}}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    files["config.json"] = b'{"model_type": "llama"}\n'
    return files, tensors
