#!/usr/bin/env python3
"""An artifact that libortho writes, read by the safetensors Python package: names, dtypes, shapes and
metadata are what docs/ARTIFACT.md says, and its arrays put together are the weights: Base within its
grid, Base + Ortho exact to fp16 at each entry, and the product that the library computes. Then the
other way: an artifact that Python writes is loaded.

usage: artifact_golden.py path/to/libortho.so docs/ARTIFACT.md, whose Python is run, too. Exit 77: a package is missing."""
import ctypes as c
import json
import pathlib
import re
import sys
import tempfile

try:
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


class Matrix(c.Structure):
    _fields_ = [("rows", c.c_int64), ("cols", c.c_int64), ("stride", c.c_int64),
                ("dtype", c.c_int), ("data", c.c_void_p)]


class Options(c.Structure):
    _fields_ = [("size", c.c_size_t), ("density", c.c_double), ("rule", c.c_int),
                ("group", c.c_int32), ("threads", c.c_int32), ("device", c.c_int32)]


class LayerOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("device", c.c_int32), ("threads", c.c_int32)]


LIB = c.CDLL(sys.argv[1])
LIB.ortho_last_message.restype = c.c_char_p
CPU = 1
RULES = ("outlier", "residual", "legacy")
CASES = [ # name, n, k, density, rule, group
    ("model.layers.0.mlp.up_proj", 24, 96, 0.05, 0, 32), ("odd", 7, 33, 0.2, 1, 64),
    ("row", 9, 130, 0.1, 0, 0), ("legacy", 16, 64, 0.05, 2, 32), ("none", 5, 32, 0.0, 1, 32),
    ("all", 4, 48, 1.0, 0, 128), ("wide", 2, 66001, 0.001, 0, 128)]


def check(status):
    if status != 0:
        raise AssertionError(f"status {status}: {LIB.ortho_last_message().decode()}")


def pointer(array):
    return array.ctypes.data_as(c.c_void_p)


def sieve(w, density, rule, group):
    n, k = w.shape
    layer = c.c_void_p()
    check(LIB.ortho_layer_sieve(c.byref(Matrix(n, k, k, 0, pointer(w))), None,
                                c.byref(Options(c.sizeof(Options), density, rule, group, 1, CPU)),
                                c.byref(layer)))
    return layer


def forward(layer, x, n):
    y = np.full((len(x), n), np.nan, dtype=np.float32)
    check(LIB.ortho_layer_forward(layer, pointer(x), c.c_int64(len(x)), 0, pointer(y), None))
    return y


def nibbles(q, k):
    """[n, (k+1)/2] bytes to [n, k] integers, -8 to 7; the lower half of a byte is the even column."""
    both = np.stack([q & 15, q >> 4], axis=2).reshape(len(q), -1)
    assert k % 2 == 0 or not both[:, k].any(), "the padding nibble"
    return ((both[:, :k] ^ 8).astype(np.int8) - 8).astype(np.float32)


def dense(tensors, name, facts):
    """Base and Ortho as matrices."""
    n, k, group = facts["n"], facts["k"], facts["group"]
    scale = tensors[f"{name}.base.scale"].astype(np.float32)
    base = nibbles(tensors[f"{name}.base.q"], k) * np.repeat(scale, group, axis=1)[:, :k]
    ortho = np.zeros((n, k), dtype=np.float32)
    rows = np.repeat(np.arange(n), np.diff(tensors[f"{name}.ortho.row_ptr"]))
    ortho[rows, tensors[f"{name}.ortho.col"]] = tensors[f"{name}.ortho.val"]
    return base, ortho


def check_layer(tensors, metadata, case, w, layer):
    name, n, k, density, rule, group = case
    facts = json.loads(metadata[f"ortho.layer:{name}"])
    group = k if group == 0 or rule == 2 else group
    nnz = int(density * n * k)
    want = {"n": n, "k": k, "nnz": nnz, "group": min(group, k), "rule": RULES[rule],
            "density": density, "tensor": "", "hessian": "weights", "source_xxh3": 32 * "-"}
    assert facts == want, (facts, want)
    forms = {"ortho.row_ptr": (np.int32, (n + 1,)),
             "base.scale": (np.float16, (n, -(-k // facts["group"]))),
             "ortho.val": (np.float16, (nnz,)),
             "ortho.col": (np.uint32 if k > 65536 else np.uint16, (nnz,)),
             "base.q": (np.uint8, (n, (k + 1) // 2))}
    for part, (dtype, shape) in forms.items():
        t = tensors[f"{name}.{part}"]
        assert (t.dtype, t.shape) == (dtype, shape), (name, part, t.dtype, t.shape)
    base, ortho = dense(tensors, name, facts)
    there = ortho != 0
    off = np.abs(base + ortho - w)
    assert (off[there] <= 2.0**-11 * np.abs(ortho[there]) + 1e-7).all(), name
    step = np.repeat(tensors[f"{name}.base.scale"].astype(np.float32), facts["group"], axis=1)[:, :k]
    inside = np.abs(w) <= 7 * step
    assert (off[inside & ~there] <= 0.5001 * step[inside & ~there] + 1e-7).all(), name
    x = np.random.default_rng(2).standard_normal((3, k)).astype(np.float32)
    wanted = x.astype(np.float64) @ (base.astype(np.float64) + ortho).T
    bound = 1e-5 * (np.abs(x).astype(np.float64) @ np.abs(base + ortho).T) + 1e-6
    assert (np.abs(forward(layer, x, n) - wanted) <= bound).all(), name


def documented(page):
    """The function that the page shows its readers."""
    block, names = re.search(r"```python\n(.*?)```", page.read_text(), re.S).group(1), {}
    exec(compile(block, str(page), "exec"), names) # pylint: disable=exec-used
    return names["weights"]


def write(path, layers):
    writer = c.c_void_p()
    check(LIB.ortho_writer_open(str(path).encode(), c.byref(writer)))
    for name, layer in layers.items():
        check(LIB.ortho_layer_save(layer, writer, name.encode()))
    check(LIB.ortho_writer_commit(writer))


def load(path, name):
    artifact, layer = c.c_void_p(), c.c_void_p()
    options = LayerOptions(c.sizeof(LayerOptions), CPU, 1)
    check(LIB.ortho_artifact_open(str(path).encode(), c.byref(artifact)))
    check(LIB.ortho_layer_load(artifact, name.encode(), c.byref(options), c.byref(layer)))
    LIB.ortho_artifact_close(artifact)
    return layer


def main():
    rng = np.random.default_rng(1)
    weights = {case[0]: (0.02 * rng.standard_t(5, case[1:3])).astype(np.float32) for case in CASES}
    layers = {case[0]: sieve(weights[case[0]], *case[3:]) for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.safetensors"
        write(path, layers)
        with safe_open(path, "numpy") as f:
            metadata, tensors = f.metadata(), {key: f.get_tensor(key) for key in f.keys()}
        assert metadata["format"] == "pt" and metadata["ortho.artifact"] == "1", metadata
        assert len(tensors) == 5 * len(CASES) and len(metadata) == 3 + len(CASES)
        for case in CASES:
            check_layer(tensors, metadata, case, weights[case[0]], layers[case[0]])
        weights_of = documented(pathlib.Path(sys.argv[2]))
        for name, *_ in CASES:
            base, ortho = dense(tensors, name, json.loads(metadata[f"ortho.layer:{name}"]))
            assert np.array_equal(weights_of(path, name), base + ortho), name
            assert np.array_equal(weights_of(path, name, alpha=0), base), name
        again = pathlib.Path(folder) / "b.safetensors" # in the order and with the gaps of another writer
        save_file(tensors, again, metadata)
        for name, n, k, *_ in CASES:
            x = rng.standard_normal((2, k)).astype(np.float32)
            same = forward(load(again, name), x, n) == forward(layers[name], x, n)
            assert same.all(), name
    print(f"{len(CASES)} layers")


if __name__ == "__main__":
    LIB.ortho_layer_save.argtypes = [c.c_void_p, c.c_void_p, c.c_char_p]
    LIB.ortho_layer_forward.argtypes = [c.c_void_p, c.c_void_p, c.c_int64, c.c_int, c.c_void_p, c.c_void_p]
    LIB.ortho_writer_commit.argtypes = LIB.ortho_artifact_close.argtypes = [c.c_void_p]
    LIB.ortho_layer_load.argtypes = [c.c_void_p, c.c_char_p, c.c_void_p, c.c_void_p]
    main()
