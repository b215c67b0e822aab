"""The peak resident memory of libortho.enable over a Llama of several hundred MB made at random,
against what the model takes before. Exit 1: it is more than the model and one layer twice.

usage: peak.py HIDDEN LAYERS
"""

from __future__ import annotations

import pathlib
import sys

import torch
from conftest import tiny_llama

import libortho

SLACK = 24 << 20  # code paged in, threads' stacks, the allocator's


def resident(key: str) -> int:
    """Bytes of /proc/self/status: VmRSS now, VmHWM at most since clear_peak."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"/proc/self/status has no {key}")


def clear_peak() -> None:
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    hidden, layers = int(sys.argv[1]), int(sys.argv[2])
    model = tiny_llama(hidden_size=hidden, intermediate_size=hidden * 8 // 3,
                       num_hidden_layers=layers, num_attention_heads=hidden // 64,
                       num_key_value_heads=hidden // 192)
    libortho.enable(tiny_llama())  # what is loaded and allocated once
    weights = sum(p.nbytes for p in model.parameters())
    largest = max(p.nbytes for p in model.parameters())
    before = resident("VmRSS")
    clear_peak()
    libortho.enable(model)
    peak, after = resident("VmHWM"), resident("VmRSS")
    held = sum(p.nbytes for p in model.parameters()) + model.libortho_report.bytes_after
    print(f"model {weights / 1e6:.0f} MB, largest layer {largest / 1e6:.0f} MB; resident "
          f"{before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at most, {after / 1e6:.0f} MB after; "
          f"holds {held / 1e6:.0f} MB")
    if peak - before > largest + SLACK:
        sys.exit(f"the peak is {(peak - before) / 1e6:.0f} MB above the model")
    if after - before > held - weights + largest + SLACK:
        sys.exit(f"{(after - before + weights - held) / 1e6:.0f} MB of the model weren't let go")


if __name__ == "__main__":
    main()
