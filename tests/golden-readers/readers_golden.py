#!/usr/bin/env python3
"""The readers against the safetensors and gguf Python packages: files that those write, rows that
those decode, bit for bit. usage: readers_golden.py DUMP_TENSOR. Exit 77: a package is missing."""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    import safetensors.numpy
    from safetensors import safe_open
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

DUMP = sys.argv[1]
QUANTS = gguf.GGMLQuantizationType
FAILURES = []


def listed(path):
    """name: (dtype, shape, begin, end), as the reader has them."""
    out = subprocess.run([DUMP, str(path)], check=True, capture_output=True, text=True).stdout
    rows = (line.split("\t") for line in out.splitlines())
    return {name: (dtype, json.loads(shape), int(begin), int(end))
            for name, dtype, shape, begin, end in rows}


def decoded(path, name, row, rows, columns):
    out = subprocess.run([DUMP, str(path), name, str(row), str(rows)], check=True,
                         capture_output=True).stdout
    return np.frombuffer(out, dtype=np.float32).reshape(rows, columns)


def expect(what, got, want):
    same = got.tobytes() == want.tobytes() if isinstance(want, np.ndarray) else got == want
    print(f"{'ok' if same else 'FAILED':6} {what}")
    if not same:
        FAILURES.append(what)


def expect_rows(path, name, want):
    """All rows, and some from the middle."""
    want = np.ascontiguousarray(want, dtype=np.float32)
    n, k = want.shape
    expect(f"{path.name} {name} [{n}, {k}]", decoded(path, name, 0, n, k), want)
    expect(f"{path.name} {name} rows {n // 2}..", decoded(path, name, n // 2, n - n // 2, k),
           np.ascontiguousarray(want[n // 2:]))


def bf16(values):
    """Rounded to nearest even, as its bits."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def check_safetensors(folder, rng):
    path = folder / "golden.safetensors"
    tensors = {
        "f32": rng.standard_normal((7, 33)).astype(np.float32),
        "f16": rng.standard_normal((9, 5)).astype(np.float16),
        "subnormal": np.array([[6e-8, -6e-8, 6.1e-5, 65504.0, 0.0, -0.0]], dtype=np.float16),
        "wide": rng.standard_normal((3, 9001)).astype(np.float32),
        "vector": np.arange(5, dtype=np.int64),
        "scalar": np.array(3.0, dtype=np.float64),
        "empty": np.zeros((0, 4), dtype=np.uint8),
        "flags": np.ones((2, 2, 2), dtype=bool),
    }
    safetensors.numpy.save_file(tensors, path, metadata={"format": "np"})
    rows = listed(path)
    with safe_open(path, "np") as f:
        for name in f.keys():
            s = f.get_slice(name)
            expect(f"header of {name}", rows[name][:2], (s.get_dtype(), list(s.get_shape())))
    header = json.loads(path.read_bytes()[8:8 + struct.unpack("<Q", path.read_bytes()[:8])[0]])
    start = 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]
    for name, row in rows.items():
        want = [start + o for o in header[name]["data_offsets"]]
        expect(f"range of {name}", list(row[2:]), want)
    for name in ("f32", "f16", "subnormal", "wide"):
        expect_rows(path, name, tensors[name])


def check_gguf(folder, rng):
    path = folder / "golden.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("test.u32", 7)
    writer.add_string("test.string", "text")
    writer.add_array("test.strings", ["a", "bc", ""])
    writer.add_array("test.floats", [1.0, 2.0])
    writer.add_bool("test.bool", True)
    writer.add_custom_alignment(64)
    w = rng.standard_normal((6, 320)).astype(np.float32)
    w[2] = 0  # a block without a scale
    w[3, :32] *= 1000
    want = {}
    for kind in (QUANTS.Q4_0, QUANTS.Q4_1, QUANTS.Q8_0):
        packed = gguf.quants.quantize(w, kind)
        want[kind.name] = gguf.quants.dequantize(packed, kind)
        writer.add_tensor(kind.name, packed, raw_dtype=kind)
    writer.add_tensor("F32", w)
    want["F32"] = w
    writer.add_tensor("F16", w.astype(np.float16))
    want["F16"] = w.astype(np.float16).astype(np.float32)
    writer.add_tensor("BF16", bf16(w).view(np.uint8), raw_dtype=QUANTS.BF16)
    want["BF16"] = from_bf16(bf16(w))
    writer.add_tensor("vector", np.arange(3, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    rows = listed(path)
    for tensor in gguf.GGUFReader(path).tensors:
        shape = [int(d) for d in reversed(tensor.shape)]
        begin = int(tensor.data_offset)
        expect(f"header of GGUF {tensor.name}", rows[tensor.name],
               (tensor.tensor_type.name, shape, begin, begin + int(tensor.n_bytes)))
    for name, values in want.items():
        expect_rows(path, name, values)


def main():
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        check_safetensors(pathlib.Path(folder), rng)
        check_gguf(pathlib.Path(folder), rng)
    if FAILURES:
        sys.exit(f"{len(FAILURES)} differ: {', '.join(FAILURES)}")


if __name__ == "__main__":
    main()
