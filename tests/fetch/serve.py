"""Serves a repository with Llama-3.2-3B's tensors at their real shapes: 6.4 GB that are made as they
are asked for and lie nowhere. For trying `ortho-bench fetch` without a network.

usage: serve.py [PORT [SECONDS_A_REQUEST]]
       HF_ENDPOINT=http://127.0.0.1:PORT ortho-bench fetch hf:meta-llama/Llama-3.2-3B
"""

import json
import struct
import sys
import threading

import hub

# BF16 below 0.04 in size: an exponent byte that is one of a few, over bytes that differ.
PATTERN = b"".join(bytes((i * 73 % 256, (0x3c, 0xbc, 0x3b, 0xbb, 0x3a, 0xba, 0x39)[i % 7]))
                   for i in range(7 * 128))


class Shard:
    """A safetensors file: a header, and data by formula. Bytes enough like bytes for a Hub."""

    def __init__(self, tensors):
        header, offset = {"__metadata__": {"made": "tests/fetch/serve.py"}}, 0
        for name, shape in tensors:
            size = 2
            for n in shape:
                size *= n
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
            offset += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self.head, self.size = struct.pack("<Q", len(text)) + text, offset

    def __len__(self):
        return len(self.head) + self.size

    def __getitem__(self, part):
        begin, end, _ = part.indices(len(self))
        first, period = begin - len(self.head), len(PATTERN)
        head = self.head[begin:end]
        start = max(first, 0)
        count = end - begin - len(head)
        body = (PATTERN * (count // period + 2))[start % period:][:count]
        return head + body


def llama_3b():
    """The names and shapes in two shards, as the model has them."""
    shards = [[("model.embed_tokens.weight", [128256, 3072])], []]
    shapes = {"self_attn.q_proj": [3072, 3072], "self_attn.k_proj": [1024, 3072],
              "self_attn.v_proj": [1024, 3072], "self_attn.o_proj": [3072, 3072],
              "mlp.gate_proj": [8192, 3072], "mlp.up_proj": [8192, 3072],
              "mlp.down_proj": [3072, 8192], "input_layernorm": [3072],
              "post_attention_layernorm": [3072]}
    for layer in range(28):
        for name, shape in shapes.items():
            shards[layer >= 20].append((f"model.layers.{layer}.{name}.weight", shape))
    shards[1].append(("model.norm.weight", [3072]))
    return shards


def main():
    shards = llama_3b()
    names = {name: file for file, part in zip(hub.SHARDS, shards) for name, _ in part}
    files = {file: Shard(part) for file, part in zip(hub.SHARDS, shards)}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": names}).encode()
    files["config.json"] = b'{"model_type": "llama"}\n'
    port, delay = int((sys.argv + ["0"])[1]), float((sys.argv + ["0", "0"])[2])
    served = hub.Hub(files, port=port)
    served.delay = delay
    served.etags = {file: f"made-{file}" for file in hub.SHARDS}
    print(f"HF_ENDPOINT={served.url}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
