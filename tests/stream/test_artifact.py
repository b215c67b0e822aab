#!/usr/bin/env python3
"""What a sieve of a checkpoint made: test_artifact.py ORTHO_BENCH GOLDEN_FOLDER.

Read with the safetensors library. Tensors that weren't sieved are the source's, byte for byte; each layer
is what the NumPy definition of the sieve (tests/golden-sieve) makes of the source's weights; the small
files are the source's, and config.json says how it was sieved. Then the same bytes must come of any number of threads, either engine of I/O and
any memory budget. Exit 77: no NumPy or no safetensors here.
"""
import itertools
import json
import os
import sys

try:
    import numpy as np
    import safetensors
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

import models
from streaming import Bench, Reference, files_of, in_scratch, read, summary_of

DTYPES = {"F16": np.float16, "BF16": np.uint16, "F32": np.float32, "U8": np.uint8, "U16": np.uint16,
          "I32": np.int32, "I64": np.int64}


def tensors_of(folder):
    """{name: (dtype, shape, bytes)} of all shards; the safetensors library checks that it can read them."""
    found = {}
    for name in sorted(n for n in os.listdir(folder) if n.endswith(".safetensors")):
        data = read(os.path.join(folder, name))
        with safetensors.safe_open(os.path.join(folder, name), "np") as opened:
            keys = set(opened.keys())
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + length])
        header.pop("__metadata__", None)
        assert keys == set(header), name
        for tensor, entry in header.items():
            begin, end = entry["data_offsets"]
            found[tensor] = (entry["dtype"], entry["shape"], data[8 + length + begin:8 + length + end], name)
    return found


def array(entry):
    return np.frombuffer(entry[2], DTYPES[entry[0]]).reshape(entry[1])


def weights(entry):
    raw = array(entry)
    return (raw.astype(np.uint32) << 16).view(np.float32) if entry[0] == "BF16" else raw.astype(np.float32)


def split_of(made, name, n, k):
    """A layer as tests/golden-sieve wants it."""
    q = array(made[name + ".base.q"])
    both = np.stack([q & 15, q >> 4], axis=2).reshape(n, -1).astype(np.int8)
    assert k % 2 == 0 or not both[:, k:].any(), "the padding nibble"
    both = both[:, :k]
    return {"q": np.where(both >= 8, both - 16, both).astype(np.int8),
            "scale": array(made[name + ".base.scale"]).astype(np.float32),
            "row_ptr": array(made[name + ".ortho.row_ptr"]), "col": array(made[name + ".ortho.col"]),
            "val": array(made[name + ".ortho.val"]).view(np.uint16)}


def is_linear(name):
    return name.endswith("_proj.weight")


def check_layer(golden, made, name, source, rule, group, density):
    w = weights(source)
    n, k = w.shape
    split = split_of(made, name, n, k)
    golden.compare(w, split, golden.sieve(w, rule, group, density))
    rows = np.repeat(np.arange(n), np.diff(split["row_ptr"]))
    width = k if group == 0 or rule == "legacy" else min(group, k)
    scale = np.repeat(split["scale"], width, axis=1)[:, :k]
    whole = split["q"] * scale
    whole[rows, split["col"].astype(np.int64)] += split["val"].view(np.float16).astype(np.float32)
    assert np.abs(whole - w).max() < 0.05 * np.abs(w).max() + np.abs(scale).max(), "Base + Ortho is far from W"


def check(golden, source, folder, rule, group, density, sieved):
    before, made = tensors_of(source), tensors_of(folder)
    layers = 0
    for name, entry in before.items():
        if is_linear(name) and sieved(name):
            check_layer(golden, made, name.removesuffix(".weight"), entry, rule, group, density)
            assert name not in made, f"{name} is there both ways"
            assert made[name.removesuffix(".weight") + ".base.q"][3] == entry[3], "not sharded like its source"
            layers += 1
        else:
            assert made.get(name) == entry, f"{name} isn't what it was"
    assert len(made) == len(before) + 4 * layers, "something else is in the artifact"
    files = files_of(folder)
    told = {"quant_method": "libortho", "density": density, "rule": rule,
            "group": 0 if rule == "legacy" else group}
    assert json.loads(files["config.json"]) == {"model_type": "llama", "quantization_config": told}
    for name in ("tokenizer.json", "generation_config.json"):
        assert files[name] == read(os.path.join(source, name)), name
    assert "pytorch_model.bin" not in files
    index = json.loads(files["model.safetensors.index.json"])
    assert index["weight_map"] == {name: entry[3] for name, entry in made.items()}, "the index"
    return layers


CHOICES = [  # rule, group, density, more options, which weights they mean
    ("outlier", 128, 0.01, [], lambda name: True),
    ("residual", 64, 0.05, [], lambda name: True),
    ("legacy", 128, 0.0, ["--layers", "1-2"], lambda name: ".layers.0." not in name),
    ("outlier", 0, 0.02, ["--proj", "q,down"], lambda name: "q_proj" in name or "down_proj" in name),
]


def check_sameness(scratch, program, source):
    """The same bytes whatever the threads, the engine and the budget."""
    first = None
    for number, (threads, engine, budget) in enumerate(itertools.product(("1", "2"), ("threads", "io_uring"),
                                                                         ("2M", "512M"))):
        out = os.path.join(scratch, f"same-{number}")
        bench = Bench(program, source, "--threads", threads, "--memory-budget", budget)
        code, words = bench.run(out, env={"ORTHO_IO": engine})
        if code != 0 and engine == "io_uring" and "io_uring" in words:
            continue # this kernel, or this build, hasn't got it
        assert code == 0, words
        first = first or Reference(out)
        first.check_same(out)


def main(scratch, program, folder):
    sys.path.insert(0, folder)
    import sieve_golden as golden
    source = os.path.join(scratch, "many")
    models.make("many", source)
    for number, (rule, group, density, more, sieved) in enumerate(CHOICES):
        out = os.path.join(scratch, f"out-{number}")
        bench = Bench(program, source, "--rule", rule, "--group", str(group) if group else "row",
                      "--density", str(density), *more)
        told = summary_of(bench, out)
        layers = check(golden, source, out, rule, group, density, sieved)
        assert told["units"]["layers_sieved"] == told["size"]["layers"] == layers, told
        made = tensors_of(out)
        parts = sum(len(e[2]) for n, e in made.items() if ".base." in n or ".ortho." in n)
        assert told["size"]["bytes"] == parts, told
        print(f"{rule}, group {group}, density {density} {more}: {layers} layers as NumPy makes them")
    check_sameness(scratch, program, source)


if __name__ == "__main__":
    try:
        in_scratch(main)
    except AssertionError as error:
        sys.exit(f"test_artifact: {error}")
