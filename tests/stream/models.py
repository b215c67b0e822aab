#!/usr/bin/env python3
"""Small checkpoints for the tests of streaming: models.py KIND DIR [SEED].

KIND is one of
    many    two shards, BF16, F16 and F32, norms, an embedding, an integer tensor, odd k, index, config and
            tokenizer: some of everything, 3 MB
    large   three shards of BF16, 34 MB: takes long enough to be killed
    tall    one shard whose embedding alone is 160 MB: is synced, and kept, piece by piece
    single  one shard, one layer, no index
    nan     `many` with a NaN in a weight: model.layers.1.mlp.up_proj.weight, row 5, column 7
Plain Python: the bytes follow from the seed alone, and every float is finite and of a weight's size.
"""
import json
import os
import random
import struct
import sys

BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I64": 8}
# The upper byte of a float decides its size: the sign is kept, the exponent is that of 0.01 to 0.1.
UPPER = {"BF16": 0x3C, "F16": 0x28, "F32": 0x3C}
NAN_AT = ("model.layers.1.mlp.up_proj.weight", 5, 7)


def data_of(dtype, count, rng):
    data = bytearray(rng.randbytes(count * BYTES[dtype]))
    if dtype in UPPER:
        upper = bytes((b & 0x80) | UPPER[dtype] | (b & 1) for b in range(256))
        data[BYTES[dtype] - 1::BYTES[dtype]] = data[BYTES[dtype] - 1::BYTES[dtype]].translate(upper)
    return data


def write_shard(path, tensors, rng, nan_at=None):
    """tensors: [(name, dtype, shape)], in the order of their bytes."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, shape in tensors:
        count = 1
        for n in shape:
            count *= n
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + count * BYTES[dtype]]}
        at += count * BYTES[dtype]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, dtype, shape in tensors:
            data = data_of(dtype, header_count(header[name], dtype), rng)
            if nan_at is not None and name == nan_at[0]:
                at = (nan_at[1] * shape[1] + nan_at[2]) * BYTES[dtype]
                data[at:at + BYTES[dtype]] = b"\xff" * BYTES[dtype]
            out.write(data)


def header_count(entry, dtype):
    return (entry["data_offsets"][1] - entry["data_offsets"][0]) // BYTES[dtype]


def block(layer, dtype, hidden, inner, wide):
    """A transformer block; `wide` inputs of down_proj may be odd."""
    name = f"model.layers.{layer}."
    return [(name + "input_layernorm.weight", dtype, [hidden])] + \
        [(f"{name}self_attn.{p}_proj.weight", dtype, [hidden, hidden]) for p in "qkvo"] + \
        [(name + "mlp.gate_proj.weight", dtype, [inner, hidden]),
         (name + "mlp.up_proj.weight", dtype, [inner, hidden]),
         (name + "mlp.down_proj.weight", dtype, [hidden, wide])]


def shards_of(kind):
    if kind == "single":
        return [[("model.layers.0.self_attn.q_proj.weight", "F32", [64, 129])]]
    if kind == "tall":
        return [[("model.embed_tokens.weight", "F16", [80000, 1024])] + block(0, "BF16", 256, 512, 512)]
    if kind == "large":
        embedding = [("model.embed_tokens.weight", "BF16", [2000, 512])]
        return [(embedding if s == 0 else []) +
                [t for b in range(2) for t in block(2 * s + b, "BF16", 512, 1024, 1024)] for s in range(3)]
    return [[("model.embed_tokens.weight", "F16", [500, 192])] + block(0, "BF16", 192, 384, 385) +
            [("model.layers.0.self_attn.counts", "I64", [3])],
            block(1, "F32", 192, 384, 384) + block(2, "F16", 192, 384, 511) +
            [("model.norm.weight", "F32", [192])]]


def make(kind, folder, seed=1):
    rng = random.Random(seed)
    os.makedirs(folder, exist_ok=True)
    shards, weights, total = shards_of(kind), {}, 0
    for i, tensors in enumerate(shards):
        name = "model.safetensors" if len(shards) == 1 else f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write_shard(os.path.join(folder, name), tensors, rng, NAN_AT if kind == "nan" else None)
        weights.update((t[0], name) for t in tensors)
        total += os.path.getsize(os.path.join(folder, name))
    if len(shards) == 1:
        return
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as out:
        json.dump({"metadata": {"total_size": total}, "weight_map": weights}, out)
    for name, text in (("config.json", '{"model_type": "llama"}\n'), ("tokenizer.json", '{"version": "1.0"}\n'),
                       ("generation_config.json", "{}\n"), ("pytorch_model.bin", "stays behind\n")):
        with open(os.path.join(folder, name), "w") as out:
            out.write(text)


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1)
