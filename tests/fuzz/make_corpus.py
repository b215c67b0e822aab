#!/usr/bin/env python3
"""Writes the seed corpus: small files that reach every part of the readers. usage: make_corpus.py
DIR (default: corpus/ beside this script). The files are committed; this says how they were made."""
import copy
import json
import pathlib
import struct
import sys


def safetensors(header, data):
    text = json.dumps(header, separators=(",", ":")).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def gguf_string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def gguf_key(name, kind, payload):
    return gguf_string(name) + struct.pack("<I", kind) + payload


def gguf_tensor(name, dims, kind, offset):
    return (gguf_string(name) + struct.pack("<I", len(dims)) +
            b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset))


def gguf(version, keys, tensors, data, alignment=32):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys + tensors)
    return head + bytes(-len(head) % alignment) + data


def safetensors_seeds():
    layer = "model.layers.1.mlp.up_proj.weight"
    yield "empty", safetensors({}, b"")
    yield "scalar", safetensors({"s": entry("F32", [], 0, 4)}, bytes(4))
    yield "plain", safetensors({
        "__metadata__": {"format": "pt"}, layer: entry("F32", [2, 3], 0, 24),
        "h": entry("F16", [2, 2], 24, 32), "b": entry("BF16", [2, 2], 32, 40),
        "i": entry("I64", [0, 5], 40, 40)}, bytes(range(40)))
    yield "small", safetensors({
        "four": entry("F4", [2, 2], 0, 2), "six": entry("F6_E2M3", [2, 2], 2, 5),
        "eight": entry("F8_E4M3", [3], 5, 8), "c": entry("C64", [1], 8, 16),
        "t": entry("BOOL", [1, 1, 1], 16, 17)}, bytes(17))
    yield "nan", safetensors({"w": entry("F32", [1, 2], 0, 8)}, struct.pack("<ff", 1, float("nan")))
    yield "escapes", safetensors(b'{"a\\u0041\\n":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}} ',
                                 b"x")
    yield "hole", safetensors({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, b"xyz")


def gguf_seeds():
    numbers = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]
    keys = [gguf_key(f"k{i}", i, bytes(n)) for i, n in enumerate(numbers) if n]
    keys += [gguf_key("s", 8, gguf_string("text")),
             gguf_key("a", 9, struct.pack("<IQ", 8, 2) + gguf_string("x") + gguf_string("")),
             gguf_key("n", 9, struct.pack("<IQ", 5, 2) + bytes(8))]
    align = [gguf_key("general.alignment", 4, struct.pack("<I", 64))]
    yield "empty", gguf(3, [], [], b"")
    yield "keys", gguf(2, keys, [], b"")
    kinds = [("f32", 0, 128), ("f16", 1, 64), ("q40", 2, 18), ("q41", 3, 20), ("q80", 8, 34),
             ("bf16", 30, 64)]
    tensors, data = [], b""
    for name, kind, size in kinds:
        tensors.append(gguf_tensor(name, [32, 1], kind, len(data)))
        data += bytes(i & 63 for i in range(size)) + bytes(-size % 32)
    yield "blocks", gguf(3, [], tensors, data)
    yield "aligned", gguf(3, align, [gguf_tensor("blk.0.attn_q.weight", [2, 2], 0, 64),
                                     gguf_tensor("s", [], 24, 0)], bytes(80), 64)
    yield "four-dims", gguf(3, keys, [gguf_tensor("t", [1, 2, 3, 0], 27, 0)], b"")


def artifact_layer(name, n, k, nnz, group, part):
    """A layer's facts and tensors; `part` gives an array's bytes by its suffix."""
    facts = {"tensor": name + ".weight", "n": n, "k": k, "nnz": nnz, "group": group, "rule": "residual",
             "density": 0.5, "hessian": "weights", "source_xxh3": 32 * "-"}
    wide = k > 65536
    shapes = {"ortho.row_ptr": ("I32", [n + 1], 4), "base.scale": ("F16", [n, -(-k // group)], 2),
              "ortho.val": ("F16", [nnz], 2),
              "ortho.col": ("U32" if wide else "U16", [nnz], 4 if wide else 2),
              "base.q": ("U8", [n, (k + 1) // 2], 1)}
    tensors, data = {}, b""
    for suffix, (dtype, shape, size) in shapes.items():
        count = size
        for d in shape:
            count *= d
        tensors[f"{name}.{suffix}"] = entry(dtype, shape, len(data), len(data) + count)
        data += part.get(suffix, b"").ljust(count, b"\0")[:count]
    return {f"ortho.layer:{name}": json.dumps(facts, separators=(",", ":"))}, tensors, data


def artifact_seeds():
    rows = {"ortho.row_ptr": struct.pack("<4i", 0, 2, 2, 4), "ortho.col": struct.pack("<4H", 1, 4, 0, 3),
            "ortho.val": b"\0\x3c" * 4, "base.scale": b"\0\x20" * 6, "base.q": b"\x7f\x91\x03" * 3}
    layer, tensors, data = artifact_layer("m.q", 3, 5, 4, 4, rows)
    known = {"format": "pt", "ortho.artifact": "1", "ortho.version": "0.1.0"}
    good = {"__metadata__": {**known, **layer}, **tensors}
    yield "file", b"F" + safetensors(good, data)
    yield "later", b"F" + safetensors({**good, "__metadata__": {"ortho.artifact": "2", **layer}}, data)
    yield "no-layer", b"F" + safetensors({"__metadata__": known}, b"")
    yield "no-tensor", b"F" + safetensors({"__metadata__": {**known, **layer}}, b"")
    yield "other", b"F" + safetensors({"w": entry("U8", [1], 0, 1)}, b"x")
    arrays = b"".join(rows[s] for s in ("ortho.row_ptr", "base.scale", "ortho.val", "ortho.col", "base.q"))
    yield "made", bytes([0, 2, 4, 4, 3]) + arrays
    yield "empty", bytes([0, 0, 0, 0, 0])
    yield "wide", bytes([255, 1, 3, 3, 255]) + struct.pack("<3i", 0, 1, 3)


def index_seeds():
    shard = safetensors({"a": entry("F32", [1, 2], 0, 8), "c": entry("U8", [1], 8, 9)}, bytes(9))
    both = {"metadata": {"total_size": 1.0}, "weight_map": {"a": "a", "b": "b", "c": "a"}}
    yield "both", json.dumps(both).encode() + b"\0" + shard
    yield "good", b'{"weight_map":{"b":"b"}}'
    yield "missing", b'{"weight_map":{"b":"b","x":"b"}}'
    yield "dots", b'{"weight_map":{"b":"../b"}}'
    yield "empty", b'{"weight_map":{}}\0'


def slices_seeds():
    """Manifests over the shard of fuzz_slices.c, whose header's hash is this."""
    shard = {"bytes": 136, "header": 120, "header_xxh3": "23b1690d90ade6684d6d16526f8f9cd9", "etag": "e"}
    a = {"shard": "s", "range": [120, 128], "xxh3": 32 * "0", "fetched": "2026-11-26T00:00:00Z"}
    b = {"shard": "s", "range": [128, 136], "piece": 4, "done": [1]}
    good = {"schema": "ortho-slices/1", "repository": "a/b", "endpoint": "https://huggingface.co",
            "commit": "0123456789abcdef0123456789abcdef01234567", "shards": {"s": shard},
            "tensors": {"a": a}, "partial": {"b": b}}
    yield "good", compact(good)
    yield "both", compact({**good, "tensors": {"a": a, "b": {**a, "range": [128, 136]}}, "partial": {}})
    yield "empty", compact({**good, "shards": {}, "tensors": {}, "partial": {}})
    yield "shifted", compact({**good, "tensors": {"a": {**a, "range": [121, 129]}}})
    yield "unknown", compact({**good, "tensors": {"c": a}})


def http_seeds():
    commit = b"X-Repo-Commit: 0123456789abcdef0123456789abcdef01234567\r\n"
    yield "part", (b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-7/4965799096\r\n"
                   b"Content-Length: 8\r\nETag: W/\"abc\"\r\n" + commit + b"\r\n")
    yield "redirect", (b"HTTP/2 302 \r\nlocation: https://example.org/x?y=z\r\nx-linked-size: 4965799096\r\n"
                       b'x-linked-etag: "584d8d3e"\r\n' + commit + b"\r\n")
    yield "busy", b"HTTP/1.1 429 Too Many\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
    yield "busy-seconds", b"HTTP/1.1 503 x\nRetry-After: 120\n\n"
    yield "gated", b"HTTP/1.1 401 x\r\nX-Error-Code: GatedRepo\r\nContent-Encoding: gzip\r\n\r\n"
    yield "interim", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 416 x\r\nContent-Range: bytes */9\r\n\r\n"
    yield "trailer", b"HTTP/1.1 200 OK\r\n\r\nContent-Length: 1\r\n"
    yield "unknown-total", b"HTTP/1.1 206 x\r\nContent-Range: bytes 8-15/*\r\n\r\n"


TESTS = pathlib.Path(__file__).parent.parent


def compact(*documents):
    return b"\0".join(json.dumps(d, separators=(",", ":"), ensure_ascii=False).encode()
                      for d in documents)


def shorter(rows, samples=3):
    for row in copy.deepcopy(rows):
        time = row.get("time_ns", {})
        time.get("samples", [])[samples:] = []
        yield row


def cut(document, rows):
    return {**document, "results": list(shorter([document["results"][i] for i in rows]))}


def slower(document, factor):
    """The same, as a later and slower run; every second row of it came from two processes."""
    later = copy.deepcopy(document)
    later["context"]["date"] = "2026-11-26T00:00:00Z"
    for i, row in enumerate(later["results"]):
        time = row.get("time_ns", {})
        for key in ("median", "lo", "hi"):
            if key in time:
                time[key] *= factor
        if time.get("samples"):
            time["samples"] = [s * factor for s in time["samples"]]
            if i % 2 == 0:
                time["processes"] = [1, len(time["samples"]) - 1]
    return later


def results_seeds():
    cpu = json.loads((TESTS / "schema/example.json").read_text())
    gpu = json.loads((TESTS / "schema/example-gpu.json").read_text())
    recorded = json.loads((TESTS / "recorded/h100-processes.json").read_text())
    gemm, sieve = cut(cpu, [0, 2, 6, 9]), cut(cpu, [16, 29, 62, 64])
    yield "empty", compact({"schema": "ortho-bench/1", "context": {}, "results": []})
    yield "gemm", compact(gemm)
    yield "gemm-odd", compact(cut(cpu, [14, 15, 23, 43]))
    yield "sieve", compact(sieve)
    yield "gpu", compact(cut(gpu, [0, 2, 4, 7]))
    yield "gpu-shapes", compact(cut(gpu, [12, 28, 36]))
    yield "gpu-pass", compact(cut(gpu, [40, 42, 44]))
    yield "pair", compact(cut(cpu, [0, 2, 6]), slower(cut(cpu, [0, 2, 6]), 1.1))
    yield "pair-sieve", compact(sieve, slower(sieve, 0.9))
    yield "pair-gpu", compact(cut(gpu, [4, 48]), slower(cut(gpu, [4, 48]), 1.01))
    nowhere = cut(cpu, [2]) # was found: a group without figures
    del nowhere["results"][0]["backend"]
    yield "no-backend", compact(nowhere)
    yield "processes", compact(*(cut(d, [0, 3, 4]) for d in recorded[:3]))


def comparison_seeds():
    text = (TESTS / "page/comparison.json").read_text()
    comparison = json.loads(text)
    yield "page", compact(comparison)
    for case in comparison["cases"]: # in the capitals that `compare` writes
        case["verdict"] = case["verdict"].upper()
        case["role"] = "baseline" if case["variant"] == "dense" else "competitor"
    yield "capitals", compact(comparison)
    told = copy.deepcopy(comparison) # was found: a verdict that reached the terminal as it is
    told["cases"][0]["verdict"] = "\x1b[31m" + 30 * "\u00b5"
    yield "verdict", compact(told)
    empty = {**comparison, "cases": [], "groups": [], "refused": [], "only_b": []}
    yield "empty", compact(empty)


def document_seeds():
    """Small ones, so that many are read in a second."""
    context = {"commit": "a", "seed": 1}
    ok = {"key": "gemm/csr/cpu/L0.q/m1", "op": "gemm", "status": "ok", "time_ns": {"samples": [1, 2.5]}}
    failed = {"key": "k", "status": "failed", "reason": "\u00e9 \"x\""}
    results = {"schema": "ortho-bench/1", "context": context, "results": []}
    yield "smallest", compact(results)
    yield "rows", compact({**results, "results": [ok, failed]})
    yield "later", compact({**results, "schema": "ortho-bench/2"})
    yield "comparison", compact({"schema": "ortho-bench-compare/1", "context": {}, "summary": {}, "cases": [ok]})
    yield "cut", compact(results)[:40]


def config_seeds():
    yield "indented", b'{\n  "rms_norm_eps": 1e-05,\n  "layers": [{"a": null}]\n}\n'
    yield "compact", b'{"model_type":"llama"}'
    yield "empty", b"{}"
    yield "null", b'{"a": "quantization_config", "quantization_config" : null, "b": {"quantization_config": null}}'
    yield "python", b'{"limit": [0.0, Infinity], "least": -Infinity, "none": NaN, "text": "\\" NaN"}'
    yield "quantised", b'{"quantization_config": {"quant_method": "fp8"}}'
    yield "escaped", b'{"quantization\\u005fconfig": null}'
    yield "behind", b"{} \0"
    yield "nul", b'{"quantization_config": null\0}'  # a find: jansson passes over it


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "corpus"
    for kind, seeds in (("safetensors", safetensors_seeds), ("gguf", gguf_seeds),
                        ("index", index_seeds), ("artifact", artifact_seeds), ("results", results_seeds),
                        ("comparison", comparison_seeds), ("document", document_seeds),
                        ("slices", slices_seeds), ("http", http_seeds), ("config", config_seeds)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        for name, content in seeds():
            (root / kind / name).write_bytes(content)


if __name__ == "__main__":
    main()
