"""Loads a checkpoint and prints, as JSON, what that took in bytes of private memory.

usage: hf_memory_worker.py FOLDER DTYPE USE_LIBORTHO OUT     OUT: where to save it then; - for nowhere
"""

import json
import pathlib
import sys
import tempfile
import threading
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from libortho import OrthoLinear
from libortho.hf import from_pretrained


def private():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status tells no RssAnon")


class Watch(threading.Thread):
    """The most of private() while it runs."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self._ends = private(), threading.Event()

    def run(self):
        while not self._ends.wait(0.001):
            self.peak = max(self.peak, private())

    def end(self):
        self._ends.set()
        self.join()
        self.peak = max(self.peak, private())


def rehearse():
    """Loads a tiny model of the same kind, so that code and pools are there before it counts."""
    with tempfile.TemporaryDirectory() as folder:
        config = LlamaConfig(vocab_size=64, hidden_size=128, intermediate_size=256,
                             num_hidden_layers=1, num_attention_heads=4)
        LlamaForCausalLM(config).save_pretrained(folder)
        for use_libortho in (False, True):
            from_pretrained(folder, use_libortho)


def main():
    folder, dtype, use_libortho, out = sys.argv[1:]
    rehearse()
    before = private()
    watch = Watch()
    watch.start()
    began = time.monotonic()
    model = from_pretrained(folder, bool(int(use_libortho)), dtype=getattr(torch, dtype))
    seconds = time.monotonic() - began
    watch.end()
    layers = [module for module in model.modules() if isinstance(module, OrthoLinear)]
    told = {
        "peak": watch.peak - before, "after": private() - before,
        "layers": sum(layer.nbytes for layer in layers),
        "rest": sum(parameter.nbytes for parameter in model.parameters()),
        "largest": max((layer.out_features * layer.in_features * layer.dtype.itemsize
                        for layer in layers), default=0),
        "seconds": seconds * 1e6,
    }
    if out != "-":
        model.save_pretrained(out)
    print(json.dumps(told))


main()
